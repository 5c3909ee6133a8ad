"""Exclusion lists: who must stay out of a training, because data sets meet on the sky."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from lenshunt.dataset.matching import chord, same_object, unit_vectors
from lenshunt.dataset.splits import SPLIT_COLUMNS
from lenshunt.records import LABEL_SOURCES

EXCLUSION_COLUMNS = (
    "dataset",
    "sample_id",
    "split",
    "reason",
    "other_dataset",
    "other_sample_id",
)
#: A sample is excluded when its object also occurs in a split of higher rank. Fields that are
#: searched rank with the test splits: what is scored is never trained on.
RANK = {"train": 0, "val_select": 1, "val_calibrate": 2, "test": 3, "search": 3}
KNOWN_LENS = "known lens among the negatives"
#: Sources whose positives are lenses on the real sky. Arcs painted onto a real galaxy say nothing
#: against that galaxy as a negative.
REAL_LENS_SOURCES = tuple(name for name in LABEL_SOURCES if name.startswith("obs:"))


def write_exclusions(
    *,
    splits: Mapping[str, str],
    train: Sequence[str],
    evaluate: Sequence[str],
    radius_arcsec: float,
    out: str,
    known_lenses: Sequence[str] = (),
) -> None:
    """Write the exclusion list of one training as Parquet with EXCLUSION_COLUMNS.

    splits : Parquet of `make_splits` by data set; those in `train` and `evaluate` are used
    known_lenses : tables (Parquet, CSV) of further lenses with columns ra, dec in degrees
    Two samples show the same object when a chain of equal systems, or of neighbours within
    `radius_arcsec`, through any of the data sets leads from one to the other. Of such samples only
    those of the highest split stay (test and search > val_calibrate > val_select > train).
    Negatives in any split that are a known lens are excluded too.
    """
    names = list(dict.fromkeys([*train, *evaluate]))
    missing = [name for name in names if name not in splits]
    if missing:
        raise ValueError(f"no splits of data set {', '.join(missing)}; pass them in `splits`")
    tables = [pd.read_parquet(splits[name], columns=list(SPLIT_COLUMNS)) for name in names]
    table = pd.concat(
        [part.assign(dataset=name) for name, part in zip(names, tables, strict=True)],
        ignore_index=True,
    )
    ra, dec = table["ra"].to_numpy(float), table["dec"].to_numpy(float)
    table["object"] = same_object(table["system_id"], ra, dec, radius_arcsec)
    table["known"] = _near_known_lens(table, known_lenses, radius_arcsec)
    found = pd.concat([_known_lenses(table), _lower_splits(table)], ignore_index=True)
    found = found.drop_duplicates(["dataset", "sample_id"])[list(EXCLUSION_COLUMNS)]
    found = found.sort_values(["dataset", "sample_id"], ignore_index=True).astype("str")
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    found.to_parquet(partial, index=False)
    partial.replace(path)


def _lower_splits(table: pd.DataFrame) -> pd.DataFrame:
    """Samples whose object also occurs in a split of higher rank, with the first such sample."""
    ranked = table.assign(rank=table["split"].map(RANK).astype(int))
    ranked = ranked.sort_values(
        ["object", "rank", "dataset", "sample_id"], ascending=[True, False, True, True]
    )
    highest = ranked.drop_duplicates("object").set_index("object")
    top = highest.loc[ranked["object"]]
    below = ranked["rank"].to_numpy() < top["rank"].to_numpy()
    return pd.DataFrame(
        {
            "dataset": ranked["dataset"].to_numpy(),
            "sample_id": ranked["sample_id"].to_numpy(),
            "split": ranked["split"].to_numpy(),
            "reason": "same object in split " + top["split"].astype(str).to_numpy(),
            "other_dataset": top["dataset"].to_numpy(),
            "other_sample_id": top["sample_id"].to_numpy(),
        }
    )[below]


def _known_lenses(table: pd.DataFrame) -> pd.DataFrame:
    """Negatives, of any split, whose object is a real lens in any of the data sets."""
    real_lens = (table["label"] == 1) & table["label_source"].isin(REAL_LENS_SOURCES)
    lenses = table[real_lens].sort_values(["dataset", "sample_id"]).drop_duplicates("object")
    lens_of = lenses.set_index("object")
    negatives = table[table["label"] == 0]
    matched = negatives["object"].isin(lens_of.index)
    partner = lens_of.reindex(negatives["object"])
    found = pd.DataFrame(
        {
            "dataset": negatives["dataset"],
            "sample_id": negatives["sample_id"],
            "split": negatives["split"],
            "reason": KNOWN_LENS,
            "other_dataset": partner["dataset"].to_numpy(),
            "other_sample_id": partner["sample_id"].to_numpy(),
        }
    )[matched | (negatives["known"] != "")]
    listed = table.loc[found.index, "known"]
    return found.assign(
        other_dataset=found["other_dataset"].where(matched, listed),
        other_sample_id=found["other_sample_id"].where(matched, ""),
    )


def _near_known_lens(
    table: pd.DataFrame, known_lenses: Sequence[str], radius_arcsec: float
) -> np.ndarray:
    """Name of the table of known lenses that lists an object here [n]; "" where none does."""
    near = np.full(len(table), "", dtype=object)
    placed = np.flatnonzero(np.isfinite(table["ra"]) & np.isfinite(table["dec"]))
    here = unit_vectors(table["ra"].to_numpy(float)[placed], table["dec"].to_numpy(float)[placed])
    for path in known_lenses:
        lenses = pd.read_parquet(path) if path.endswith(".parquet") else pd.read_csv(path)
        if not {"ra", "dec"} <= set(lenses.columns):
            raise ValueError(f"{path}: known lenses need columns ra and dec, in degrees")
        lenses = lenses[["ra", "dec"]].astype(float).dropna()
        there = unit_vectors(lenses["ra"].to_numpy(), lenses["dec"].to_numpy())
        if len(here) and len(there):
            distance = cKDTree(there).query(here)[0]
            near[placed[distance <= chord(radius_arcsec)]] = Path(path).name
    return near


def read_exclusions(path: str) -> pd.DataFrame:
    """An exclusion list. Raises ValueError when columns are missing."""
    table = pd.read_parquet(path)
    missing = [name for name in EXCLUSION_COLUMNS if name not in table]
    if missing:
        raise ValueError(f"{path}: not an exclusion list, columns {', '.join(missing)} are missing")
    return table


def excluded_rows(table: pd.DataFrame, exclusions: pd.DataFrame) -> np.ndarray:
    """Whether each row [n] of `table` (columns dataset, sample_id) is on the exclusion list."""
    listed = pd.MultiIndex.from_frame(exclusions[["dataset", "sample_id"]])
    return pd.MultiIndex.from_frame(table[["dataset", "sample_id"]]).isin(listed)
