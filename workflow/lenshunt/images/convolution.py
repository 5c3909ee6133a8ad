"""Batched Fourier convolution of images, variances and masks with one kernel per band."""

from dataclasses import dataclass

import numpy as np

from lenshunt.core.fourier import at_origin, forward, fourier_box, inverse, kernel_reach
from lenshunt.images.interpolation import fill_masked

#: A pixel with more than this fraction of its kernel weight on unusable pixels is unusable.
MASKED_WEIGHT_MAX = 0.10
#: Planes convolved together: their transforms fit into a core's cache.
BLOCK = 16


@dataclass(frozen=True)
class KernelTransforms:
    """Real Fourier transforms of m kernels for images of one shape.

    kernel, square, absolute : complex64 [m, fy, fx // 2 + 1], of k, k^2 and |k| / sum |k|
    footprint : float32 [m, y, x], fraction of |k| that falls on the image
    box : (fy, fx), Fourier box that holds image and kernel without wrap-around
    shape : (y, x) of the images
    """

    kernel: np.ndarray
    square: np.ndarray
    absolute: np.ndarray
    footprint: np.ndarray
    box: tuple[int, int]
    shape: tuple[int, int]


def transform_kernels(kernels: list[np.ndarray], shape: tuple[int, int]) -> KernelTransforms:
    """Transforms of `kernels` (each [k, k], odd, centred) for images of `shape`."""
    largest = max(k.shape[0] for k in kernels)
    box = fourier_box(shape, kernel_reach((largest, largest), shape))
    padded = np.stack([at_origin(kernel.astype(np.float32), shape, box) for kernel in kernels])
    weights = np.array([np.abs(k).sum() for k in kernels], np.float32)[:, None, None]
    absolute = forward(np.abs(padded) / weights, box)
    ones = forward(np.ones((1, *shape), np.float32), box)
    return KernelTransforms(
        kernel=forward(padded, box),
        square=forward(padded**2, box),
        absolute=absolute,
        footprint=inverse(ones * absolute, box, shape),
        box=box,
        shape=shape,
    )


def convolve_batch(
    image: np.ndarray, variance: np.ndarray, transforms: KernelTransforms, which: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Convolve m planes with their kernels.

    image, variance : float32 [m, y, x]; variance +inf where a pixel is unusable
    which : int [m], kernel of each plane
    Returns the image (unusable pixels interpolated), the variance (zero-filled, convolved with
    k^2) and the fraction of |k| on usable pixels, each float32 [m, y, x]. Pixels off the image
    count as unusable: whoever calls masks again where that fraction is below
    1 - MASKED_WEIGHT_MAX. Zeros in place of masked pixels would leave up to that fraction of a
    galaxy's light out of the pixels that stay.
    """
    out_image, out_variance = np.empty_like(image), np.empty_like(variance)
    usable = np.empty_like(image)
    for start in range(0, len(image), BLOCK):
        part = slice(start, start + BLOCK)
        out_image[part], out_variance[part], usable[part] = _convolve_block(
            image[part], variance[part], transforms, which[part]
        )
    return out_image, out_variance, usable


def _convolve_block(
    image: np.ndarray, variance: np.ndarray, transforms: KernelTransforms, which: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    box, shape = transforms.box, transforms.shape
    unusable = ~np.isfinite(variance)
    masked = np.flatnonzero(unusable.any(axis=(1, 2)))
    clean, filled, usable = image, variance, transforms.footprint[which]
    if masked.size:
        clean, filled = image.copy(), np.where(unusable, np.float32(0), variance)
        clean[masked] = fill_masked(image[masked], unusable[masked])
        good = forward((~unusable[masked]).astype(np.float32), box)
        usable[masked] = inverse(good * transforms.absolute[which[masked]], box, shape)
    out_image = inverse(forward(clean, box) * transforms.kernel[which], box, shape)
    out_variance = inverse(forward(filled, box) * transforms.square[which], box, shape)
    # Rounding of the transforms must not turn a tiny variance negative.
    floor = 1e-6 * filled.max(axis=(1, 2), keepdims=True)
    return out_image, np.maximum(out_variance, floor), usable
