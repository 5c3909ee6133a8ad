"""Batched Fourier convolution of images, variances and masks with one kernel per band."""

from dataclasses import dataclass

import numpy as np
from scipy import fft

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
    halves = [min(max(k.shape[0] for k in kernels) // 2, side - 1) for side in shape]
    box = tuple(
        fft.next_fast_len(side + half, real=True) for side, half in zip(shape, halves, strict=True)
    )
    padded = np.zeros((len(kernels), *box), np.float32)
    weights = np.empty((len(kernels), 1, 1), np.float32)
    for target, kernel in zip(padded, kernels, strict=True):
        # Parts of the kernel beyond the image's own width can reach no pixel of it.
        k = kernel.shape[0] // 2
        reach = [min(k, half) for half in halves]
        near = kernel[k - reach[0] : k + reach[0] + 1, k - reach[1] : k + reach[1] + 1]
        target[: near.shape[0], : near.shape[1]] = near
        target[:] = np.roll(target, (-reach[0], -reach[1]), axis=(0, 1))
    for weight, kernel in zip(weights, kernels, strict=True):
        weight[:] = np.abs(kernel).sum()
    absolute = _forward(np.abs(padded) / weights, box)
    ones = _forward(np.ones((1, *shape), np.float32), box)
    return KernelTransforms(
        kernel=_forward(padded, box),
        square=_forward(padded**2, box),
        absolute=absolute,
        footprint=_inverse(ones * absolute, box, shape),
        box=(box[0], box[1]),
        shape=shape,
    )


def _forward(arrays: np.ndarray, box: tuple[int, ...]) -> np.ndarray:
    # Row by row before column by column: the rows that padding adds need no transform.
    rows = fft.rfft(arrays, n=box[1], axis=-1, workers=1)
    return fft.fft(rows, n=box[0], axis=-2, workers=1)


def _inverse(spectra: np.ndarray, box: tuple[int, ...], shape: tuple[int, int]) -> np.ndarray:
    # Rows outside the image are thrown away before the second, longer half of the transform.
    rows = fft.ifft(spectra, axis=-2, workers=1, overwrite_x=True)[..., : shape[0], :]
    return fft.irfft(rows, n=box[1], axis=-1, workers=1)[..., : shape[1]]


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
        good = _forward((~unusable[masked]).astype(np.float32), box)
        usable[masked] = _inverse(good * transforms.absolute[which[masked]], box, shape)
    out_image = _inverse(_forward(clean, box) * transforms.kernel[which], box, shape)
    out_variance = _inverse(_forward(filled, box) * transforms.square[which], box, shape)
    # Rounding of the transforms must not turn a tiny variance negative.
    floor = 1e-6 * filled.max(axis=(1, 2), keepdims=True)
    return out_image, np.maximum(out_variance, floor), usable
