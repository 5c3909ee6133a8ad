"""Segments of images that are turned, mirrored, shifted, or lose a band."""

import torch

from lenshunt.images.segments import GEOMETRY
from lenshunt.schema import SLOTS

#: Columns of x, y and area in the packed segments of the shards: after fluxes and variances.
_X, _Y, _AREA = (2 * len(SLOTS) + GEOMETRY.index(name) for name in ("x", "y", "area"))
#: Where `torch.rot90(image, 1, (2, 3))` and a flip along x take a position (x, y).
QUARTER_TURN = ((0.0, 1.0), (-1.0, 0.0))
MIRROR = ((-1.0, 0.0), (0.0, 1.0))


def moved_segments(
    segments: torch.Tensor,
    matrix: torch.Tensor | tuple[tuple[float, float], tuple[float, float]],
    shift_arcsec: torch.Tensor | None = None,
) -> torch.Tensor:
    """Packed segments [b, segment, column] at matrix @ (x, y) + shift.

    matrix : [2, 2] or [b, 2, 2]; shift_arcsec : [b, 2]. Padding, of no area, stays at 0.
    """
    turn = torch.as_tensor(matrix, dtype=segments.dtype, device=segments.device)
    place = segments[:, :, _X : _Y + 1] @ turn.mT
    if shift_arcsec is not None:
        there = segments[:, :, _AREA, None] > 0
        place = torch.where(there, place + shift_arcsec[:, None], place)
    return torch.cat([segments[:, :, :_X], place, segments[:, :, _Y + 1 :]], dim=2)


def without_hidden_bands(segments: torch.Tensor, band_flags: torch.Tensor) -> torch.Tensor:
    """Packed segments [b, segment, column] without fluxes in bands whose flag [b, band] is 0."""
    seen, bands = band_flags[:, None] > 0, len(SLOTS)
    flux = torch.where(seen, segments[:, :, :bands], 0.0)
    variance = torch.where(seen, segments[:, :, bands : 2 * bands], torch.inf)
    return torch.cat([flux, variance, segments[:, :, 2 * bands :]], dim=2)
