"""Pure noise through the whole chain: variances, chi2 and S/N of what comes out are right."""

import numpy as np
import pytest
from noise import (
    chi2_scatter,
    noise_through_the_chain,
    pulls,
    read_shards,
    variance_ratio,
)
from scipy.stats import norm, poisson

from lenshunt.core.moffat import moffat_psf
from lenshunt.images.photometry import aperture_noise_correlation, noise_autocorrelation

pytestmark = pytest.mark.slow

CASES = {
    "hsc, no variance": {"n": 60},
    "hsc, Poisson variance, masked": {"n": 60, "variance": "varying", "masked": True},
    "hst, no variance": {"n": 14, "survey": "hst"},
    "hst, Poisson variance": {"n": 14, "survey": "hst", "variance": "varying"},
}


@pytest.fixture(scope="module", params=list(CASES))
def noise(request, tmp_path_factory):
    """Noise after the chain, one of CASES."""
    return noise_through_the_chain(tmp_path_factory.mktemp("noise"), **CASES[request.param])


def test_variance_maps_are_right_per_band(noise):
    # the scatter of chi2 of a plane bounds what n planes can show beside the 2 % that are asked
    spread = chi2_scatter(noise)[1] / np.sqrt(len(noise.image))
    assert np.abs(variance_ratio(noise) - 1).max() < 0.02 + 2.5 * spread
    assert abs(variance_ratio(noise).mean() - 1) < 0.02


def test_chi2_scatters_as_its_correlation_says(noise):
    measured, expected = chi2_scatter(noise)
    planes = len(noise.image) * len(noise.slots)
    assert measured == pytest.approx(expected, rel=0.1 + 2 / np.sqrt(planes))


@pytest.mark.parametrize("shape", ["pixel", "3x3", "5x5", "2 arcsec", "arc"])
def test_excesses_are_as_many_as_gaussian_noise_has(noise, shape):
    one = pulls(noise, shape)
    assert one.exact.std() == pytest.approx(1, abs=0.05)
    expected = len(one.exact) * norm.sf(3)
    low, high = poisson.interval(0.9999, expected)
    assert low <= (one.exact > 3).sum() <= high
    assert (one.exact > 5).sum() == 0
    # noise_corr, made for wide boxes, never lets noise look like more than it is
    assert one.factor <= one.noise_corr * 1.001
    assert (one.with_noise_corr > 3).sum() <= high
    assert (one.with_noise_corr > 5).sum() == 0


@pytest.mark.parametrize("variance", [None, "varying"])
def test_the_loader_gives_the_noise_of_the_files(variance, tmp_path):
    files = noise_through_the_chain(tmp_path, 40, variance=variance, masked=True, seed=5)
    loaded = read_shards(tmp_path, files)
    # decoded once into float32 shards: no second rounding
    np.testing.assert_array_equal(loaded.image, files.image)
    np.testing.assert_array_equal(loaded.variance, files.variance)
    np.testing.assert_allclose(loaded.noise_corr, files.noise_corr, rtol=1e-6)
    assert (loaded.noise_corr[:, loaded.slots] > 5).all()
    for shape in ("3x3", "2 arcsec", "arc"):
        one, before = pulls(loaded, shape), pulls(files, shape)
        for limit in (3, 5):
            assert (one.exact > limit).sum() == (before.exact > limit).sum()
            assert (one.with_noise_corr > limit).sum() == (before.with_noise_corr > limit).sum()
        high = poisson.interval(0.9999, len(one.exact) * norm.sf(3))[1]
        assert (one.exact > 3).sum() <= high
        assert (one.with_noise_corr > 5).sum() == 0


def test_without_noise_corr_noise_looks_like_detections(noise):
    one = pulls(noise, "5x5")
    assert (one.naive > 3).sum() > 50 * len(one.naive) * norm.sf(3)
    assert (one.naive > 5).sum() > 0.02 * len(one.naive)


@pytest.mark.real
def test_noise_with_real_hsc_psfs_is_right(real_data, tmp_path):
    psfs = []
    for path in sorted((real_data / "hsc_stamps").glob("*.npz")):
        with np.load(path) as file:
            y, x = ((side - 41) // 2 for side in file["psfs"].shape[1:])
            psfs.append(file["psfs"][:, y : y + 41, x : x + 41])
    psf = np.array([psfs[index % len(psfs)] for index in range(54)])
    noise = noise_through_the_chain(tmp_path, 54, variance="flat", psf=psf, seed=3)
    assert np.abs(variance_ratio(noise) - 1).max() < 0.05
    for shape in ("3x3", "2 arcsec"):
        one = pulls(noise, shape)
        assert one.exact.std() == pytest.approx(1, abs=0.05)
        high = poisson.interval(0.9999, len(one.exact) * norm.sf(3))[1]
        assert (one.exact > 3).sum() <= high
        assert (one.with_noise_corr > 3).sum() <= high
        assert (one.naive > 5).sum() > 0.01 * len(one.naive)


def test_the_factor_of_an_aperture_is_one_for_a_pixel_and_noise_corr_for_a_wide_box():
    kernel = moffat_psf(0.7, 3.0, 0.168, 31).astype(float)
    kernel /= kernel.sum()
    correlation = noise_autocorrelation(kernel)
    assert correlation[40, 40] == pytest.approx(1)
    assert correlation.sum() == pytest.approx(1 / (kernel**2).sum(), rel=1e-3)
    assert aperture_noise_correlation(np.ones((1, 1)), correlation) == pytest.approx(1)
    wide = aperture_noise_correlation(np.ones((500, 500)), correlation)
    assert wide == pytest.approx(1 / (kernel**2).sum(), rel=0.02)
    sizes = [aperture_noise_correlation(np.ones((n, n)), correlation) for n in (1, 3, 5, 11, 31)]
    assert sizes == sorted(sizes)


def test_the_factor_of_an_aperture_is_the_scatter_of_convolved_white_noise():
    rng = np.random.default_rng(2)
    kernel = moffat_psf(0.6, 3.0, 0.168, 21).astype(float)
    white = rng.normal(size=(1500, 1500))
    box = np.fft.irfft2(np.fft.rfft2(white) * np.fft.rfft2(kernel, white.shape), white.shape)
    sums = box.reshape(250, 6, 250, 6).sum(axis=(1, 3))
    measured = sums.var() / (36 * (kernel**2).sum())
    factor = aperture_noise_correlation(np.ones((6, 6)), noise_autocorrelation(kernel))
    assert measured == pytest.approx(factor, rel=0.03)
