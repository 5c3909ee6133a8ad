"""RELICS source catalogues: columns named in '# N name' header lines, 99 and -99 as sentinels."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.table import Table

_COLUMN_LINE = re.compile(r"^#\s*(\d+)\s+(\S+)")
_REQUIRED = ("id", "RA", "Dec")
#: Half-width in redshift within which a source counts as a cluster member.
_MEMBER_DZ = 0.1
#: SExtractor stellarity from which a source is taken to be a star.
_STELLARITY_STAR = 0.8


def read_catalogue(path: str) -> pd.DataFrame:
    """All rows as floats, columns by name; ids as integers.

    Magnitudes of 99 (not detected) and -99 (not observed) are kept: see `observed_magnitude`.
    Raises ValueError where the header or a row does not fit.
    """
    names: list[str] = []
    rows: list[list[float]] = []
    for number, line in enumerate(Path(path).read_text().splitlines(), start=1):
        if line.startswith("#"):
            match = _COLUMN_LINE.match(line)
            if match and not line.startswith("##") and int(match.group(1)) == len(names) + 1:
                names.append(match.group(2))
        elif line.strip():
            values = line.split()
            if len(values) != len(names):
                raise ValueError(
                    f"{path}:{number}: {len(values)} values, but the header names {len(names)} "
                    "columns"
                )
            rows.append([float(value) for value in values])
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise ValueError(f"{path}: no column {missing[0]!r} among the '# N name' header lines")
    table = pd.DataFrame(rows, columns=names)
    table["id"] = table["id"].astype(np.int64)
    return table


def observed_magnitude(values: pd.Series) -> np.ndarray:
    """Magnitudes with NaN for 99 (not detected) and -99 (not observed)."""
    array = values.to_numpy(dtype=float)
    return np.where(np.abs(array) >= 98.0, np.nan, array)


def brightest_magnitude(table: pd.DataFrame) -> np.ndarray:
    """Magnitude in the brightest filter: bright_mag, else the least of the *_mag columns."""
    if "bright_mag" in table:
        return observed_magnitude(table["bright_mag"])
    columns = [name for name in table.columns if name.endswith("_mag")]
    if not columns:
        return np.full(len(table), np.nan)
    magnitudes = np.column_stack([observed_magnitude(table[name]) for name in columns])
    return np.nanmin(np.where(np.isnan(magnitudes), np.inf, magnitudes), axis=1)


def is_star(table: pd.DataFrame) -> np.ndarray:
    """Bool [n], by stellarity; all False where the catalogue has none."""
    if "stel" not in table:
        return np.zeros(len(table), bool)
    return table["stel"].to_numpy() >= _STELLARITY_STAR


def is_member(table: pd.DataFrame, z_cluster: float, path: str) -> np.ndarray:
    """Bool [n], photometric redshift zb within 0.1 of the cluster's, and not a star."""
    if "zb" not in table:
        raise ValueError(f"{path}: no column 'zb', so cluster members cannot be told")
    near = np.abs(table["zb"].to_numpy() - z_cluster) < _MEMBER_DZ
    return near & ~is_star(table)


def away_from(ra: np.ndarray, dec: np.ndarray, arcs_path: str, radius_arcsec: float) -> np.ndarray:
    """Bool [n], farther than `radius_arcsec` from every arc of an ECSV table with ra, dec [deg]."""
    arcs = Table.read(arcs_path, format="ascii.ecsv")
    missing = [name for name in ("ra", "dec") if name not in arcs.colnames]
    if missing:
        raise ValueError(f"{arcs_path}: no column {missing[0]!r}, expected ra and dec in degrees")
    if not len(arcs):
        return np.ones(len(ra), bool)
    away = _separation_arcsec(
        ra[:, None], dec[:, None], np.asarray(arcs["ra"]), np.asarray(arcs["dec"])
    )
    return away.min(axis=1) > radius_arcsec


def _separation_arcsec(
    ra1: np.ndarray, dec1: np.ndarray, ra2: np.ndarray, dec2: np.ndarray
) -> np.ndarray:
    """Great-circle distance (haversine), inputs in degrees."""
    d1, d2 = np.radians(dec1), np.radians(dec2)
    half = np.sin((d1 - d2) / 2) ** 2
    half = half + np.cos(d1) * np.cos(d2) * np.sin(np.radians(ra1 - ra2) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(half))) * 3600.0
