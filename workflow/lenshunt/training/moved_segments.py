"""Segments of images that are turned, mirrored or shifted: their positions move along."""

import torch

from lenshunt.records import SLOTS

#: Columns of x and y in the packed segments of the shards: after fluxes and variances.
_X, _Y = 2 * len(SLOTS), 2 * len(SLOTS) + 1
#: Where `torch.rot90(image, 1, (2, 3))` and a flip along x take a position (x, y).
QUARTER_TURN = ((0.0, 1.0), (-1.0, 0.0))
MIRROR = ((-1.0, 0.0), (0.0, 1.0))


def moved_segments(
    segments: torch.Tensor,
    matrix: torch.Tensor | tuple[tuple[float, float], tuple[float, float]],
    shift_arcsec: torch.Tensor | None = None,
) -> torch.Tensor:
    """Packed segments [b, segment, column] at matrix @ (x, y) + shift.

    matrix : [2, 2] or [b, 2, 2]; shift_arcsec : [b, 2]
    """
    turn = torch.as_tensor(matrix, dtype=segments.dtype, device=segments.device)
    place = segments[:, :, _X : _Y + 1] @ turn.mT
    if shift_arcsec is not None:
        place = place + shift_arcsec[:, None]
    return torch.cat([segments[:, :, :_X], place, segments[:, :, _Y + 1 :]], dim=2)
