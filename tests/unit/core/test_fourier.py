"""Fourier convolution: what a sum over pixels gives, nothing wrapped around, alike in torch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import convolve as scipy_convolve

from lenshunt.core.fourier import at_origin, forward, fourier_box, inverse, kernel_reach
from lenshunt.lensing.psf_convolution import convolve, psf_transform


def convolved(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Image [y, x] by way of the functions tested."""
    box = fourier_box(image.shape, kernel_reach(kernel.shape, image.shape))
    spectrum = forward(image, box) * forward(at_origin(kernel, image.shape, box), box)
    return inverse(spectrum, box, image.shape)


def summed(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The same by adding up pixels: a peer."""
    full = scipy_convolve(image, kernel, "full", method="direct")
    y, x = kernel.shape[0] // 2, kernel.shape[1] // 2
    return full[y : y + image.shape[0], x : x + image.shape[1]]


sides = st.integers(1, 24)
odd = st.integers(0, 15).map(lambda half: 2 * half + 1)


@given(sides, sides, odd, odd, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_it_is_the_sum_over_pixels_for_any_sizes(ny, nx, ky, kx, seed):
    rng = np.random.default_rng(seed)
    image, kernel = rng.normal(size=(ny, nx)), rng.normal(size=(ky, kx))
    expected = summed(image, kernel)
    np.testing.assert_allclose(convolved(image, kernel), expected, atol=1e-12 * ky * kx * 10)


@pytest.mark.parametrize("y, x", [(0, 0), (0, 30), (39, 0), (39, 30)])
def test_a_star_in_a_corner_does_not_appear_in_the_others(y, x):
    image, kernel = np.zeros((40, 31)), np.full((13, 17), 1.0)
    image[y, x] = 1.0
    rows, columns = np.mgrid[:40, :31]
    far = (abs(rows - y) > 6) | (abs(columns - x) > 8)
    out = convolved(image, kernel)
    np.testing.assert_allclose(out, ~far, atol=1e-13)


def test_flux_is_kept_where_none_leaves_the_image():
    rng = np.random.default_rng(2)
    image, kernel = np.zeros((48, 50)), rng.uniform(size=(11, 9))
    image[20:30, 20:30] = rng.uniform(size=(10, 10))
    assert convolved(image, kernel / kernel.sum()).sum() == pytest.approx(image.sum(), rel=1e-13)


@pytest.mark.parametrize("dtype, error", [(np.float32, 3e-6), (np.float64, 1e-13)])
@pytest.mark.parametrize("kernel_shape", [(9, 15), (21, 21), (51, 91)])
def test_torch_and_numpy_convolve_alike(kernel_shape, dtype, error):
    rng = np.random.default_rng(3)
    image = rng.normal(size=(2, 1, 24, 24)).astype(dtype)
    kernel = rng.uniform(size=kernel_shape).astype(dtype)
    kernel /= kernel.sum()
    psf = psf_transform(torch.from_numpy(kernel), 24)
    box = fourier_box((24, 24), kernel_reach(kernel_shape, (24, 24)))
    ours = forward(at_origin(kernel, (24, 24), box), box)
    assert psf.box == box
    np.testing.assert_allclose(psf.spectrum[0, 0].numpy(), ours, atol=error)
    in_torch = convolve(torch.from_numpy(image), psf)[:, 0, 0].numpy()
    in_numpy = np.stack([convolved(one, kernel) for one in image[:, 0]])
    assert in_torch.dtype == in_numpy.dtype == dtype
    np.testing.assert_allclose(in_torch, in_numpy, atol=error)


def test_many_kernels_are_transformed_at_once():
    kernels = np.random.default_rng(4).normal(size=(3, 2, 7, 5))
    box = fourier_box((16, 16), (3, 2))
    together = forward(at_origin(kernels, (16, 16), box), box)
    alone = forward(at_origin(kernels[1, 0], (16, 16), box), box)
    np.testing.assert_allclose(together[1, 0], alone, atol=1e-13)


def test_the_whole_box_is_turned_back_as_it_was():
    image = np.random.default_rng(5).normal(size=(2, 30, 36))
    np.testing.assert_allclose(inverse(forward(image, (30, 36)), (30, 36), (30, 36)), image)


def test_an_even_box_is_even_and_large_enough():
    for side in range(1, 60):
        box = fourier_box((side, side), (31, 30), even=True)
        assert box[0] % 2 == box[1] % 2 == 0
        assert box[0] >= side + 31
        assert box[1] >= side + 30


def test_a_kernel_without_a_middle_pixel_is_refused():
    with pytest.raises(ValueError, match="4 x 5 pixels: odd sides"):
        at_origin(np.ones((4, 5)), (9, 9), (16, 16))
