"""The grouping head: colours up to dust decide who is an image of one source."""

import numpy as np
import pytest
import torch
from segment_models import built, group
from segment_samples import BLUE, RED, packed, with_segments
from test_models_inputs import conditioned
from test_models_registry import SMALL, toy_batch
from torch.nn import functional

from lenshunt.lensing import reddening_curve
from lenshunt.models import CONDITIONS, color_aware_lens
from lenshunt.models.color_aware_lens import ColorAwareLens, _at
from lenshunt.models.lens_dust import LensDust


def test_a_map_is_read_bilinearly_and_beside_it_at_its_edge():
    features = torch.randn(2, 3, 8, 8)
    place = torch.tensor([[[3.3, 0.9], [-2.0, 5.1], [9.0, 7.0]]]).expand(2, -1, -1)
    expected = functional.grid_sample(
        features, place[:, :, None] / 3.5 - 1, padding_mode="border", align_corners=True
    )
    torch.testing.assert_close(_at(features, place), expected[..., 0].mT)


@pytest.mark.parametrize("size", [64, 65])
@pytest.mark.parametrize(("stem_stride", "stem_pool"), [(2, True), (2, False), (1, False)])
def test_what_the_grouping_head_sees_of_the_image_lies_around_its_segment(
    size, stem_stride, stem_pool, monkeypatch
):
    torch.manual_seed(0)
    shape = {**SMALL["color_aware_lens"], "stem_stride": stem_stride, "stem_pool": stem_pool}
    # without residual channels, which see the opposite side of the image too
    model = ColorAwareLens(conditioned(), False, **shape).eval()
    column, row = 32, 36  # seen by the middle of one pixel of the map: its view is not blurred
    place = (torch.tensor([column, row]) - (size - 1) / 2) * model.pixel_scale
    batch = with_segments(toy_batch(12, size), packed(torch.ones(12, 1, 5), place.expand(12, 1, 2)))
    read = []
    monkeypatch.setattr(color_aware_lens, "_at", lambda *given: read.append(_at(*given)) or read[0])
    batch["image"].requires_grad_()
    model(batch)
    (gradient,) = torch.autograd.grad(read[0][:, 1].square().sum(), batch["image"])
    rows, columns = (gradient.abs().sum(dim=(0, 1)) > 0).nonzero(as_tuple=True)
    assert (rows.min() + rows.max()).item() / 2 == row
    assert (columns.min() + columns.max()).item() / 2 == column


def test_without_feedback_nothing_is_there_that_does_not_learn():
    model = built(ColorAwareLens, feedback=False)
    batch = group([[BLUE, BLUE, RED], [RED, BLUE, BLUE]])
    found = model(batch)
    (found.logit.sum() + model.loss_terms(found, batch, ("colour",))["colour"].sum()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def colour_loss(model: ColorAwareLens, batch: dict, member: torch.Tensor | None = None):
    found = model(batch)
    if member is not None:
        found.internals["membership"] = member
    return model.loss_terms(found, batch, ("colour",))["colour"]


def test_the_colour_term_teaches_the_grouping_head():
    model = built(ColorAwareLens)
    colour_loss(model, group([[BLUE, BLUE, RED], [RED, BLUE, BLUE]])).sum().backward()
    reached = {n: p.grad.norm() for n, p in model.grouping.named_parameters() if p.grad is not None}
    assert all(reached[n] > 0 for n in reached if not n.endswith("key.bias"))
    assert reached["logit.weight"] > 1e-3
    assert model.backbone.embedder.embedder.convolution.weight.grad.norm() > 0


def test_memberships_follow_colour_and_do_not_collapse():
    model = built(ColorAwareLens).eval()
    rng = np.random.default_rng(1)
    fluxes = np.array([[BLUE, BLUE, RED], [BLUE, RED, BLUE], [RED, BLUE, BLUE]] * 4)
    batch = group(fluxes + rng.normal(0, 1, fluxes.shape))
    optimiser = torch.optim.Adam(model.grouping.parameters(), lr=1e-2)
    for _ in range(120):
        optimiser.zero_grad()
        colour_loss(model, batch).mean().backward()
        optimiser.step()
    member = model(batch).internals["membership"].detach()
    stranger = torch.eye(3, dtype=torch.bool)[[2, 1, 0] * 4]
    assert member[~stranger].min() > 0.9
    assert member[stranger].max() < 0.1


def test_dust_on_one_image_is_forgiven_and_another_colour_is_not():
    model, one = built(ColorAwareLens).eval(), torch.ones(1, 3)
    curve = reddening_curve(np.array([0.5]), 10 ** model.dust.usual.numpy().astype(float))[0]
    same = np.array([BLUE, BLUE, BLUE])
    dusty, other = same.copy(), same.copy()
    dusty[0] *= 10 ** (-0.4 * 0.15 * curve)
    # a change of the same size at right angles to the reddening
    bent = np.array([1.0, -1.0, 1.0, -1.0, 1.0])
    bent -= curve * (bent @ curve) / (curve @ curve)
    other[0] *= 10 ** (-0.4 * 0.15 * bent * np.linalg.norm(curve) / np.linalg.norm(bent))
    plain, reddened, changed = (
        float(colour_loss(model, group([flux], sigma=0.5), one).detach())
        for flux in (same, dusty, other)
    )
    assert reddened - plain < 3
    assert changed - plain > 5 * (reddened - plain)


def test_quasar_images_weigh_a_tenth():
    model, one = built(ColorAwareLens).eval(), torch.ones(1, 3)
    extended, points = (
        colour_loss(model, group([[BLUE, RED, RED]], psf_likeness=likeness), one)
        for likeness in (0.4, 0.95)
    )
    torch.testing.assert_close(points, 0.1 * extended)


def test_the_group_tells_the_classifier_of_its_colours():
    model = built(ColorAwareLens).eval()
    found = model(group([[BLUE, BLUE, BLUE], [BLUE, RED, RED]]))
    distance = found.auxiliary["colour_distance"]
    assert distance[0] < 0.1 < 3 < distance[1]
    assert found.features.shape[1] == 24 + 16
    assert built(ColorAwareLens, feedback=False)(toy_batch()).features.shape[1] == 24


def test_the_dust_is_at_the_redshift_and_in_the_filters_of_the_sample():
    batch = toy_batch(3)
    batch["metadata"][:] = torch.nan
    z, wavelength = CONDITIONS.index("log_1_plus_z"), CONDITIONS.index("log_wavelength_i")
    batch["metadata"][1, z] = np.log10(1.2)
    batch["metadata"][2, wavelength] = np.log10(1.5)
    usual = np.array([0.481, 0.623, 0.774, 0.891, 0.978])
    changed = np.where(np.arange(5) == 2, 1.5, usual)
    expected = reddening_curve(np.array([0.5, 0.2, 0.5]), np.stack([usual, usual, changed]))
    assert LensDust(conditioned())(batch).numpy() == pytest.approx(expected, rel=2e-3)
    hidden = LensDust(conditioned(conditions_hidden=("log_1_plus_z",)))(batch)
    assert torch.equal(hidden[0], hidden[1])
