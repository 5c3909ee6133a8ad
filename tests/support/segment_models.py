"""Small networks that read segments, and systems of given colours, for their tests."""

import numpy as np
import torch
from segment_samples import packed, with_segments
from small_models import conditioned, small, toy_batch

from lenshunt.models import build_model
from lenshunt.models.color_aware_lens import ColorAwareLens
from lenshunt.models.gat_lens import GatLens


def built(kind, auxiliary=(), **changes):
    torch.manual_seed(0)
    name = {GatLens: "gat_lens", ColorAwareLens: "color_aware_lens"}[kind]
    return build_model(small(name, **changes), conditioned(), auxiliary)


def group(fluxes, **more) -> dict:
    """One sample per list of fluxes [row, band], around the middle of an empty image."""
    rows = len(fluxes[0])
    angle = np.linspace(0, 2 * np.pi, rows, endpoint=False)
    place = 1.5 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    batch = toy_batch(len(fluxes))
    batch["metadata"][:] = torch.nan
    return with_segments(batch, packed(fluxes, np.tile(place, (len(fluxes), 1, 1)), **more))
