"""The grouping head: colours up to dust decide who is an image of one source."""

import numpy as np
import pytest
import torch
from segment_models import built, group
from segment_samples import BLUE, RED
from test_models_inputs import conditioned
from test_models_registry import toy_batch
from torch.nn import functional

from lenshunt.lensing import reddening_curve
from lenshunt.models import CONDITIONS
from lenshunt.models.color_aware_lens import ColorAwareLens, _at
from lenshunt.models.lens_dust import LensDust


def test_the_grouping_head_sees_the_image_where_its_segment_is():
    features = torch.randn(2, 3, 8, 8)
    place = torch.tensor([[[0.3, -0.9], [2.0, 1.1], [0.0, 0.0]]]).expand(2, -1, -1)
    expected = functional.grid_sample(
        features, place[:, :, None] / 2.5, padding_mode="border", align_corners=False
    )
    torch.testing.assert_close(_at(features, place, 2.5), expected[..., 0].mT)


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
