"""Columns of a packed segment, for those who write it and those who read it."""

#: Names of the numbers that a segment has beside its fluxes, in the order in which they are packed.
GEOMETRY = ("x", "y", "area", "snr", "psf_likeness")
#: Likeness to the PSF from which on a segment counts as point-like.
POINT_LIKE = 0.9


def packed_bands(columns: int) -> int:
    """Number of bands in a packed row: fluxes, variances, GEOMETRY. ValueError where none fits."""
    bands, rest = divmod(columns - len(GEOMETRY), 2)
    if rest or bands < 1:
        raise ValueError(
            f"packed segments have 2 bands + {len(GEOMETRY)} columns, found {columns}; "
            "make the shards again"
        )
    return bands
