"""The grouping head: colours up to dust decide who is an image of one source."""

import numpy as np
import pytest
import torch
from segment_models import built, group
from segment_samples import BLUE, RED, packed, padding, with_segments
from small_models import conditioned, small, toy_batch
from torch.nn import functional

from lenshunt.lensing import reddening_curve
from lenshunt.models import CONDITIONS, build_model, color_aware_lens
from lenshunt.models.color_aware_lens import ColorAwareLens
from lenshunt.models.grouping import grouping_term, image_truth
from lenshunt.models.lens_dust import LensDust
from lenshunt.models.segment_patches import values_at


def test_a_map_is_read_bilinearly_and_beside_it_at_its_edge():
    features = torch.randn(2, 3, 8, 8)
    place = torch.tensor([[[3.3, 0.9], [-2.0, 5.1], [9.0, 7.0]]]).expand(2, -1, -1)
    expected = functional.grid_sample(
        features, place[:, :, None] / 3.5 - 1, padding_mode="border", align_corners=True
    )
    torch.testing.assert_close(values_at(features, place), expected[..., 0].mT)


@pytest.mark.parametrize("size", [64, 65])
@pytest.mark.parametrize(("stem_stride", "stem_pool"), [(2, True), (2, False), (1, False)])
def test_what_the_grouping_head_sees_of_the_image_lies_around_its_segment(
    size, stem_stride, stem_pool, monkeypatch
):
    torch.manual_seed(0)
    stem = {"stem_stride": stem_stride, "stem_pool": stem_pool}
    # without residual channels, which see the opposite side of the image too
    config = small("color_aware_lens", backbone=stem).model_copy(
        update={"residual_channels": False}
    )
    model = build_model(config, conditioned()).eval()
    column, row = 32, 36  # seen by the middle of one pixel of the map: its view is not blurred
    place = (torch.tensor([column, row]) - (size - 1) / 2) * model.pixel_scale
    batch = with_segments(toy_batch(12, size), packed(torch.ones(12, 1, 5), place.expand(12, 1, 2)))
    read = []

    def reading(*given: torch.Tensor) -> torch.Tensor:
        read.append(values_at(*given))
        return read[0]

    monkeypatch.setattr(color_aware_lens, "values_at", reading)
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


def lens_system(theta_e: float = 1.0, around=(1.5, 0.7, 4.0, 5.0)) -> dict:
    """One sample of segments at these distances from the middle, in arcsec."""
    angle = np.arange(len(around)) * 2.4
    place = np.array(around)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    batch = with_segments(toy_batch(1), packed(np.array([[BLUE] * len(around)]), place[None]))
    return {**batch, "theta_e": torch.tensor([theta_e])}


def grouping_loss(model: ColorAwareLens, batch: dict, member: torch.Tensor | None = None):
    return term(model, "grouping", batch, member)


def term(model: ColorAwareLens, name: str, batch: dict, member: torch.Tensor | None):
    found = model(batch)
    if member is not None:
        found.internals["membership"] = member
    return model.loss_terms(found, batch, (name,))[name]


def test_the_images_of_an_isothermal_lens_are_members_and_what_lies_far_is_not():
    # theta_E + beta and theta_E - beta for every offset that gives two images
    beta = torch.linspace(0.0, 0.99, 12)
    theta_e = torch.full((12,), 1.3)
    images = theta_e[:, None] * torch.stack([1 + beta, 1 - beta], dim=1)
    assert (image_truth(images, theta_e) == 1).all()
    assert (image_truth(3.0 * theta_e[:, None], theta_e) == 0).all()
    assert torch.isnan(image_truth(2.4 * theta_e[:, None], theta_e)).all()
    for unknown in (torch.nan, 0.0, -1.0):
        assert torch.isnan(image_truth(images, torch.full((12,), unknown))).all()


def test_the_true_group_costs_little_and_its_opposite_much():
    model, batch = built(ColorAwareLens).eval(), lens_system()
    true = torch.tensor([[0.98, 0.98, 0.02, 0.02]])
    right, wrong, half = (
        float(grouping_loss(model, batch, member)) for member in (true, 1 - true, 0 * true + 0.5)
    )
    assert right == pytest.approx(-np.log(0.98), rel=1e-3)
    assert wrong == pytest.approx(-np.log(0.02), rel=1e-3)
    assert half == pytest.approx(np.log(2), rel=1e-3)
    # everything, as well as nothing, is no better than not to know
    assert min(float(grouping_loss(model, batch, 0 * true + w)) for w in (0.02, 0.98)) > half


def test_many_strangers_do_not_outweigh_one_image():
    member = torch.tensor([[0.3, 0.2, 0.2, 0.2, 0.2]])
    many = torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.0]])
    few = torch.tensor([[1.0, 0.0, torch.nan, torch.nan, torch.nan]])
    torch.testing.assert_close(grouping_term(member, many), grouping_term(member, few))


def test_a_sample_of_unknown_einstein_radius_teaches_no_group():
    model = built(ColorAwareLens).eval()
    batch = lens_system(torch.nan)
    loss = grouping_loss(model, batch)
    assert loss.shape == (1,)
    assert float(loss.detach()) == 0.0
    loss.sum().backward()
    grown = [p.grad for p in model.parameters() if p.grad is not None]
    assert grown
    assert all((gradient == 0).all() for gradient in grown)


def test_padding_and_systems_without_segments_are_no_members_of_anything():
    model = built(ColorAwareLens).eval()
    batch = lens_system()
    more = with_segments(batch, torch.cat([batch["segments"], padding(1, 3)], dim=1))
    member = torch.tensor([[0.9, 0.8, 0.3, 0.1]])
    longer = torch.cat([member, torch.zeros(1, 3)], dim=1)
    torch.testing.assert_close(
        grouping_loss(model, batch, member), grouping_loss(model, more, longer)
    )
    assert float(grouping_loss(model, with_segments(batch, padding(1, 3))).detach()) == 0.0


def test_the_grouping_term_teaches_the_head_and_the_backbone():
    model = built(ColorAwareLens).eval()
    grouping_loss(model, lens_system()).sum().backward()
    assert model.grouping.logit.weight.grad.norm() > 1e-3
    assert model.grouping.bias.weight.grad.norm() > 0
    assert model.local[0].weight.grad.norm() > 0
    assert model.backbone.embedder.embedder.convolution.weight.grad.norm() > 0


def test_the_classifier_bends_no_membership():
    model, batch = built(ColorAwareLens).eval(), lens_system()
    found = model(batch)
    (gradient,) = torch.autograd.grad(
        found.logit.sum(), found.internals["membership"], allow_unused=True
    )
    assert gradient is None
    model(batch).logit.sum().backward()
    assert model.grouping.logit.weight.grad is None
    # what it is told changes with them all the same
    with torch.no_grad():
        model.grouping.logit.bias -= 8
        assert not torch.allclose(model(batch).logit, found.logit, atol=1e-4)


def test_a_group_is_learned_from_the_places_of_images():
    model = built(ColorAwareLens).eval()
    # the same distances in arcsec: what is near one lens is far from the other, by its image alone
    systems = [lens_system(1.6, (2.5, 2.9, 5.0)), lens_system(0.7, (2.5, 2.9, 1.0))]
    batch = {name: torch.cat([one[name] for one in systems]) for name in systems[0]}
    batch["image"][0] += 3.0
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        grouping_loss(model, batch).mean().backward()
        optimiser.step()
    member = model(batch).internals["membership"].detach()
    expected = torch.tensor([[1.0, 1, 0], [0, 0, 1]])
    assert (member - expected).abs().max() < 0.2


def test_a_batch_without_true_radii_is_refused_by_the_grouping_term():
    model, batch = built(ColorAwareLens).eval(), lens_system()
    del batch["theta_e"]
    found = model(batch)
    assert float(model.loss_terms(found, batch, ("colour",))["colour"].detach()) >= 0
    with pytest.raises(ValueError, match=r"no column theta_e; remove loss_terms\.grouping"):
        model.loss_terms(found, batch, ("grouping",))


def colour_loss(model: ColorAwareLens, batch: dict, member: torch.Tensor | None = None):
    return term(model, "colour", batch, member)


def test_the_colour_term_teaches_the_grouping_head():
    model = built(ColorAwareLens)
    colour_loss(model, group([[BLUE, BLUE, RED], [RED, BLUE, BLUE]])).sum().backward()
    reached = {n: p.grad.norm() for n, p in model.grouping.named_parameters() if p.grad is not None}
    assert all(reached[n] > 0 for n in reached if not n.endswith("key.bias"))
    assert reached["logit.weight"] > 1e-3
    assert model.backbone.embedder.embedder.convolution.weight.grad.norm() > 0


@pytest.mark.slow
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
