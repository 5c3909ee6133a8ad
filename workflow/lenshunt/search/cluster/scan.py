"""The scanned catalogue of a field: what was scored, and what counts as a candidate."""

from pathlib import Path

import numpy as np
import pandas as pd
from astropy.table import MaskedColumn, Table

from lenshunt.schema import REFERENCE_BANDS

NEEDED = ("sample_id", "ra", "dec", "probability_calibrated")
# The lens-finding band first: what is matched is how bright an object looks to the networks.
MAGNITUDES = tuple(f"magnitude_{slot}" for slot in REFERENCE_BANDS)


def no_candidates() -> pd.DataFrame:
    """The candidate table of a cluster without a search: the needed columns, no row."""
    kinds = {"sample_id": str, "ra": float, "dec": float, "probability_calibrated": float}
    return pd.DataFrame({name: np.array([], dtype=kinds[name]) for name in NEEDED})


def read_candidates(path: Path | str) -> pd.DataFrame:
    """Candidate table of a search (ECSV), most probable first.

    Raises ValueError naming the missing column, or the samples without position or probability.
    """
    ecsv = Table.read(path, format="ascii.ecsv")
    for name in ecsv.colnames:
        # ECSV writes an empty text as a missing one; missing numbers become NaN below.
        if ecsv[name].dtype.kind in "SU" and isinstance(ecsv[name], MaskedColumn):
            ecsv[name] = ecsv[name].filled("")
    table = ecsv.to_pandas()
    missing = [name for name in NEEDED if name not in table]
    if missing:
        raise ValueError(f"{path}: no columns {missing}; is this the candidate table of a search?")
    table["sample_id"] = table["sample_id"].astype(str)
    bad = ~np.isfinite(table[["ra", "dec", "probability_calibrated"]].to_numpy(dtype=float)).all(
        axis=1
    )
    if bad.any():
        raise ValueError(
            f"{path}: {int(bad.sum())} candidates without ra, dec or probability, "
            f"first {table.loc[bad, 'sample_id'].iloc[0]}; a cluster overlay needs positions"
        )
    return table.sort_values(
        ["probability_calibrated", "sample_id"], ascending=[False, True]
    ).reset_index(drop=True)


def matching_magnitude(scanned: pd.DataFrame) -> tuple[str, np.ndarray]:
    """Name and values [object] of the magnitude that most scanned objects have; NaN for others."""
    known = [name for name in MAGNITUDES if name in scanned]
    if not known:
        return "none", np.full(len(scanned), np.nan)
    best = max(known, key=lambda name: scanned[name].notna().sum())
    return best, scanned[best].to_numpy(dtype=float)
