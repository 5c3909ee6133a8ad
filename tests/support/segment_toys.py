"""Toy systems in which nothing but the colours of segments tells lenses: made in no time.

Every system is a red galaxy with three to five blobs around the Einstein radius. In a lens two or
three of them have one colour, up to dust of the lens, and the others their own; in a non-lens
each has its own. Places, fluxes and numbers of blobs have the same distribution in both.
"""

import numpy as np
import torch

from lenshunt.lensing import reddening_curve

SIZE_PX, SCALE_ARCSEC = 32, 0.168
#: Blobs at most, width of blobs and galaxy in pixels (sigma), and sigma of A_V between images.
BLOBS, BLOB_PX, GALAXY_PX, DUST_MAG = 5, 2.2, 3.0, 0.1
WAVELENGTHS_UM = np.array([0.481, 0.623, 0.774, 0.891, 0.978])
GALAXY = 400.0 * np.array([0.25, 0.7, 1.0, 1.2, 1.3])


def draw_toys(n: int, seed: int) -> tuple[dict[str, torch.Tensor], np.ndarray]:
    """A batch of n systems, every other one a lens, and lensed [n, blob]: 1, 0, or -1 for none."""
    rng = np.random.default_rng(seed)
    lens = np.arange(n) % 2 == 0
    number = rng.integers(3, BLOBS + 1, n)
    there = np.arange(BLOBS) < number[:, None]
    images = rng.integers(2, 4, n)
    lensed = there & lens[:, None] & (np.arange(BLOBS) < images[:, None])
    bend = np.linspace(-1, 1, 5)
    shapes = np.stack([bend, 1.5 * bend**2 - 0.5])
    magnitude = rng.normal(0, (0.4, 0.15), (n, BLOBS, 2)) @ shapes
    magnitude = np.where(lensed[..., None], magnitude[:, :1], magnitude)
    red = reddening_curve(np.full(n, 0.5), WAVELENGTHS_UM)[:, None]
    magnitude = magnitude + np.abs(rng.normal(0, DUST_MAG, (n, BLOBS, 1))) * red
    brightness = 10 ** rng.uniform(2.0, 3.0, (n, BLOBS, 1)) * there[..., None]
    flux = brightness * 10 ** (-0.4 * magnitude)
    radius = rng.uniform(1.0, 1.8, (n, 1)) * rng.normal(1, 0.1, (n, BLOBS))
    start = rng.uniform(0, 2 * np.pi, (n, 1))
    angle = start + 2 * np.pi * (np.arange(BLOBS) + rng.uniform(-0.3, 0.3, (n, BLOBS))) / BLOBS
    order = rng.permuted(np.tile(np.arange(BLOBS), (n, 1)), axis=1)
    angle = np.take_along_axis(angle, order, axis=1)
    place = radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    light = _blobs(flux, place, BLOB_PX)
    light += _blobs(np.tile(GALAXY, (n, 1, 1)) * 3, np.zeros((n, 1, 2)), GALAXY_PX)
    variance = 1 + light / 30
    image = light + rng.normal(size=light.shape) * np.sqrt(variance)
    batch = {
        "image": torch.from_numpy(image.astype(np.float32)),
        "variance": torch.from_numpy(variance.astype(np.float32)),
        "band_flags": torch.ones(n, 5),
        "segments": _packed(rng, flux, place, there),
        "label": torch.from_numpy(lens.astype(np.float32)),
    }
    return batch, np.where(there, lensed.astype(int), -1)


def _blobs(flux: np.ndarray, place: np.ndarray, width_px: float) -> np.ndarray:
    """[n, band, y, x] of round Gaussians of flux [n, blob, band] at place [n, blob, 2] arcsec."""
    axis = np.arange(SIZE_PX) - (SIZE_PX - 1) / 2
    far = (axis - place[..., None] / SCALE_ARCSEC) / width_px
    x, y = np.moveaxis(np.exp(-0.5 * far**2) / (width_px * np.sqrt(2 * np.pi)), 2, 0)
    return np.einsum("nkb,nky,nkx->nbyx", flux, y, x, optimize=True)


def _packed(
    rng: np.random.Generator, flux: np.ndarray, place: np.ndarray, there: np.ndarray
) -> torch.Tensor:
    """Segments as the shards hold them, measured: fluxes in apertures of 30 pixels."""
    variance = 30.0 + flux / 30 + (0.02 * flux) ** 2
    measured = flux + rng.normal(size=flux.shape) * np.sqrt(variance)
    snr = (measured / np.sqrt(variance)).sum(axis=2) / np.sqrt(5)
    at = place + rng.normal(0, 0.03, place.shape)
    rest = [at, np.full((*snr.shape, 1), 0.85), snr[..., None], np.full((*snr.shape, 1), 0.6)]
    known = there[..., None]
    parts = [np.where(known, measured, 0.0), np.where(known, variance, np.inf)]
    parts += [np.where(known, one, 0.0) for one in rest]
    return torch.from_numpy(np.concatenate(parts, axis=2).astype(np.float32))
