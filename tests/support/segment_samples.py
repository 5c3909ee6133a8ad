"""Batches with packed segments for the tests of models that read them."""

import numpy as np
import torch

from lenshunt.images.segments import GEOMETRY

#: g r i z y fluxes in nJy of a blue and of a red galaxy.
BLUE = (100.0, 110.0, 120.0, 125.0, 130.0)
RED = (30.0, 80.0, 140.0, 190.0, 220.0)


def padding(count: int, rows: int, bands: int = 5) -> torch.Tensor:
    """No segments: [count, rows, 2 bands + 5] as the shards hold them."""
    packed = torch.zeros(count, rows, 2 * bands + len(GEOMETRY))
    packed[..., bands : 2 * bands] = torch.inf
    return packed


def packed(
    fluxes: np.ndarray, positions: np.ndarray, sigma: float = 2.0, psf_likeness: float = 0.4
) -> torch.Tensor:
    """Segments [count, rows, column] of fluxes [count, rows, band] at [count, rows, 2] arcsec."""
    flux = torch.as_tensor(np.asarray(fluxes), dtype=torch.float32)
    place = torch.as_tensor(np.asarray(positions), dtype=torch.float32)
    rest = torch.ones(*flux.shape[:2], 3) * torch.tensor([0.6, 40.0, psf_likeness])
    return torch.cat([flux, torch.full_like(flux, sigma**2), place, rest], dim=-1)


def random_segments(count: int, rows: int = 4, bands: int = 5, seed: int = 0) -> torch.Tensor:
    """`rows` segments of any colour within 3 arcsec, the later ones missing in later samples."""
    rng = np.random.default_rng(seed)
    flux = 10 ** rng.uniform(1.5, 2.5, (count, rows, bands))
    found = packed(flux, rng.uniform(-3, 3, (count, rows, 2)))
    for sample in range(count):
        there = max(rows - sample % (rows + 1), 0)
        found[sample, there:] = padding(1, rows - there, bands)[0]
    return found


def with_segments(batch: dict, segments: torch.Tensor) -> dict:
    return {**batch, "segments": segments}
