"""Known lenses on the sky, from lenscat, CASTLES or any table of positions."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from lenshunt.dataset.same_object import chord, unit_vectors
from lenshunt.readers.castles_table import read_systems

#: Titles of the columns, as lenscat has them and as other tables do.
TITLES = {
    "ra": ("RA [deg]", "ra", "RA"),
    "dec": ("DEC [deg]", "dec", "DEC"),
    "name": ("name", "Name", "NAME"),
    "type": ("type",),
}
#: Types of lenscat 1.1.3; a table without a column `type` lists lenses of galaxies.
TYPES = ("galaxy", "group", "cluster")
#: Negatives of this source were cut away from the arcs of the cluster that they lie in: the
#: cluster does not make them lenses.
FREE_OF_CLUSTER_ARCS = "obs:relics"


def read_known_lenses(path: str) -> pd.DataFrame:
    """Known lenses with columns name, ra, dec (ICRS degrees), type (one of TYPES), file.

    Reads Parquet, ECSV, and CSV with positions in degrees (lenscat's column titles, or ra and
    dec), and the TAB separated CASTLES table. Raises ValueError naming the column that is missing,
    the lenses whose position is missing or off the sky, and a type that is not known.
    """
    table = _read_castles(path) if _is_castles(path) else _read_degrees(path)
    place = table[["ra", "dec"]].astype(float)
    table = table.assign(ra=place["ra"], dec=place["dec"], file=Path(path).name)
    placed = place.notna().all(axis=1) & place["ra"].abs().lt(np.inf) & place["dec"].abs().le(90)
    bad = ~placed
    if bad.any():
        listed = ", ".join(table.loc[bad, "name"].head(5))
        raise ValueError(
            f"{path}: {bad.sum()} known lenses have no position on the sky ({listed}); give ra and "
            "dec in degrees, or remove these rows"
        )
    unknown = sorted(set(table["type"]) - set(TYPES))
    if unknown:
        raise ValueError(
            f"{path}: unknown type of lens {', '.join(map(repr, unknown))}; the types are "
            f"{', '.join(TYPES)}"
        )
    return table


def _is_castles(path: str) -> bool:
    """Whether a text file has the TAB separated header of the CASTLES table."""
    if Path(path).suffix in (".parquet", ".ecsv"):
        return False
    with open(path, encoding="utf-8-sig") as stream:
        header = stream.readline().lower()
    return "\t" in header and "lens name" in header


def _read_castles(path: str) -> pd.DataFrame:
    systems = read_systems(path).values()
    return pd.DataFrame(
        [(s.name, s.ra, s.dec, "galaxy") for s in systems], columns=["name", "ra", "dec", "type"]
    )


def _read_degrees(path: str) -> pd.DataFrame:
    table = _read_table(path)
    found = {key: next((t for t in titles if t in table), None) for key, titles in TITLES.items()}
    missing = [" or ".join(TITLES[key]) for key in ("ra", "dec") if found[key] is None]
    if missing:
        raise ValueError(
            f"{path}: no column {', no column '.join(missing)} (degrees) among "
            f"{', '.join(map(str, table.columns))}"
        )
    rows = pd.Series([f"row {i + 1}" for i in range(len(table))], dtype="str")
    name = rows if found["name"] is None else table[found["name"]].astype("str").fillna(rows)
    kind = "galaxy" if found["type"] is None else table[found["type"]].astype("str")
    numbers = {}
    for key in ("ra", "dec"):
        try:
            numbers[key] = pd.to_numeric(table[found[key]]).astype(float)
        except ValueError as error:
            raise ValueError(
                f"{path}: column {found[key]!r} is not in decimal degrees ({error})"
            ) from None
    return pd.DataFrame({"name": name, **numbers, "type": kind})


def _read_table(path: str) -> pd.DataFrame:
    suffix = Path(path).suffix
    if suffix == ".parquet":
        return pd.read_parquet(path)
    if suffix == ".ecsv":
        from astropy.table import Table

        table = Table.read(path, format="ascii.ecsv")
        for key in (title for part in ("ra", "dec") for title in TITLES[part]):
            if key in table.colnames and table[key].unit is not None:
                table[key] = table[key].to("deg")
        return table.to_pandas()
    return pd.read_csv(path, skipinitialspace=True)


def nearest_known_lens(
    table: pd.DataFrame, known_lenses: Sequence[str], radius_arcsec: Mapping[str, float]
) -> pd.DataFrame:
    """The nearest known lens of each sample: columns file, name [n]; "" where none is near.

    table : columns ra, dec, label_source; NaN positions are near nothing
    radius_arcsec : by type of lens; of several lenses, the one nearest in units of its radius
    """
    found = pd.DataFrame({"file": "", "name": ""}, index=range(len(table)), dtype=object)
    if not known_lenses:
        return found
    lenses = pd.concat([read_known_lenses(path) for path in known_lenses], ignore_index=True)
    ra, dec = table["ra"].to_numpy(float), table["dec"].to_numpy(float)
    placed = np.isfinite(ra) & np.isfinite(dec)
    free = (table["label_source"] == FREE_OF_CLUSTER_ARCS).to_numpy()
    closest = np.full(len(table), np.inf)
    for kind in TYPES:
        of_kind = lenses[lenses["type"] == kind].sort_values(["file", "name", "ra", "dec"])
        rows = np.flatnonzero(placed & ~free if kind == "cluster" else placed)
        if of_kind.empty or not len(rows):
            continue
        tree = cKDTree(unit_vectors(of_kind["ra"].to_numpy(), of_kind["dec"].to_numpy()))
        distance, nearest = tree.query(unit_vectors(ra[rows], dec[rows]))
        distance = distance / chord(radius_arcsec[kind])
        better = (distance <= 1.0) & (distance < closest[rows])
        closest[rows[better]] = distance[better]
        for column in ("file", "name"):
            found.loc[rows[better], column] = of_kind[column].to_numpy()[nearest[better]]
    return found
