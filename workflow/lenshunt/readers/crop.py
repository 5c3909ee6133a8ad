"""Square cut-outs from larger images, padded with unusable pixels where they reach beyond."""

import math

import numpy as np


def first_pixel(centre: float, size_px: int) -> int:
    """Index of the first of `size_px` pixels whose middle is nearest to `centre`, 0-based."""
    return math.ceil(centre - size_px / 2)


def crop(image: np.ndarray, x: float, y: float, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut [size, size] around pixel (x, y), 0-based, from an array or a FITS section [y, x].

    (x, y) comes to lie within half a pixel of the cut's middle, (size - 1) / 2.
    Returns float64 pixels (NaN beyond the image) and the mask of pixels beyond the image.
    """
    height, width = image.shape[-2:]
    left, bottom = first_pixel(x, size_px), first_pixel(y, size_px)
    cut = np.full((size_px, size_px), np.nan)
    x0, x1 = max(left, 0), min(left + size_px, width)
    y0, y1 = max(bottom, 0), min(bottom + size_px, height)
    if x0 < x1 and y0 < y1:
        cut[y0 - bottom : y1 - bottom, x0 - left : x1 - left] = image[y0:y1, x0:x1]
    outside = np.ones((size_px, size_px), bool)
    outside[max(y0 - bottom, 0) : max(y1 - bottom, 0), max(x0 - left, 0) : max(x1 - left, 0)] = (
        False
    )
    return cut, outside
