"""PSF matching on real HSC and HST PSFs, and what it does to noise and flux."""

import numpy as np
import pytest
from astropy.io import fits
from scipy.signal import fftconvolve

from lenshunt.config import Grid
from lenshunt.core.moffat import moffat_psf
from lenshunt.images import (
    convolve_batch,
    fwhm,
    kernel_for,
    matching_kernel,
    noise_correlation,
    psf_residual,
    resampling,
    target_psf,
    transform_kernels,
)

GROUND = Grid(psf_fwhm_arcsec=1.0, pixel_scale_arcsec=0.168, size_px=64)
SPACE = Grid(psf_fwhm_arcsec=0.2, pixel_scale_arcsec=0.06, size_px=128)
HSC_SCALE, HST_SCALE = 0.168, 0.03


def _hsc_psfs(folder):
    psfs = list(fits.getdata(folder / "PSF_HSC.fits"))
    for name in ("hsc_cosmos.npz", "hsc_cosmos_35.npz"):
        psfs += list(np.load(folder / name)["psfs"])
    return [np.asarray(psf, dtype=float) / psf.sum() for psf in psfs]


@pytest.mark.real
def test_real_hsc_psfs_match_a_moffat_of_one_arcsec_to_0_3_percent(real_data):
    residuals = [
        kernel_for(psf, HSC_SCALE, GROUND).residual for psf in _hsc_psfs(real_data / "hsc_cosmos")
    ]
    assert len(residuals) == 15
    assert max(residuals) <= 0.003


@pytest.mark.real
@pytest.mark.parametrize("grid", [GROUND, SPACE], ids=["ground", "space"])
def test_a_real_hst_psf_matches_both_grids_to_one_percent(real_data, grid):
    psf = fits.getdata(real_data / "hsc_cosmos" / "PSF_HST.fits").astype(float)
    result = kernel_for(psf / psf.sum(), HST_SCALE, grid)
    assert result.matched
    assert result.residual <= 0.01
    assert fwhm(result.psf, grid.pixel_scale_arcsec) == pytest.approx(
        grid.psf_fwhm_arcsec, rel=0.02
    )


@pytest.mark.real
def test_wiener_kernels_beat_a_gaussian_of_the_quadrature_difference(real_data):
    target = target_psf(GROUND, HSC_SCALE).astype(float)
    target_px = GROUND.psf_fwhm_arcsec / HSC_SCALE
    for psf in _hsc_psfs(real_data / "hsc_cosmos")[:5]:
        width = np.sqrt(GROUND.psf_fwhm_arcsec**2 - fwhm(psf, HSC_SCALE) ** 2) / HSC_SCALE / 2.355
        x = np.arange(67) - 33
        gaussian = np.exp(-(x[:, None] ** 2 + x**2) / (2 * width**2))
        padded = np.pad(psf, 20)
        peer = psf_residual(
            fftconvolve(padded, gaussian / gaussian.sum(), "same"), target, target_px
        )
        assert matching_kernel(psf, target, target_px).residual < 0.1 * peer


def test_the_target_has_the_configured_fwhm_at_any_pixel_scale():
    for grid in (GROUND, SPACE):
        for scale in (0.03, 0.06):
            assert fwhm(target_psf(grid, scale), scale) == pytest.approx(
                grid.psf_fwhm_arcsec, rel=0.01
            )
    assert fwhm(target_psf(GROUND, 0.2), 0.2) == pytest.approx(1.0, rel=0.01)


def test_fwhm_is_the_half_maximum_diameter_not_twice_the_half_light_radius():
    for beta in (2.5, 3.0, 4.8):
        psf = moffat_psf(0.8, beta, 0.05)
        assert fwhm(psf, 0.05) == pytest.approx(0.8, rel=0.01)


def test_a_broader_psf_is_left_alone_and_told_unmatched():
    result = kernel_for(moffat_psf(1.4, 3.0, 0.396), 0.396, GROUND)
    assert not result.matched
    assert result.residual > GROUND.psf_residual_max
    assert np.count_nonzero(result.match.kernel) == 1


def test_a_rotated_psf_gives_a_rotated_kernel():
    y, x = np.mgrid[-20:21, -20:21]
    psf = (1 + (x / 2.2) ** 2 + ((y - 0.3 * x) / 1.8) ** 2) ** -3.0
    target = target_psf(GROUND).astype(float)
    one = matching_kernel(psf / psf.sum(), target, 6.0).kernel
    other = matching_kernel(np.rot90(psf) / psf.sum(), target, 6.0).kernel
    np.testing.assert_allclose(np.rot90(one), other, atol=1e-10)


@pytest.mark.parametrize(
    "scale, grid, source_fwhm",
    [(0.168, GROUND, 0.6), (0.2, GROUND, 0.7), (0.06, GROUND, 0.1), (0.1, SPACE, 0.15)],
)
def test_pure_noise_has_the_variance_and_correlation_that_are_stored(scale, grid, source_fwhm):
    shape = (220, 220)
    result = kernel_for(moffat_psf(source_fwhm, 3.0, scale), scale, grid)
    size = int(160 * scale / grid.pixel_scale_arcsec)
    onto = resampling(shape, scale, grid.pixel_scale_arcsec, size)
    noise = np.random.default_rng(3).normal(size=(12, *shape)).astype(np.float32)
    transforms = transform_kernels([result.match.kernel], shape)
    which = np.zeros(len(noise), dtype=int)
    image, spread, _ = convolve_batch(noise, np.ones_like(noise), transforms, which)
    gain = onto.noise_gain(result.match.kernel) / np.square(result.match.kernel).sum()
    resampled, variance = onto.image(image), onto.smooth_map(spread) * gain
    inner = slice(size // 8, -(size // 8))
    pull = resampled[:, inner, inner] / np.sqrt(variance[:, inner, inner])
    assert pull.std() == pytest.approx(1.0, abs=0.02)
    # Sums over boxes many PSFs wide scatter by noise_corr more than the variances tell.
    box = int(6 * grid.psf_fwhm_arcsec / grid.pixel_scale_arcsec)
    sums, variances = (_box_sums(a[:, inner, inner], box) for a in (resampled, variance))
    ratio = np.mean(sums**2) / np.mean(variances)
    # The same without chance: noise of each raw pixel in the sum over the whole inner part.
    weight = np.outer(onto.y[inner].sum(axis=0), onto.x[inner].sum(axis=0)) * onto.area_ratio
    of_sum = np.square(fftconvolve(weight, result.match.kernel[::-1, ::-1])).sum()
    of_pixels = onto.noise_gain(result.match.kernel)[inner, inner].sum()
    # wings of the kernel reach over the edge of that part: at most a fifth, in the smallest
    assert 0.8 < of_sum / of_pixels / result.noise_corr < 1.01
    # Without it, noise would pass for signal.
    assert ratio > 1.5


def _box_sums(images, box):
    n = images.shape[-1] // box
    part = images[:, : n * box, : n * box].reshape(len(images), n, box, n, box)
    return part.sum(axis=(2, 4), dtype=float)


def test_white_noise_correlation_is_that_of_the_kernel():
    kernel = np.full((5, 5), 1 / 25)
    assert noise_correlation(kernel) == pytest.approx(25.0)
    assert noise_correlation(np.eye(1)) == 1.0


@pytest.mark.parametrize("scale", [0.03, 0.06, 0.168, 0.2, 0.396])
def test_resampling_conserves_flux_to_a_thousandth(scale):
    width = max(1.0, 3 * scale)
    side = 2 * int(14 / scale / 2)

    def surface_brightness(offset):
        # Off-centre by a fraction of a pixel, as real objects are.
        radius2 = (offset[:, None] - 0.31 * scale) ** 2 + (offset + 0.2 * scale) ** 2
        return np.exp(-4 * np.log(2) * radius2 / width**2)

    image = surface_brightness((np.arange(side) - (side - 1) / 2) * scale) * scale**2
    out = resampling((side, side), scale, 0.168, 64).image(image.astype(np.float32))
    expected = surface_brightness((np.arange(64) - 31.5) * 0.168) * 0.168**2
    assert out.sum() == pytest.approx(image.sum(), rel=1e-3)
    np.testing.assert_allclose(out, expected, atol=2e-3 * expected.max())


def test_one_bad_pixel_neither_wipes_the_image_nor_is_trusted():
    psf = moffat_psf(0.6, 3.0, 0.168)
    kernel = kernel_for(psf, 0.168, GROUND).match.kernel
    image = np.ones((1, 64, 64), np.float32)
    variance = np.ones((1, 64, 64), np.float32)
    variance[0, 30:36, 30:36] = np.inf
    image[0, 30:36, 30:36] = 1e9
    transforms = transform_kernels([kernel], (64, 64))
    out, spread, usable = convolve_batch(image, variance, transforms, np.zeros(1, dtype=int))
    assert np.isfinite(out).all()
    assert np.isfinite(spread).all()
    assert usable[0, 32, 32] < 0.5
    assert usable[0, 10, 10] > 0.98
    # The saturated value itself has gone nowhere.
    assert out[0].max() < 1.1
    peer = fftconvolve(np.isinf(variance[0]).astype(float), np.abs(kernel), "same")
    np.testing.assert_allclose(
        (1 - usable[0])[20:44, 20:44],
        (peer / np.abs(kernel).sum())[20:44, 20:44],
        atol=0.01,
    )
