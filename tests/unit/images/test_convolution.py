"""Convolution of cutouts with masked pixels and edges: what may not leak, and what must stay."""

import numpy as np
import pytest
from images_samples import GROUND
from scipy.signal import fftconvolve

from lenshunt.core.moffat import moffat_psf
from lenshunt.images import convolve_batch, kernel_for, noise_correlation, transform_kernels
from lenshunt.images.convolution import MASKED_WEIGHT_MAX
from lenshunt.images.interpolation import REACH_PX, fill_masked

SCALE = 0.168


@pytest.fixture(scope="module")
def kernel():
    return kernel_for(moffat_psf(0.6, 3.0, SCALE), SCALE, GROUND).match.kernel


def _convolved(image, unusable, kernel):
    """Image and usable fraction of one plane of unit variance."""
    variance = np.where(unusable, np.inf, 1.0).astype(np.float32)[None]
    transforms = transform_kernels([kernel], image.shape)
    out, spread, usable = convolve_batch(
        image[None].astype(np.float32), variance, transforms, np.zeros(1, dtype=int)
    )
    return out[0], spread[0], usable[0]


def _hsc_galaxies(folder):
    """i-band stamps and PSFs of real HSC galaxies, and the pixel of the brightest source."""
    for path in sorted(folder.glob("*.npz"))[:6]:
        with np.load(path) as file:
            image, psf = file["images"][2].astype(float), file["psfs"][2].astype(float)
        inner = fftconvolve(image, psf, "same")[15:-15, 15:-15]
        y, x = np.unravel_index(inner.argmax(), inner.shape)
        yield image, psf / psf.sum(), y + 15, x + 15


@pytest.mark.real
@pytest.mark.parametrize(
    "masked, at_most",
    [("column", 0.15), ("rows", 0.15), ("core", 0.35)],
    ids=["bad column", "two bad rows", "saturated core"],
)
def test_usable_neighbours_of_masked_galaxy_pixels_keep_their_light(real_data, masked, at_most):
    with_zeros, interpolated = [], []
    for image, psf, y, x in _hsc_galaxies(real_data / "hsc_stamps"):
        unusable = np.zeros(image.shape, dtype=bool)
        part = {
            "column": (slice(None), x),
            "rows": (slice(y, y + 2), slice(None)),
            "core": (slice(y - 1, y + 2), slice(x - 1, x + 2)),
        }[masked]
        unusable[part] = True
        k = kernel_for(psf, SCALE, GROUND).match.kernel
        true = fftconvolve(image, k, "same")
        out, _, usable = _convolved(image, unusable, k)
        stays = usable >= 1 - MASKED_WEIGHT_MAX
        zeros = fftconvolve(np.where(unusable, 0, image), k, "same")
        with_zeros.append(np.abs(zeros - true)[stays].max() / true.max())
        interpolated.append(np.abs(out - true)[stays].max() / true.max())
    # Zeros leave out up to a tenth and more of the peak.
    assert np.median(with_zeros) > 0.08
    assert np.median(interpolated) < at_most * np.median(with_zeros)


def test_interpolation_follows_a_slope_and_a_peak_through_a_bad_column():
    y, x = np.mgrid[:41, :41] - 20.0
    unusable = np.zeros((1, 41, 41), dtype=bool)
    unusable[0, :, 20] = True
    for surface in (3 + 0.2 * x - 0.1 * y, 5 - 0.01 * x**2 + 0.02 * x * y):
        filled = fill_masked(surface[None].astype(np.float32), unusable)
        np.testing.assert_allclose(filled[0], surface, atol=0.02 * np.ptp(surface))


def test_pixels_deep_inside_a_hole_are_zero_and_stay_masked(kernel):
    unusable = np.zeros((64, 64), dtype=bool)
    unusable[10:50, 10:50] = True
    filled = fill_masked(np.full((1, 64, 64), 7, np.float32), unusable[None])[0]
    inner = slice(10 + REACH_PX, 50 - REACH_PX)
    assert (filled[inner, inner] == 0).all()
    np.testing.assert_allclose(filled[10, 10:50], 7, rtol=1e-5)
    _, _, usable = _convolved(np.full((64, 64), 7.0), unusable, kernel)
    assert (usable[unusable] < 1 - MASKED_WEIGHT_MAX).all()


def test_an_image_without_a_usable_pixel_is_zero_and_unusable(kernel):
    out, spread, usable = _convolved(np.full((48, 48), np.nan), np.ones((48, 48), bool), kernel)
    assert (out == 0).all()
    assert (spread == 0).all()
    assert np.abs(usable).max() < 1e-5


def test_what_a_masked_pixel_holds_does_not_matter(kernel):
    rng = np.random.default_rng(4)
    image, unusable = rng.normal(size=(64, 64)), np.zeros((64, 64), dtype=bool)
    unusable[20:24, 30:33] = True
    clean, _, _ = _convolved(image, unusable, kernel)
    for value in (1e9, np.nan, np.inf):
        dirty, _, _ = _convolved(np.where(unusable, value, image), unusable, kernel)
        np.testing.assert_array_equal(dirty, clean)


def test_noise_beside_masked_pixels_is_what_the_variance_says(kernel):
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(400, 48, 48)).astype(np.float32)
    variance = np.ones_like(noise)
    variance[:, :, 24] = np.inf
    which = np.zeros(len(noise), dtype=int)
    out, spread, usable = convolve_batch(
        noise, variance, transform_kernels([kernel], (48, 48)), which
    )
    stays = usable[0] >= 1 - MASKED_WEIGHT_MAX
    pull = (out.std(axis=0) / np.sqrt(spread[0]))[stays]
    beside = (usable[0] < 0.99)[stays]
    assert pull[~beside].mean() == pytest.approx(1.0, abs=0.02)
    # The interpolated pixels repeat their neighbours' noise: a few percent more than is told.
    assert 0.99 < pull[beside].mean() < 1.06


@pytest.mark.parametrize("y, x", [(0, 32), (63, 32), (32, 0), (0, 0), (63, 63)])
def test_a_bright_star_on_an_edge_does_not_appear_on_the_other_side(kernel, y, x):
    image = np.zeros((64, 64))
    image[y, x] = 1e6
    out, _, _ = _convolved(image, np.zeros((64, 64), dtype=bool), kernel)
    rows, columns = np.mgrid[:64, :64]
    expected = np.zeros((64, 64))
    half = kernel.shape[0] // 2
    near = (abs(rows - y) <= half) & (abs(columns - x) <= half)
    expected[near] = 1e6 * kernel[(rows - y + half)[near], (columns - x + half)[near]]
    np.testing.assert_allclose(out, expected, atol=1e-6 * 1e6 * kernel.max())
    far = (abs(rows - y) > 40) | (abs(columns - x) > 40)
    assert np.abs(out[far]).max() < 2e-4 * out.max()


def test_pixels_whose_kernel_hangs_over_the_edge_are_unusable(kernel):
    _, _, usable = _convolved(np.ones((64, 64)), np.zeros((64, 64), dtype=bool), kernel)
    weight = np.abs(kernel) / np.abs(kernel).sum()
    # Fraction of the kernel that falls on the image, for a pixel `d` from the middle of an edge.
    half = kernel.shape[0] // 2
    for d in (0, 1, 2, 3, 6, 12):
        on_image = weight[max(half - d, 0) :].sum()
        assert usable[d, 32] == pytest.approx(on_image, abs=0.01)
    masked = usable < 1 - MASKED_WEIGHT_MAX
    assert masked[0].all()
    assert masked[:, 0].all()
    assert not masked[12:-12, 12:-12].any()


def test_an_image_smaller_than_its_kernel_is_convolved_without_wrap_around(kernel):
    image = np.random.default_rng(6).normal(size=(17, 21))
    out, _, _ = _convolved(image, np.zeros(image.shape, dtype=bool), kernel)
    full = fftconvolve(image, kernel, "full")
    half = kernel.shape[0] // 2
    expected = full[half : half + 17, half : half + 21]
    np.testing.assert_allclose(out, expected, atol=1e-5 * np.abs(expected).max())


def test_sums_over_the_image_are_kept(kernel):
    image = np.zeros((96, 96))
    image[40:56, 40:56] = np.random.default_rng(7).uniform(0, 1, (16, 16))
    out, spread, _ = _convolved(image, np.zeros((96, 96), dtype=bool), kernel)
    assert out.sum() == pytest.approx(image.sum(), rel=1e-3)
    middle = spread[40:56, 40:56]
    assert middle.mean() == pytest.approx(1 / noise_correlation(kernel), rel=2e-3)
