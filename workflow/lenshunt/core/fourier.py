"""Convolution by Fourier transforms on a box, and what keeps light from wrapping around it.

A kernel has odd sides and its centre on the middle pixel, which becomes pixel (0, 0) of the box:
whatever is multiplied with its transform stays where it is. `lensing.psf_convolution` does the same
in torch, on the same boxes.
"""

from collections.abc import Sequence

import numpy as np
from scipy import fft


def kernel_reach(kernel_shape: Sequence[int], shape: Sequence[int]) -> tuple[int, int]:
    """Pixels (y, x) from the middle of a kernel to the farthest of use in images of `shape`.

    What lies farther out than the image is wide can reach no pixel of it.
    """
    y, x = (min(side // 2, own - 1) for side, own in zip(kernel_shape, shape, strict=True))
    return y, x


def fourier_box(shape: Sequence[int], reach: Sequence[int], even: bool = False) -> tuple[int, int]:
    """Sides of fast transforms that hold images of `shape` and a margin of `reach` pixels.

    With the reach of a kernel no light that left the image on one side enters it on the other.
    """
    step = 2 if even else 1
    y, x = (
        step * fft.next_fast_len(-(-(side + margin) // step), real=True)
        for side, margin in zip(shape, reach, strict=True)
    )
    return y, x


def at_origin(kernel: np.ndarray, shape: Sequence[int], box: tuple[int, int]) -> np.ndarray:
    """`kernel` [..., h, w] with its middle on pixel (0, 0) of the box: [..., *box], same type.

    shape : of the images that it is for; it is cut to its `kernel_reach`
    Raises ValueError for an even side: such a kernel would shift the image by half a pixel.
    """
    height, width = kernel.shape[-2:]
    if not height % 2 or not width % 2:
        raise ValueError(f"kernel of {height} x {width} pixels: odd sides have a middle pixel")
    y, x = kernel_reach((height, width), shape)
    near = kernel[..., height // 2 - y : height // 2 + y + 1, width // 2 - x : width // 2 + x + 1]
    padded = np.zeros((*kernel.shape[:-2], *box), kernel.dtype)
    padded[..., : 2 * y + 1, : 2 * x + 1] = near
    return np.roll(padded, (-y, -x), axis=(-2, -1))


def forward(images: np.ndarray, box: tuple[int, int]) -> np.ndarray:
    """Real transforms [..., fy, fx // 2 + 1] of images [..., y, x] with zeros around to the box."""
    # Row by row before column by column: the rows that padding adds need no transform.
    rows = fft.rfft(images, n=box[1], axis=-1, workers=1)
    return fft.fft(rows, n=box[0], axis=-2, workers=1)


def inverse(spectra: np.ndarray, box: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """Images [..., y, x] of `shape`, from pixel (0, 0) of the box on. `spectra` is overwritten."""
    if shape == box:
        return fft.irfft2(spectra, s=box, workers=1, overwrite_x=True)
    # Rows outside the image are thrown away before the second, longer half of the transform.
    rows = fft.ifft(spectra, axis=-2, workers=1, overwrite_x=True)[..., : shape[0], :]
    return fft.irfft(rows, n=box[1], axis=-1, workers=1)[..., : shape[1]]
