"""Aperture photometry about the image centre, for whole batches, and the noise of apertures."""

from functools import lru_cache

import numpy as np
from photutils.geometry import circular_overlap_grid
from scipy.ndimage import map_coordinates
from scipy.signal import correlate

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


def noise_autocorrelation(
    kernel: np.ndarray, pixel_ratio: float = 1.0, reach_px: int = 40
) -> np.ndarray:
    """Correlation of the noise of two pixels of a matched image by their distance.

    kernel : [k, k], what white noise was convolved with
    pixel_ratio : grid pixel / image pixel; the image was interpolated (not binned) to the grid
    Returns [2 reach_px + 1] squared, 1 in the middle. Its sum is `noise_corr`; n pixels have the
    chi2 of n / (sum of squares) independent ones, twice over: chi2 scatters by
    sqrt(2 n sum of squares) about n.
    """
    kernel = np.asarray(kernel, dtype=float)
    lags = correlate(kernel, kernel, mode="full", method="fft")
    steps = np.arange(-reach_px, reach_px + 1) * pixel_ratio + kernel.shape[0] - 1
    at = np.meshgrid(steps, steps, indexing="ij")
    return map_coordinates(lags, at, order=5, mode="constant") / lags.max()


def aperture_noise_correlation(weights: np.ndarray, autocorrelation: np.ndarray) -> float:
    """Variance of a weighted sum of pixels / sum of their squared weights times variances.

    weights : [y, x], an aperture, a box or a matched filter
    autocorrelation : of `noise_autocorrelation`
    1 for a single pixel; for wide apertures it tends to the `noise_corr` of the image, which is
    too high for small ones and so invents no detection. For HSC images of 0.6-0.8 arcsec brought
    to 1.0 arcsec (noise_corr 40) it is 7 for 3 x 3 pixels, 13 for 5 x 5, 25 for a 2 arcsec aperture
    or an arc, 31 for 21 x 21 (means of the bands, `python tests/bench/noise.py`): S/N with
    noise_corr is low by factors of 2.4, 1.8, 1.3 and 1.15.
    """
    weights = np.asarray(weights, dtype=float)
    pairs = correlate(weights, weights, mode="full", method="fft")
    middle, reach = np.array(weights.shape) - 1, autocorrelation.shape[0] // 2
    low = np.minimum(middle, reach)
    near = tuple(slice(m - n, m + n + 1) for m, n in zip(middle, low, strict=True))
    part = tuple(slice(reach - n, reach + n + 1) for n in low)
    return float((pairs[near] * autocorrelation[part]).sum() / np.square(weights).sum())
