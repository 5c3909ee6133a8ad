"""Fits of lenses: exact derivatives, errors at the Cramer-Rao bound, symmetry, honest failures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from recovery import recover
from recovery_images import (
    SETTINGS,
    Setting,
    draw_impostors,
    draw_lenses,
    perturbed,
)

from lenshunt.lensing import (
    COMPANION,
    GALAXY,
    LENS,
    RING,
    Comparison,
    PixelGrid,
    compare_explanations,
    cramer_rao_sigma,
    fit_compare,
    fit_galaxy,
    fit_shapes,
    render_batch,
)
from lenshunt.lensing.fit_compare import prior_draws
from lenshunt.lensing.fit_templates import second_shapes, templates
from lenshunt.lensing.symmetry import SkyMove, move_parameters

pytestmark = pytest.mark.slow

SMALL = Setting("small", PixelGrid(30, 0.15), (0.3,))


def _observe(shapes: torch.Tensor, snr: float, seed: int) -> tuple[torch.Tensor, ...]:
    """Images of `shapes` [n, band, 2, y, x], second component of this S/N: noisy, clean, variance.

    The galaxy has S/N 150, the noise unit variance.
    """
    norm = shapes.square().sum((-2, -1)).sqrt().clamp(min=1e-12)
    fluxes = torch.tensor([150.0, snr]) / norm
    clean = (shapes * fluxes[..., None, None]).sum(dim=2)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    return clean + noise, clean, torch.ones_like(clean)


def _lenses(n: int, snr: float, seed: int):
    truth = draw_lenses(np.random.default_rng(seed), n)
    return truth, _observe(render_batch(truth, SMALL.grid, SMALL.psf()), snr, seed)


@pytest.mark.parametrize("model", [LENS, RING, COMPANION, GALAXY], ids=lambda m: m.name)
def test_derivatives_of_the_templates_equal_finite_differences(model):
    grid, step = PixelGrid(12, 0.3), 1e-6
    params = prior_draws(model, 2, torch.Generator().manual_seed(1)).double()
    made = templates(model, params, grid, None)
    columns = [model.names.index(name) for name in model.free]
    moves = step * torch.eye(len(model.names), dtype=torch.float64)[columns]
    ends = torch.cat([params[:, None] + moves, params[:, None] - moves], dim=1)
    shapes = templates(model, ends.flatten(0, 1), grid, None).shapes[:, 0]
    plus, minus = shapes.unflatten(0, (2, -1)).chunk(2, dim=1)
    for column, name in enumerate(model.free):
        owner = made.owner[column]
        numeric = (plus[:, column, owner] - minus[:, column, owner]) / (2 * step)
        scale = float(numeric.abs().max())
        assert scale > 0
        slope = made.slopes[:, 0, column]
        assert torch.allclose(slope, numeric, rtol=0, atol=1e-4 * scale), name


def test_templates_of_a_lens_are_those_of_the_simulator():
    params, psf = draw_lenses(np.random.default_rng(0), 3), SETTINGS["ground"].psf()
    grid = SETTINGS["ground"].grid
    expected = render_batch(params, grid, psf)
    torch.testing.assert_close(templates(LENS, params, grid, psf).shapes, expected)
    torch.testing.assert_close(second_shapes(LENS, params, grid, psf), expected[:, :, 1])


def test_theta_e_of_bright_lenses_is_found_within_the_scatter_of_the_cramer_rao_bound():
    psf = SMALL.psf()
    truth, (image, clean, variance) = _lenses(6, 100.0, 3)
    start = perturbed(np.random.default_rng(4), truth)
    fit = fit_shapes(LENS, start, image, variance, SMALL.grid, psf)
    sigma = cramer_rao_sigma(truth, clean, variance, SMALL.grid, psf)
    error = torch.log(fit.column("theta_e") / truth[:, 0])
    assert not fit.failed.any()
    # the starts are far outside of what is then found
    assert (torch.log(start[:, 0] / truth[:, 0]).abs() / sigma).median() > 4
    assert (error.abs() < 4 * sigma).all()
    assert (sigma < 0.05).all()
    # the error that a fit claims for itself is that of the bound
    assert (fit.sigma("theta_e") / sigma).log().abs().median() < 0.3
    # a perfect model leaves the noise: chi2 has a mean of dof and a spread of sqrt(2 dof)
    dof = image[0].numel() - len(LENS.free) - 2
    assert ((fit.chi2 - dof).abs() < 5 * (2 * dof) ** 0.5).all()


def test_a_turned_image_gives_the_turned_lens():
    psf = SMALL.psf()
    truth, (image, _, variance) = _lenses(3, 100.0, 5)
    quarter = SkyMove(
        torch.zeros(3, dtype=torch.bool), torch.full((3,), torch.pi / 2), torch.ones(3)
    )
    fit = fit_shapes(LENS, truth, image, variance, SMALL.grid, psf)
    turned = fit_shapes(
        LENS,
        move_parameters(truth, quarter),
        torch.rot90(image, 1, (-1, -2)),
        variance,
        SMALL.grid,
        psf,
    )
    torch.testing.assert_close(turned.column("theta_e"), fit.column("theta_e"), rtol=2e-3, atol=0)
    torch.testing.assert_close(turned.chi2, fit.chi2, rtol=0, atol=0.1)
    expected = move_parameters(fit.params, quarter)
    # each within a small part of its own error
    pull = (turned.params - expected)[:, [LENS.names.index(name) for name in LENS.free]]
    linear = [i for i, name in enumerate(LENS.free) if not LENS.priors[name].logarithmic]
    sigma = turned.covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    assert (pull[:, linear].abs() < 0.3 * sigma[:, linear]).all()


def test_a_fit_that_fails_is_reported_and_leaves_the_others_alone():
    psf = SMALL.psf()
    truth, (image, _, variance) = _lenses(3, 50.0, 6)
    alone = fit_shapes(LENS, truth[:1], image[:1], variance[:1], SMALL.grid, psf)
    start, image = truth.clone(), image.clone()
    start[1, LENS.names.index("source_radius")] = torch.nan
    image[2] = torch.nan
    fit = fit_shapes(LENS, start, image, variance, SMALL.grid, psf)
    assert fit.failed.tolist() == [False, True, True]
    for value in (fit.params, fit.chi2, fit.penalty, fit.log_evidence, fit.sigma("theta_e")):
        assert torch.isfinite(value[0]).all()
        assert torch.isnan(value[1:]).all()
    torch.testing.assert_close(fit.chi2[:1], alone.chi2, rtol=1e-4, atol=0.05)


def test_pixels_that_are_not_usable_do_not_matter():
    psf = SMALL.psf()
    truth, (image, _, variance) = _lenses(1, 80.0, 7)
    variance[:, :, 3:6, 20:25] = torch.inf
    fit = fit_shapes(LENS, truth, image, variance, SMALL.grid, psf)
    image[:, :, 3:6, 20:25] = 1e6
    other = fit_shapes(LENS, truth, image, variance, SMALL.grid, psf)
    assert torch.equal(fit.params, other.params)


def test_blind_fits_tell_a_lens_from_a_ring_and_both_from_a_galaxy_alone(monkeypatch):
    # of bright, well resolved images a small bank holds starts that are good enough
    monkeypatch.setattr(fit_compare, "BANK", 400)
    monkeypatch.setattr(fit_compare, "STARTS", 2)
    psf, grid, rng = SMALL.psf(), SMALL.grid, np.random.default_rng(8)
    shapes = render_batch(draw_lenses(rng, 3), grid, psf)
    shapes[1:2, :, 1] = draw_impostors(rng, 1, SMALL, psf)
    shapes[2, :, 1] = 0.0
    image, _, variance = _observe(shapes, 80.0, 8)
    result = compare_explanations(image, variance, grid, psf)
    assert (result.gain >= 0).all()
    assert (result.gain[:2] > 100).all()
    assert (result.log_bayes[:1] > 0).all()
    assert (result.log_bayes[1:] < 0).all()
    # nothing but a galaxy: the simplest explanation has the most evidence
    best = torch.stack(
        [fit.log_evidence[2] for fit in (result.lens, result.ring, result.companion)]
    )
    assert (best < result.galaxy.log_evidence[2]).all()


def test_a_search_that_falls_short_gives_no_negative_gain_and_a_failure_none_at_all():
    psf = SMALL.psf()
    _, (image, _, variance) = _lenses(2, 30.0, 9)
    galaxy = fit_galaxy(image, variance, SMALL.grid, psf)
    worse = replace(galaxy, chi2=galaxy.chi2 + torch.tensor([5.0, torch.nan]))
    gain = Comparison(galaxy, worse, galaxy, galaxy, torch.ones(2)).gain
    assert gain[0] == 0
    assert torch.isnan(gain[1])


def test_errors_of_12_lenses_seen_from_the_ground_are_those_of_the_bound():
    torch.set_num_threads(1)
    result = recover(12, SETTINGS["ground"])
    assert result.failed == 0
    # no better minimum is found from the truth
    assert np.mean(result.excess < 1) >= 0.9
    bright = result.snr > 20
    assert bright.sum() >= 3
    assert np.sqrt(np.mean((result.error / result.sigma)[bright] ** 2)) < 2
