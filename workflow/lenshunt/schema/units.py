"""Flux units: everything past a reader is in nJy per pixel (AB zero point 31.4)."""

import numpy as np

#: AB zero point of 1 nJy: 8.90 (3631 Jy) + 2.5 log10(1e9); Oke & Gunn 1983.
AB_NJY = 31.4


def njy_per_count(zero_point_ab: float) -> float:
    """Flux in nJy of one count, for an image whose AB zero point is `zero_point_ab` mag."""
    return float(10.0 ** (0.4 * (AB_NJY - zero_point_ab)))


def magnitude_from_njy(flux_njy: np.ndarray | float) -> np.ndarray:
    """AB magnitude of a flux in nJy; NaN where the flux is not positive."""
    flux = np.asarray(flux_njy, dtype=float)
    positive = flux > 0
    return np.where(positive, AB_NJY - 2.5 * np.log10(np.where(positive, flux, 1.0)), np.nan)


def njy_from_magnitude(magnitude_ab: np.ndarray | float) -> np.ndarray:
    """Flux in nJy of an AB magnitude."""
    return 10.0 ** (0.4 * (AB_NJY - np.asarray(magnitude_ab, dtype=float)))
