"""The seven factors that a split balances: bins of every sample, missing values in their own."""

from itertools import pairwise

import numpy as np
import pandas as pd

from lenshunt.schema import REFERENCE_BANDS, best_redshift, reference_magnitude

REDSHIFT_EDGES = (0.2, 0.4, 0.6, 0.8)
SEEING_EDGES_ARCSEC = (0.8, 1.2)
PSF_FWHM_EDGES_ARCSEC = (0.6, 1.0)
PIXEL_SCALE_EDGES_ARCSEC = (0.1, 0.3)
MAGNITUDE_QUANTILES = 5
MISSING = "none"
#: Factors, in the order in which rare strata are merged: the first is given up first. The label
#: comes last and is never given up.
FACTORS = ("pixel_scale", "psf_fwhm", "seeing", "survey", "redshift", "magnitude", "label")
#: Columns of the metadata that the factors are made of, besides the label.
FACTOR_COLUMNS = (
    "pixel_scale",
    "psf_fwhm",
    "seeing",
    "survey",
    "z_spec",
    "z_phot",
    *(f"magnitude_{band}" for band in REFERENCE_BANDS),
)


def _binned(values: np.ndarray, edges: tuple[float, ...] | np.ndarray) -> np.ndarray:
    """Bin names [n] such as "<0.2", "0.2-0.4", ">=0.8"; MISSING for NaN."""
    text = [f"{edge:.4g}" for edge in edges]
    inner = [f"{low}-{high}" for low, high in pairwise(text)]
    names = np.array([f"<{text[0]}", *inner, f">={text[-1]}", MISSING], dtype=object)
    place = np.searchsorted(np.asarray(edges), values, side="right")
    return names[np.where(np.isnan(values), len(names) - 1, place)]


def _magnitude_bins(values: np.ndarray) -> np.ndarray:
    """Quintiles of the data set's own magnitudes; one bin where all are equal or unknown."""
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return np.full(len(values), MISSING, dtype=object)
    inner = np.linspace(0, 1, MAGNITUDE_QUANTILES + 1)[1:-1]
    return _binned(values, np.unique(np.quantile(known, inner)))


def factor_table(table: pd.DataFrame) -> pd.DataFrame:
    """Bin of every sample in every one of FACTORS, as text; columns FACTORS, rows as given.

    table : metadata of one data set
    """
    return pd.DataFrame(
        {
            "pixel_scale": _binned(table["pixel_scale"].to_numpy(float), PIXEL_SCALE_EDGES_ARCSEC),
            "psf_fwhm": _binned(table["psf_fwhm"].to_numpy(float), PSF_FWHM_EDGES_ARCSEC),
            "seeing": _binned(table["seeing"].to_numpy(float), SEEING_EDGES_ARCSEC),
            "survey": table["survey"].astype(str).to_numpy(),
            "redshift": _binned(best_redshift(table["z_spec"], table["z_phot"]), REDSHIFT_EDGES),
            "magnitude": _magnitude_bins(reference_magnitude(table)),
            "label": table["label"].astype(str).to_numpy(),
        },
        columns=list(FACTORS),
        dtype=object,
    )
