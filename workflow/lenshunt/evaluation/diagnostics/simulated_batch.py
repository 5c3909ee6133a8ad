"""Simulated pairs as batches for networks, with segments, and whose light each segment is."""

from dataclasses import dataclass

import numpy as np
import torch

from lenshunt.config import SegmentsConfig
from lenshunt.evaluation.diagnostics.observing import Observing
from lenshunt.evaluation.diagnostics.several_deflectors import Pair
from lenshunt.images import Segments, find_segments
from lenshunt.models import CONDITIONS, Batch
from lenshunt.schema import SLOTS

#: A segment is an image of the source with this share of the light in it that is not the galaxy's.
PURITY = 0.67
#: And this much S/N of that light, without which it is noise or what is left of the galaxy.
LIGHT_SNR = 3.0


@dataclass(frozen=True)
class Simulated:
    """Lenses first, then their matching non-lenses.

    image : bool [n, segment], of the lensed source; unlensed : of the galaxies in its place
    """

    batch: Batch
    image: np.ndarray
    unlensed: np.ndarray


def simulated(
    rng: np.random.Generator,
    observing: Observing,
    segmentation: SegmentsConfig,
    pairs: list[Pair],
) -> Simulated:
    """What a telescope and the segment finder make of pairs; both of a pair have one white noise.

    segmentation : how segments are found, which decides what a network learned of them
    """
    systems = [(pair, True) for pair in pairs] + [(pair, False) for pair in pairs]
    seeds = rng.integers(0, 2**63, len(pairs))
    shape = (len(systems), len(SLOTS), observing.grid.size_px, observing.grid.size_px)
    image, variance = np.zeros(shape, np.float32), np.full(shape, np.inf, np.float32)
    for row, (pair, lens) in enumerate(systems):
        light = pair.galaxy + pair.beside + (pair.arcs if lens else pair.unlensed)
        noise, spread = observing.noise(np.random.default_rng(seeds[row % len(pairs)]), light)
        image[row, observing.bands], variance[row, observing.bands] = light + noise, spread
    correlation = np.ones((len(systems), len(SLOTS)))
    correlation[:, observing.bands] = observing.noise_corr
    found = find_segments(image, variance, correlation, observing.grid, segmentation)
    flags = np.zeros((len(systems), len(SLOTS)), np.float32)
    flags[:, observing.bands] = 1.0
    metadata = np.tile(observing.metadata, (len(systems), 1))
    redshift = [pair.deflectors[0].z_lens for pair, _ in systems]
    metadata[:, CONDITIONS.index("log_1_plus_z")] = np.log10(1.0 + np.array(redshift))
    batch: Batch = {
        "image": torch.from_numpy(image),
        "variance": torch.from_numpy(variance),
        "noise_corr": torch.from_numpy(correlation.astype(np.float32)),
        "band_flags": torch.from_numpy(flags),
        "metadata": torch.from_numpy(metadata.astype(np.float32)),
        "segments": torch.from_numpy(found.packed()),
        "label": torch.tensor([float(lens) for _, lens in systems]),
    }
    ours = source_images(found, systems, observing)
    lensed = np.array([[lens] for _, lens in systems])
    return Simulated(batch, ours & lensed, ours & ~lensed)


def source_images(
    found: Segments, systems: list[tuple[Pair, bool]], observing: Observing
) -> np.ndarray:
    """Whether a segment is an image of the source, or in non-lenses of the galaxies in its place.

    bool [n, segment]. By the light in the disc of the segment's area about its place, in the band
    of the best S/N of that light.
    """
    grid = observing.grid
    axis = (np.arange(grid.size_px) - (grid.size_px - 1) / 2) * grid.pixel_scale_arcsec
    radius = np.maximum(np.sqrt(found.area / np.pi), grid.pixel_scale_arcsec)
    result = np.zeros(found.area.shape, bool)
    for row, (pair, lens) in enumerate(systems):
        light = pair.arcs if lens else pair.unlensed
        band = int(np.argmax(light.sum(axis=(1, 2)) / observing.sigma_njy))
        for column in np.flatnonzero(found.area[row] > 0):
            x, y = found.x[row, column], found.y[row, column]
            disc = np.hypot(axis[None] - x, axis[:, None] - y) <= radius[row, column]
            own, beside = (plane[band][disc].sum() for plane in (light, pair.beside))
            noise = observing.sigma_njy[band] * np.sqrt(disc.sum())
            result[row, column] = own > max(LIGHT_SNR * noise, PURITY * (own + beside))
    return result
