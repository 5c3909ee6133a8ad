"""Which of several values stands for an object: its redshift, its band, its magnitude."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lenshunt.schema.bands import SLOTS

#: Band slots in the order in which they stand for an object: i, in which lenses are looked for,
#: else the slot nearest to it; of two equally near ones that of the shorter wavelength.
REFERENCE_BANDS = ("i", "r", "z", "g", "y")
_ORDER = np.array([SLOTS.index(slot) for slot in REFERENCE_BANDS])


def best_redshift(z_spec: ArrayLike, z_phot: ArrayLike) -> np.ndarray:
    """Spectroscopic redshift, else the photometric one, else NaN; of the shape of both.

    z_spec, z_phot : below 0 or NaN where unknown, as in the metadata
    The spectrum comes first, as everywhere in the field: it errs by 1e-4 (1 + z), colours by some
    0.02 to 0.05 (1 + z), and now and then by very much more.
    """
    spectroscopic, photometric = np.asarray(z_spec, float), np.asarray(z_phot, float)
    best = np.where(spectroscopic >= 0, spectroscopic, photometric)
    return np.where(best >= 0, best, np.nan)


def reference_band(band_flags: ArrayLike) -> np.ndarray:
    """Index [...] of the first slot of REFERENCE_BANDS that has data.

    band_flags : [..., band], true where a slot has data
    Raises ValueError where none has.
    """
    flags = np.asarray(band_flags, bool)
    if not flags.any(axis=-1).all():
        raise ValueError("no band has data: nothing can stand for such an object")
    return _ORDER[flags[..., _ORDER].argmax(axis=-1)]


def reference_magnitude(table: pd.DataFrame) -> np.ndarray:
    """AB magnitude [n] in the first of REFERENCE_BANDS in which it is known; NaN where in none.

    table : columns magnitude_g ... magnitude_y
    """
    columns = [f"magnitude_{slot}" for slot in REFERENCE_BANDS]
    return table[columns].bfill(axis=1).iloc[:, 0].to_numpy(float)
