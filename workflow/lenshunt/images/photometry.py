"""Aperture photometry about the image centre, for whole batches."""

from functools import lru_cache

import numpy as np
from photutils.geometry import circular_overlap_grid

#: Diameter of the aperture of `flux`, `magnitude` and `snr` where a catalogue gives none.
APERTURE_ARCSEC = 3.0
#: A flux is NaN when more than this fraction of its aperture is unusable.
MASKED_APERTURE_MAX = 0.10


@lru_cache(maxsize=64)
def aperture_weights(shape: tuple[int, int], radius_px: float) -> np.ndarray:
    """Fraction of every pixel [y, x] inside a circle about the image centre, float32."""
    ny, nx = shape
    weights = circular_overlap_grid(-nx / 2, nx / 2, -ny / 2, ny / 2, nx, ny, radius_px, 1, 1)
    return weights.astype(np.float32)


def aperture_photometry(
    image: np.ndarray,
    variance: np.ndarray,
    pixel_scale_arcsec: float,
    noise_corr: np.ndarray | float = 1.0,
    diameter_arcsec: float = APERTURE_ARCSEC,
) -> tuple[np.ndarray, np.ndarray]:
    """Flux and its error in a circular aperture about the centre.

    image, variance : [..., y, x], nJy and nJy^2; +inf on unusable pixels, which are left out and
        made up for by the mean of the others
    noise_corr : [...], correlation of the noise; the error grows by its square root
    Returns two arrays [...] in nJy, NaN where more than MASKED_APERTURE_MAX is unusable.
    """
    weights = aperture_weights(image.shape[-2:], diameter_arcsec / 2 / pixel_scale_arcsec)
    usable = np.isfinite(variance)
    kept = np.where(usable, weights, np.float32(0))
    share = kept.sum(axis=(-2, -1), dtype=float) / weights.sum(dtype=float)
    enough = share >= 1 - MASKED_APERTURE_MAX
    scale = np.where(enough, 1 / np.maximum(share, 0.5), np.nan)
    flux = (kept * image).sum(axis=(-2, -1), dtype=float) * scale
    squared = (kept**2 * np.where(usable, variance, 0)).sum(axis=(-2, -1), dtype=float)
    return flux, np.sqrt(squared * noise_corr) * scale
