"""What `pinn_lens` is taught by and told: chi2, the source plane, loss terms, the correction."""

from functools import partial

import numpy as np
import pytest
import torch
from lens_systems import draw_systems, one_system
from pinn_samples import (
    AT,
    GRID,
    PSF,
    SCALE,
    batch_of,
    fitted,
    lenses,
)
from scipy.ndimage import gaussian_filter
from scipy.optimize import nnls
from training_toy import alternating, toy_table

from lenshunt.lensing import PixelGrid, RenderFailures, render
from lenshunt.lensing import render_batch as templates_of
from lenshunt.lensing.simulator import columns_of, source_position
from lenshunt.models.lens_fit import fit_lenses
from lenshunt.models.lens_terms import (
    bright_places,
    lens_equation_term,
    magnification,
    physics_term,
    simulated_term,
)
from lenshunt.models.potential_correction import (
    deflection_at,
    deflection_of,
    mass_loss,
    spline_basis,
)
from lenshunt.models.render_features import source_plane
from lenshunt.training.classification import Classification


def test_lowering_the_logits_is_no_way_to_lower_the_physics_loss():
    params, batch = lenses(4)
    params.requires_grad_()
    fit = fitted(params, batch)
    logit = torch.zeros(4, requires_grad=True)
    terms = physics_term(logit, fit) + lens_equation_term(logit, params, fit, GRID)
    # the value does fall, that is what a gate is for, but no gradient says so
    assert (physics_term(logit - 5, fit) < physics_term(logit, fit)).all()
    by_logit, by_params = torch.autograd.grad(terms.sum(), (logit, params), allow_unused=True)
    assert by_logit is None
    assert by_params.abs().max() > 0


def test_an_object_weighs_as_much_more_as_its_probability_of_being_a_lens_is_higher():
    params, batch = lenses(1)
    twice = {name: torch.cat([values, values]) for name, values in batch.items()}
    both = params.repeat(2, 1).requires_grad_()
    term = physics_term(torch.tensor([2.0, -2.0]), fitted(both, twice))
    (gradient,) = torch.autograd.grad(term.sum(), both)
    torch.testing.assert_close(gradient[0], np.exp(2) * gradient[1], rtol=1e-4, atol=1e-5)


def test_the_loss_falls_towards_the_true_einstein_radius():
    truth, batch = lenses(6, lens_sersic=2.0)
    for factor in (0.85, 1.2):
        wrong = truth.clone()
        wrong[:, AT["theta_e"]] *= factor
        worse = physics_term(torch.zeros(6), fitted(wrong, batch))
        assert (worse > physics_term(torch.zeros(6), fitted(truth, batch))).all()


def test_a_true_lens_has_chi2_one_and_the_gain_of_scipys_fits():
    truth, batch = lenses(6)
    fit = fitted(truth, batch)
    torch.testing.assert_close(fit.reduced, torch.ones(6), atol=0.05, rtol=0)
    shapes = templates_of(truth, GRID, PSF)[:, 0].flatten(2).mT.double().numpy()
    data = batch["image"].flatten(2).double().numpy()
    expected = [
        sum(nnls(shape[:, :1], band)[1] ** 2 - nnls(shape, band)[1] ** 2 for band in image)
        for shape, image in zip(shapes, data, strict=True)
    ]
    np.testing.assert_allclose(fit.gain.numpy(), expected, rtol=1e-4, atol=0.05)


def test_the_source_plane_agrees_with_itself_under_the_true_lens_only():
    truth, batch = lenses(8, source_radius=0.25)
    wrong = truth.clone()
    wrong[:, AT["theta_e"]] *= 1.3
    # ln(1 + chi2 per pixel) of the worst cell; even a true lens's images are blurred differently
    true, false = (
        source_plane(fitted(params, batch), params, GRID)[:, 1].amax(dim=(1, 2))
        for params in (truth, wrong)
    )
    assert (true < false).float().mean() >= 0.75
    assert true.mean() < false.mean() - 0.3


def test_the_source_appears_where_it_is():
    x, y = 0.3, -0.2
    params = one_system(source_x=x, source_y=y, source_radius=0.1)
    image = render(params, torch.tensor([[[1000.0, 300.0]] * 5]), GRID, PSF)
    plane = source_plane(fitted(params, batch_of(image)), params, GRID)[0, 0]
    row, column = divmod(int(plane.argmax()), plane.shape[1])
    cell = 2 * 1.2 / plane.shape[1]
    place = [(i + 0.5) * cell - 1.2 for i in (column, row)]
    assert np.hypot(place[0] - x, place[1] - y) < 1.5 * cell


def two_images(**values: float) -> tuple[torch.Tensor, dict]:
    """A point-like source 0.3 arcsec off a round lens of 1.2: images at x = 1.5 and -0.9.

    A hundredth of an arcsec up, so that no two pixels of an image are equally bright.
    """
    params = one_system(source_x=0.3, source_y=0.01, source_radius=0.03, lens_radius=0.3)
    image = render(params, torch.tensor([[[500.0, 300.0]] * 5]), GRID, PSF)
    wrong = params.clone()
    for name, value in values.items():
        wrong[:, AT[name]] = value
    return wrong, batch_of(image)


def test_the_images_of_a_point_source_are_found_where_they_are():
    params, batch = two_images()
    x, y, weight = bright_places(fitted(params, batch), params, GRID)
    found = sorted(x[0][weight[0] > 0].tolist())
    assert found == pytest.approx([-0.9, 1.5], abs=SCALE)
    assert y[0][weight[0] > 0].abs().max() < SCALE


@pytest.mark.parametrize("smoothed_px", [0.0, 0.8, 1.2])
def test_noise_is_not_taken_for_images_however_correlated(smoothed_px):
    noise = np.random.default_rng(0).normal(size=(32, 5, 48, 48))
    noise = gaussian_filter(noise, (0, 0, smoothed_px, smoothed_px), mode="wrap")
    batch = batch_of(torch.tensor(noise / noise.std()).float())
    batch["noise_corr"] = torch.full((32, 5), max(1.0, 4 * np.pi * smoothed_px**2))
    params = torch.tensor(draw_systems(np.random.default_rng(1), 32)).float()
    fit = fitted(params, batch)
    found = fit.in_sigma_of_nine(batch["image"])
    assert float(found[:, 1:-1, 1:-1].std()) == pytest.approx(1.0, abs=0.1)
    assert (bright_places(fit, params, GRID)[2] > 0).float().mean() < 0.01


def test_the_lens_equation_term_is_least_for_the_true_lens():
    values = []
    for theta_e in (0.9, 1.05, 1.2, 1.35, 1.5):
        params, batch = two_images(theta_e=theta_e)
        # the peaks are those of the data, found with the true lens galaxy
        values.append(
            float(lens_equation_term(torch.zeros(1), params, fitted(params, batch), GRID))
        )
    assert values.index(min(values)) == 2
    assert values[0] > values[1] > values[2] < values[3] < values[4]


def test_magnification_is_that_of_an_isothermal_sphere():
    x = torch.tensor([[1.5, -0.9, 3.0]])
    columns = columns_of(one_system(), dims=1)
    found = magnification(
        x, torch.zeros_like(x), lambda *at: torch.stack(source_position(*at, columns), dim=-1)
    )
    torch.testing.assert_close(found, 1 / (1 - 1.2 / x.abs()), rtol=1e-2, atol=0)


def test_einstein_radii_are_learned_where_they_are_known():
    params = one_system(batch=3)
    truth = torch.tensor([1.2, torch.nan, 2.4])
    loss = simulated_term(params, truth)
    assert loss[0] == loss[1] == 0
    # beyond 0.2 in ln theta_E the loss is linear
    assert float(loss[2]) == pytest.approx(np.log(2) - 0.1, rel=1e-5)


def test_true_einstein_radii_come_with_the_batches_of_a_classification():
    table = toy_table(alternating(4))
    table["einstein_radius"] = [np.nan, 1.3, np.nan, np.nan]
    found = Classification(table).columns(table)["theta_e"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [np.nan, 1.3, np.nan, np.nan], rtol=1e-6)


def test_a_correction_deflects_by_the_gradient_of_its_potential():
    torch.manual_seed(3)
    grid = PixelGrid(64, 0.1, 1)
    nodes = 0.05 * torch.randn(1, 5, 5)
    value, _ = spline_basis(5, 6.4, 64, 3.2, "cpu")
    potential = value @ nodes @ value.mT
    found = deflection_of(nodes, grid)
    along_x = (potential[:, :, 2:] - potential[:, :, :-2]) / 0.2
    along_y = (potential[:, 2:] - potential[:, :-2]) / 0.2
    torch.testing.assert_close(found[:, 0, :, 1:-1], along_x, atol=2e-3, rtol=0.02)
    torch.testing.assert_close(found[:, 1, 1:-1], along_y, atol=2e-3, rtol=0.02)
    # nothing happens at the edge of the image
    assert found[..., 0].abs().max() < 1e-3


def test_the_images_of_a_corrected_lens_come_from_one_source_by_its_correction():
    params = one_system(source_x=0.3, source_y=0.01, source_radius=0.03, lens_radius=0.3)
    nodes = torch.zeros(1, 5, 5)
    nodes[0, 3, 3] = -0.6
    more = deflection_of(nodes, GRID)
    templates = templates_of(params, GRID, PSF, more)[:, 0]
    light = torch.einsum("bcyx,c->byx", templates, torch.tensor([500.0, 300.0]))
    batch = batch_of(light[:, None].expand(1, 5, -1, -1))
    fit = fit_lenses(params, batch, torch.ones(5), GRID, PSF, 19, RenderFailures(), more)
    term = partial(lens_equation_term, torch.zeros(1), params, fit, GRID)
    assert (bright_places(fit, params, GRID)[2] > 0).sum() >= 2
    assert 5 * term(nodes) < term()
    nodes.requires_grad_()
    term(nodes).sum().backward()
    assert nodes.grad.norm() > 0


def test_a_correction_deflects_a_ray_as_it_does_the_pixel_there():
    torch.manual_seed(3)
    nodes = 0.05 * torch.randn(2, 5, 5)
    x, y = PixelGrid(GRID.size_px, SCALE, 1).rays()
    whole = deflection_of(nodes, PixelGrid(GRID.size_px, SCALE, 1))
    at_x, at_y = (axis.expand(2, 48, 48).flatten(1) for axis in (x, y))
    found = torch.stack(deflection_at(nodes, at_x, at_y, GRID), dim=1)
    torch.testing.assert_close(found, whole.flatten(2), atol=1e-6, rtol=1e-4)


def test_a_correction_moves_the_arcs_and_none_leaves_them():
    params = one_system(source_x=0.2)
    plain = templates_of(params, GRID, PSF)
    for size, same in ((0.0, True), (0.05, False)):
        more = deflection_of(torch.full((1, 5, 5), size) * torch.randn(1, 5, 5), GRID)
        moved = templates_of(params, GRID, PSF, more)
        assert torch.equal(moved[:, :, 0], plain[:, :, 0])
        assert torch.equal(moved[:, :, 1], plain[:, :, 1]) == same


def test_a_correction_must_not_make_or_negate_mass():
    params = one_system()
    assert float(mass_loss(torch.zeros(1, 5, 5), params, GRID)) < 1e-12
    # a bowl of 1 arcsec^2 in the middle: far more mass moved than the lens has around there
    bowl = torch.zeros(1, 5, 5)
    bowl[0, 1, 1] = 1.0
    assert float(mass_loss(bowl, params, GRID)) > float(mass_loss(0.1 * bowl, params, GRID)) > 0
