"""`pinn_lens`: lenses inside the simulator's domain, honest gradients, fits that may fail."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pinn_samples import (
    AT,
    GRID,
    PSF,
    SMALL,
    TERMS,
    batch_of,
    fitted,
    lenses,
    masked,
    noise,
    pinn,
)
from small_models import conditioned

from lenshunt.lensing import DOMAIN, PARAMETERS, PixelGrid, RenderFailures
from lenshunt.lensing import render_batch as templates_of
from lenshunt.models import backbone_state
from lenshunt.models.lens_fit import fit_lenses
from lenshunt.models.lens_head import LensHead, averaged_cells
from lenshunt.models.lens_terms import physics_term
from lenshunt.models.pinn_lens import PinnLens
from lenshunt.models.resnet import ResNet


def test_an_untrained_head_predicts_a_round_lens_of_one_arcsec_with_the_source_behind_it():
    with torch.no_grad():
        found = pinn()(noise(16)).lens_parameters
    theta_e = found[:, AT["theta_e"]]
    assert ((theta_e > 0.7) & (theta_e < 1.4)).all()
    assert 0 < theta_e.std() < 0.2
    assert (found[:, AT["slope"]] == 2.0).all()
    for name in ("mass_e1", "mass_e2", "gamma1", "gamma2"):
        assert found[:, AT[name]].abs().max() < 0.2
    offset = torch.hypot(*(found[:, AT[f"source_{a}"]] - found[:, AT[f"mass_{a}"]] for a in "xy"))
    assert offset.max() < 0.5


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-1e6, 1e6), min_size=20, max_size=20), st.booleans())
def test_whatever_the_network_says_the_simulator_can_draw_it(values, slope_free):
    head = LensHead(4, 4, (0.3, 4.0), slope_free)
    raw = torch.tensor([values[: len(head.names)]])
    found = dict(zip(PARAMETERS, head.parameters_of(raw)[0].tolist(), strict=True))
    assert all(DOMAIN[name][0] <= value <= DOMAIN[name][1] for name, value in found.items())
    for part in ("mass", "lens", "source"):
        assert np.hypot(found[f"{part}_e1"], found[f"{part}_e2"]) < 2 / 3
    assert torch.isfinite(templates_of(head.parameters_of(raw), PixelGrid(16, 0.3, 1), None)).all()


@pytest.mark.parametrize("far", [-100.0, 100.0])
def test_a_head_that_was_driven_to_its_bounds_still_has_a_gradient(far):
    head = LensHead(4, 4, (0.3, 4.0), slope_free=True)
    for i in range(len(head.names)):
        raw = torch.zeros(1, len(head.names))
        raw[0, i] = far
        raw.requires_grad_()
        (gradient,) = torch.autograd.grad(head.parameters_of(raw)[0].sum(), raw)
        assert gradient[0, i].abs() > 1e-8


def test_cells_average_a_map_of_any_size():
    for side in (4, 8, 14):
        values = torch.randn(2, 3, side, side)
        expected = torch.nn.functional.interpolate(
            values, scale_factor=4 if side % 4 else 1, mode="nearest"
        )
        expected = torch.nn.functional.avg_pool2d(expected, expected.shape[-1] // 4)
        torch.testing.assert_close(averaged_cells(values, 4), expected, atol=1e-6, rtol=1e-5)


def all_losses(model: PinnLens, batch: dict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    prediction = model(batch)
    terms = model.loss_terms(prediction, batch, TERMS)
    return prediction.logit, terms


@pytest.mark.parametrize("kind", ["noise", "masked", "bright", "lens"])
@pytest.mark.parametrize("bf16", [False, True])
def test_outputs_and_gradients_are_finite(kind, bf16):
    batch = {
        "noise": noise,
        "masked": lambda: masked(noise()),
        "bright": lambda: batch_of(1e6 * noise()["image"].abs()),
        "lens": lambda: lenses(4)[1],
    }[kind]()
    model = pinn(correction_nodes=5)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        prediction = model(batch)
        terms = model.loss_terms(prediction, batch, (*TERMS, "mass"))
    for name, values in {"logit": prediction.logit, **terms}.items():
        assert values.shape == (4,), name
        assert values.dtype == torch.float32, name
        assert torch.isfinite(values).all(), name
    assert prediction.lens_parameters.dtype == torch.float32
    (prediction.logit.sum() + sum(values.sum() for values in terms.values())).backward()
    for name, p in model.named_parameters():
        assert p.grad is None or torch.isfinite(p.grad).all(), name


def test_gradients_of_all_losses_reach_every_parameter():
    model = pinn(correction_nodes=4, slope_free=True, hide_fit=0.5)
    batch = lenses(8)[1]
    prediction = model(batch)
    terms = model.loss_terms(prediction, batch, (*TERMS, "mass"))
    (prediction.logit.square().sum() + sum(values.sum() for values in terms.values())).backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_the_physics_loss_teaches_encoder_and_head_but_never_the_classifier():
    model = pinn()
    _, terms = all_losses(model, lenses(4)[1])
    (terms["physics"] + terms["lens_equation"]).sum().backward()
    assert model.lens_head.out.weight.grad.abs().max() > 0
    assert model.backbone.embedder.embedder.convolution.weight.grad.abs().max() > 0
    taught = [n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()]
    assert not [n for n in taught if n.startswith(("heads.", "feedback."))]


def test_the_classifier_cannot_bend_the_lens_into_a_signal_of_its_own():
    model = pinn()
    model(lenses(4)[1]).logit.square().sum().backward()
    assert all(p.grad is None for p in model.lens_head.parameters())
    assert model.feedback.mix.weight.grad.abs().max() > 0


@pytest.fixture
def second_render_fails(monkeypatch):
    """Renders of the second lens of a batch are NaN, and so is the way back through them."""

    def broken(params: torch.Tensor, *rest) -> torch.Tensor:
        shapes = templates_of(params, *rest)
        second = (torch.arange(len(params)) == 1)[:, None, None, None, None]
        inside = torch.where(second, -1.0, 1.0) * params[:, :1, None, None, None]
        return shapes * torch.where(second, inside, 1.0).sqrt()

    monkeypatch.setattr("lenshunt.models.lens_fit.render_batch", broken)


def test_a_failed_render_is_counted_and_the_classifier_still_answers(second_render_fails, caplog):
    model = pinn().eval()
    prediction = model(lenses(4)[1])
    assert model.failures.failed == 1
    assert "1 of 4 lens models" in caplog.text
    assert torch.isfinite(prediction.logit).all()
    assert prediction.auxiliary["chi2_gain"].isnan().tolist() == [False, True, False, False]
    torch.testing.assert_close(prediction.features[1, -32:], model.feedback.no_fit)
    assert not torch.equal(prediction.features[0, -32:], model.feedback.no_fit)


def test_a_failed_render_is_left_out_of_the_terms(second_render_fails, monkeypatch):
    model, batch = pinn().eval(), lenses(4)[1]
    names = ("physics", "lens_equation")
    terms = model.loss_terms(model(batch), batch, names)
    monkeypatch.undo()
    whole = model.loss_terms(model(batch), batch, names)
    others = torch.tensor([0, 2, 3])
    assert terms["physics"][1] == terms["lens_equation"][1] == 0
    # the mean over the batch is the mean over the lenses that could be judged
    torch.testing.assert_close(terms["physics"].mean(), whole["physics"][others].mean())
    torch.testing.assert_close(terms["lens_equation"][others], whole["lens_equation"][others])


def test_a_failed_render_sends_no_nan_into_the_weights(second_render_fails):
    model, batch = pinn(correction_nodes=4), lenses(4)[1]
    prediction = model(batch)
    terms = model.loss_terms(prediction, batch, (*TERMS, "mass"))
    (prediction.logit.sum() + sum(values.sum() for values in terms.values())).backward()
    assert model.failures.failed == 1
    for name, p in model.named_parameters():
        assert p.grad is None or torch.isfinite(p.grad).all(), name


def test_renders_that_fail_on_the_way_back_alone_are_counted_once_with_the_others(monkeypatch):
    def broken(params: torch.Tensor, *rest) -> torch.Tensor:
        shapes = templates_of(params, *rest)
        inside = params[:, :1, None, None, None]
        # the second has no root; that of the third is finite, and its slope is not
        factor = torch.tensor([1.0, -1.0, 0.0, 1.0])[:, None, None, None, None]
        return shapes + (inside * factor).sqrt()

    monkeypatch.setattr("lenshunt.models.lens_fit.render_batch", broken)
    params, batch = lenses(4)
    failures, weights = RenderFailures(), torch.ones(4, 1, requires_grad=True)
    fit = fit_lenses(weights * params, batch, torch.ones(5), GRID, PSF, 19, failures)
    assert fit.good.tolist() == [True, False, True, True]
    assert (failures.failed, failures.rendered) == (1, 4)
    physics_term(torch.zeros(4), fit).sum().backward()
    assert (failures.failed, failures.rendered) == (2, 4)
    assert torch.isfinite(weights.grad).all()
    assert weights.grad[:, 0].bool().tolist() == [True, False, False, True]


def test_a_lens_of_nan_is_a_failed_render_not_a_crash():
    params, batch = lenses(3)
    params[1] = torch.nan
    fit = fitted(params, batch)
    assert fit.good.tolist() == [True, False, True]
    assert (fit.templates[1] == 0).all()
    assert torch.isfinite(fit.templates).all()


def test_an_image_without_pixels_has_no_fit_and_is_no_failure():
    model, batch = pinn().eval(), masked(noise())
    prediction = model(batch)
    assert model.failures.failed == 0
    assert prediction.auxiliary["chi2_gain"].isnan().tolist() == [False, False, False, True]
    assert model.loss_terms(prediction, batch, ("physics",))["physics"][3] == 0


def test_a_band_that_is_flagged_absent_is_not_fitted():
    batch = lenses(3)[1]
    flags = batch["band_flags"].clone()
    flags[:, 4] = 0
    changed = batch["image"].clone()
    changed[:, 4] += 1000
    model = pinn().eval()
    a = model({**batch, "band_flags": flags})
    b = model({**batch, "band_flags": flags, "image": changed})
    assert torch.equal(a.logit, b.logit)
    assert torch.equal(a.auxiliary["chi2_gain"], b.auxiliary["chi2_gain"])


def test_correlated_noise_makes_a_gain_smaller(monkeypatch):
    batch = lenses(3)[1]
    model = pinn().eval()
    # the same lens is fitted: what the network sees also depends on how deep an image is
    seen = model.input(batch)
    monkeypatch.setattr(model.input, "forward", lambda batch: seen)
    plain, correlated = model(batch), model({**batch, "noise_corr": torch.full((3, 5), 4.0)})
    torch.testing.assert_close(
        plain.auxiliary["chi2_gain"], 4 * correlated.auxiliary["chi2_gain"], rtol=1e-4, atol=1e-3
    )


def test_terms_that_have_nothing_to_work_on_say_so():
    model, batch = pinn(), noise()
    prediction = model(batch)
    with pytest.raises(ValueError, match=r"set fit\.correction_nodes"):
        model.loss_terms(prediction, batch, ("mass",))
    del batch["theta_e"]
    with pytest.raises(ValueError, match="no column theta_e"):
        model.loss_terms(prediction, batch, ("simulated",))


def test_an_unknown_psf_or_an_impossible_range_is_an_error():
    with pytest.raises(ValueError, match="psf_fwhm_arcsec is 0"):
        PinnLens(conditioned(psf_fwhm_arcsec=0.0), True, backbone=SMALL)
    with pytest.raises(ValueError, match="theta_e_max_arcsec 20"):
        pinn(theta_e_max_arcsec=20.0)


def test_pretraining_fits_no_lens_and_shares_the_backbone_of_a_plain_network():
    model = PinnLens(conditioned(psf_fwhm_arcsec=0.0), True, ["redshift"], backbone=SMALL)
    found = model(noise())
    assert found.lens_parameters is None
    assert found.auxiliary["redshift"].shape == (4,)
    plain = ResNet(conditioned(), True, backbone=SMALL)
    shapes = {name: tuple(v.shape) for name, v in backbone_state(pinn()).items()}
    assert shapes == {name: tuple(v.shape) for name, v in backbone_state(plain).items()}


def test_without_feedback_the_classifier_sees_the_image_alone():
    model = pinn(feedback=False).eval()
    batch = lenses(3)[1]
    before = model(batch)
    torch.nn.init.normal_(model.lens_head.out.weight, std=1.0)
    after = model(batch)
    assert torch.equal(before.logit, after.logit)
    assert not torch.equal(before.auxiliary["theta_e"], after.auxiliary["theta_e"])
