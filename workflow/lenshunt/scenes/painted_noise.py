"""Light painted onto a host: its Poisson noise, its S/N, and the host's light that hides it."""

import numpy as np

from lenshunt.scenes.hosts import Noise, UnsuitableHostError
from lenshunt.schema import Cutout

#: How well the host's own light can be told from arcs: to this fraction of its brightness, in
#: every area of the size of the PSF.
HOST_RESIDUAL = 0.05


def matched_snr(arcs_njy: np.ndarray, variance: np.ndarray, noise_corr: np.ndarray) -> float:
    """S/N of arcs of known shape, all bands together: sqrt(sum arcs^2 / (variance noise_corr))."""
    weight = np.where(np.isfinite(variance), 1.0 / (variance * noise_corr[:, None, None]), 0.0)
    return float(np.sqrt((arcs_njy.astype(float) ** 2 * weight).sum()))


def with_arcs(
    rng: np.random.Generator, host: Cutout, arcs_njy: np.ndarray, noise: Noise
) -> tuple[np.ndarray, np.ndarray]:
    """Image and variance of the host with arcs: their light, its Poisson noise, its variance."""
    usable = np.isfinite(host.variance)
    poisson = poisson_variance(arcs_njy, noise)
    drawn = np.sqrt(poisson) * rng.standard_normal(arcs_njy.shape, dtype=np.float32)
    image = np.where(usable, host.image + arcs_njy + drawn, host.image)
    return image.astype(np.float32), (host.variance + poisson).astype(np.float32)


def poisson_variance(arcs_njy: np.ndarray, noise: Noise) -> np.ndarray:
    """Variance of the arcs' own light, float32 [band, y, x]."""
    return arcs_njy / noise.electrons_per_njy[:, None, None].astype(np.float32)


def confusion_variance(host: Cutout) -> np.ndarray:
    """Variance [band, y, x] of the host's light that cannot be told from arcs.

    It is the same all over one PSF, whose noise-equivalent area in pixels it is multiplied with.
    """
    if host.psf is None:
        raise UnsuitableHostError(host.metadata.sample_id, "no PSF")
    squares = (host.psf.astype(float) ** 2).sum(axis=(1, 2))
    area = np.where(squares > 0, 1.0 / np.where(squares > 0, squares, 1.0), 1.0)
    light = HOST_RESIDUAL * np.maximum(host.image, 0.0)
    return (light**2 * area[:, None, None]).astype(np.float32)


def visible_snr(light_njy: np.ndarray, host: Cutout, noise: Noise) -> float:
    """S/N of painted light over the noise and HOST_RESIDUAL of the host's light, in the best band.

    Bands do not add up: what a model of the host leaves is the same in all of them.
    """
    variance = host.variance + poisson_variance(light_njy, noise) + confusion_variance(host)
    bands = np.flatnonzero(host.metadata.band_flags)
    return max(matched_snr(light_njy[[b]], variance[[b]], host.noise_corr[[b]]) for b in bands)
