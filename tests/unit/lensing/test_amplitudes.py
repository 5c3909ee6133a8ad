"""Flux fit: exact non-negative least squares, absent bands, degenerate templates, gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lens_systems import draw_systems, one_system
from scipy.optimize import nnls

from lenshunt.core.moffat import moffat_psf
from lenshunt.lensing import amplitudes
from lenshunt.lensing.pixel_grid import PixelGrid
from lenshunt.lensing.simulator import render, render_batch

GRID = PixelGrid(24, 0.168, 2)
PSF = torch.tensor(moffat_psf(0.7, 3.0, 0.168, 11))


def gain_of(
    image: torch.Tensor, variance: torch.Tensor, corr: torch.Tensor, shapes: torch.Tensor
) -> torch.Tensor:
    two, one = (amplitudes.fit_amplitudes(image, variance, shapes[:, :, :n]) for n in (2, 1))
    return amplitudes.chi2_gain(two, one, corr)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([-1.0, 0.0, 0.9, 0.999]))
def test_fluxes_equal_the_non_negative_least_squares_of_scipy(seed, correlation):
    rng = np.random.default_rng(seed)
    shapes = rng.normal(size=(2, 60))
    shapes[1] += correlation * shapes[0] * 3
    sigma = rng.uniform(0.5, 2, 60)
    data = rng.normal(0, 2) * shapes[0] + rng.normal(0, 2) * shapes[1] + sigma * rng.normal(size=60)
    expected, residual = nnls((shapes / sigma).T, data / sigma)
    as_image = [torch.tensor(v).reshape(1, -1, 6, 10) for v in (data, sigma**2)]
    fit = amplitudes.fit_amplitudes(*as_image, torch.tensor(shapes).reshape(1, 1, 2, 6, 10))
    assert fit.chi2.item() == pytest.approx(residual**2, rel=1e-9)
    np.testing.assert_allclose(fit.fluxes[0, 0].numpy(), expected, atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_source_never_makes_a_fit_worse(seed):
    generator = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng(seed)
    shapes = render_batch(torch.tensor(draw_systems(rng, 3)).float(), GRID, PSF)
    image = torch.randn(3, 5, 24, 24, generator=generator) * 10 ** rng.uniform(-2, 4)
    variance = torch.rand(3, 5, 24, 24, generator=generator) + 0.1
    gain = gain_of(image, variance, torch.ones(3, 5), shapes)
    assert (gain >= 0).all()
    two = amplitudes.fit_amplitudes(image, variance, shapes).chi2
    one = amplitudes.fit_amplitudes(image, variance, shapes[:, :, :1]).chi2
    assert (one - two >= -1e-5 * one).all()


def test_templates_that_are_copies_share_no_flux_and_fit_as_one():
    shapes = render_batch(one_system(), GRID, PSF)
    shapes[:, :, 1] = 2 * shapes[:, :, 0]
    image = 3 * shapes[:, :, 0].expand(-1, 5, -1, -1)
    fit = amplitudes.fit_amplitudes(image, torch.full_like(image, 1e-4), shapes)
    total = fit.fluxes[..., 0] + 2 * fit.fluxes[..., 1]
    torch.testing.assert_close(total, torch.full_like(total, 3.0))


def test_an_absent_band_has_no_flux_and_no_weight():
    shapes = render_batch(one_system(2), GRID, PSF)
    image, variance = torch.rand(2, 5, 24, 24), torch.ones(2, 5, 24, 24)
    variance[:, 1], image[:, 1] = torch.inf, torch.nan
    fit = amplitudes.fit_amplitudes(image, variance, shapes)
    assert (fit.fluxes[:, 1] == 0).all()
    assert (fit.chi2[:, 1] == 0).all()
    assert (fit.n_pixels == torch.tensor([576, 0, 576, 576, 576])).all()
    corr = torch.ones(2, 5)
    gain = gain_of(image, variance, corr, shapes)
    kept = [0, 2, 3, 4]
    same = gain_of(image[:, kept], variance[:, kept], corr[:, kept], shapes)
    torch.testing.assert_close(gain, same)


def test_correlated_noise_lowers_the_gain():
    truth = one_system(source_x=0.2)
    image = render(truth, torch.ones(1, 5, 2), GRID, PSF)
    shapes, variance = render_batch(truth, GRID, PSF), torch.full_like(image, 1e-4)
    gain = gain_of(image, variance, torch.ones(1, 5), shapes)
    torch.testing.assert_close(
        gain_of(image, variance, torch.full((1, 5), 2.5), shapes), gain / 2.5
    )


def test_the_gradient_of_the_fluxes_is_that_of_their_closed_form():
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(1, 2, 4, 4, generator=generator).double() + 0.5
    variance = torch.rand(1, 2, 4, 4, generator=generator).double() + 0.5
    shapes = torch.rand(1, 1, 2, 4, 4, generator=generator).double().requires_grad_()

    def fluxes(shapes: torch.Tensor) -> torch.Tensor:
        return amplitudes.fit_amplitudes(image, variance, shapes).fluxes

    assert (fluxes(shapes) > 0).any()
    assert torch.autograd.gradcheck(fluxes, (shapes,))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["copy", "nothing", "no data", "opposite"]))
def test_degenerate_templates_reach_the_chi2_of_scipy(seed, case):
    rng = np.random.default_rng(seed)
    shapes = rng.uniform(0, 1, size=(2, 60))
    sigma = rng.uniform(0.5, 2, 60)
    data = rng.uniform(-3, 3, 2) @ shapes + sigma * rng.normal(size=60)
    if case == "copy":
        shapes[1] = rng.uniform(0.1, 10) * shapes[0]
    elif case == "opposite":
        shapes[1] = -shapes[0]
    elif case == "nothing":
        shapes[rng.integers(2)] = 0
    else:
        data = np.zeros(60)
    _, residual = nnls((shapes / sigma).T, data / sigma)
    as_image = [torch.tensor(v).float().reshape(1, -1, 6, 10) for v in (data, sigma**2)]
    fit = amplitudes.fit_amplitudes(*as_image, torch.tensor(shapes).float().reshape(1, 1, 2, 6, 10))
    assert (fit.fluxes >= 0).all()
    assert torch.isfinite(fit.fluxes).all()
    assert fit.chi2.item() == pytest.approx(residual**2, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_fluxes_are_unbiased_in_every_unit_and_at_every_brightness(unit):
    shapes = render_batch(one_system(source_x=0.2), GRID, PSF)
    truth = torch.tensor([1e4, 3.0]) * unit
    image = (shapes * truth[:, None, None]).sum(dim=2)
    fit = amplitudes.fit_amplitudes(image, torch.full_like(image, (0.01 * unit) ** 2), shapes)
    torch.testing.assert_close(fit.fluxes[0, 0, 0], truth[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(fit.fluxes[0, 0, 1], truth[1], rtol=5e-3, atol=0)


def test_a_band_without_pixels_may_have_no_noise_correlation():
    shapes = render_batch(one_system(2, source_x=0.2), GRID, PSF)
    image, variance = torch.rand(2, 3, 24, 24), torch.ones(2, 3, 24, 24)
    variance[:, 1] = torch.inf
    corr = torch.ones(2, 3)
    expected = gain_of(image, variance, corr, shapes)
    corr[:, 1] = torch.nan
    torch.testing.assert_close(gain_of(image, variance, corr, shapes), expected)
