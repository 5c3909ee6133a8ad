"""The Moffat profile: half of its peak at half its FWHM, its flux, its integral over pixels."""

import math

import numpy as np
import pytest
from astropy.modeling.functional_models import Moffat2D

from lenshunt.core.moffat import (
    moffat_alpha,
    moffat_profile,
    moffat_psf,
    moffat_radius_holding,
)

shapes = pytest.mark.parametrize(
    ("fwhm", "beta"), [(1.0, 3.0), (0.18, 2.5), (2.3, 4.765), (0.7, 1.3)]
)


@shapes
def test_the_profile_is_that_of_astropy(fwhm, beta):
    alpha = moffat_alpha(fwhm, beta)
    peer = Moffat2D(amplitude=1.0, gamma=alpha, alpha=beta)
    assert peer.fwhm == pytest.approx(fwhm, rel=1e-12)
    x, y = np.random.default_rng(1).normal(0.0, 3.0 * fwhm, (2, 100))
    np.testing.assert_allclose(moffat_profile(x**2 + y**2, alpha, beta), peer(x, y), rtol=1e-12)


@shapes
def test_the_profile_is_half_its_peak_at_half_the_fwhm(fwhm, beta):
    half = moffat_profile(np.array([0.25 * fwhm**2]), moffat_alpha(fwhm, beta), beta)
    np.testing.assert_allclose(half, 0.5, rtol=1e-12)


@shapes
def test_a_radius_holds_the_fraction_of_the_flux_that_it_says(fwhm, beta):
    alpha, fraction = moffat_alpha(fwhm, beta), 0.9
    radius = moffat_radius_holding(fraction, alpha, beta)
    r = np.linspace(0.0, radius, 200_001)
    inside = np.trapezoid(2 * np.pi * r * moffat_profile(r**2, alpha, beta), r)
    # of the infinite profile: pi alpha^2 / (beta - 1)
    assert inside == pytest.approx(fraction * np.pi * alpha**2 / (beta - 1), rel=1e-6)


@pytest.mark.parametrize(("fwhm", "beta", "scale"), [(1.0, 3.0, 0.168), (0.18, 2.5, 0.1)])
def test_a_moffat_psf_is_normalised_centred_and_holds_the_flux(fwhm, beta, scale):
    psf = moffat_psf(fwhm, beta, scale)
    size = len(psf)
    assert psf.shape == (size, size)
    assert size % 2 == 1
    assert psf.dtype == np.float32
    assert psf.sum() == pytest.approx(1.0, abs=1e-5)
    axis = np.arange(size)
    assert (psf.sum(axis=0) * axis).sum() == pytest.approx((size - 1) / 2, abs=1e-3)
    alpha = fwhm / 2 / math.sqrt(2 ** (1 / beta) - 1)
    radius = scale * size / 2
    assert 1 - (1 + radius**2 / alpha**2) ** (1 - beta) > 0.999


def test_moffat_pixels_are_integrals_over_the_pixel():
    coarse = moffat_psf(0.3, 3.0, 0.2, size_px=31)
    fine = moffat_psf(0.3, 3.0, 0.2 / 9, size_px=31 * 9)
    summed = fine.reshape(31, 9, 31, 9).sum(axis=(1, 3))
    np.testing.assert_allclose(coarse, summed / summed.sum(), atol=2e-6)


def test_a_moffat_profile_falls_to_half_at_half_the_fwhm():
    psf = moffat_psf(2.0, 3.0, 0.02, size_px=301)
    half = np.interp(1.0, 0.02 * np.arange(151), psf[150, 150:])
    assert half == pytest.approx(psf[150, 150] / 2, rel=2e-3)


@pytest.mark.parametrize(
    "bad", [{"beta": 1.0}, {"fwhm_arcsec": 0.0}, {"pixel_scale_arcsec": -1.0}, {"size_px": 20}]
)
def test_a_moffat_psf_with_impossible_numbers_is_refused(bad):
    good = {"fwhm_arcsec": 1.0, "beta": 3.0, "pixel_scale_arcsec": 0.2}
    with pytest.raises(ValueError, match="PSF"):
        moffat_psf(**{**good, **bad})
