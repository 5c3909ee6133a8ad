"""Exclusion lists: objects that a training must not see, since data sets overlap on the sky."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lenshunt.core import write_parquet
from lenshunt.dataset.folds import FOLD_COLUMNS, RANK, strictest
from lenshunt.dataset.known_lenses import TYPES, nearest_known_lens
from lenshunt.dataset.same_object import same_object
from lenshunt.dataset.splits import SPLIT_COLUMNS
from lenshunt.schema import LABEL_SOURCES

EXCLUSION_COLUMNS = (
    "dataset",
    "sample_id",
    "split",
    "reason",
    "other_dataset",
    "other_sample_id",
)
KNOWN_LENS = "known lens among the negatives"
UNMATCHED = "no lens host within the calipers"
NO_LABEL = "neither lens nor clear negative"
BASE_COLUMNS = tuple(name for name in SPLIT_COLUMNS if name not in FOLD_COLUMNS)
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
    known_radius_arcsec: Mapping[str, float] | None = None,
    folds: Mapping[str, Sequence[int | None]] | None = None,
    matched: str | None = None,
    labelled: Sequence[str] = (),
    hosts: Sequence[str] = (),
) -> None:
    """Write the exclusion list of one training as Parquet with EXCLUSION_COLUMNS.

    matched : Parquet of `match_negatives`; negatives that it does not keep are excluded too
    labelled : data sets that train or test a classifier; objects in them that their source calls
        neither lens nor clear negative (label -1) are excluded, in every split
    hosts : data sets whose galaxies carry lenses made in training, whatever their label says;
        known lenses among them are excluded as they are among negatives
    The other arguments, and the rules, are those of `find_exclusions`.
    """
    table = split_tables(splits, [*train, *evaluate], folds or {})
    found = pd.concat(
        [
            _without_label(table[table["dataset"].isin(labelled)]),
            find_exclusions(table, radius_arcsec, known_lenses, known_radius_arcsec, hosts),
        ],
        ignore_index=True,
    )
    if matched is not None:
        found = pd.concat([found, _unmatched(matched)], ignore_index=True)
    found = found.drop_duplicates(["dataset", "sample_id"])[list(EXCLUSION_COLUMNS)]
    found = found.sort_values(["dataset", "sample_id"], ignore_index=True).astype("str")
    write_parquet(found, out)


def split_tables(
    splits: Mapping[str, str],
    names: Sequence[str],
    folds: Mapping[str, Sequence[int | None]],
) -> pd.DataFrame:
    """Splits of the data sets `names` in one table, with a column `dataset`.

    splits : Parquet of `make_splits` by data set
    folds : the cross-validation folds under which a data set is used; plain splits where it is
        not named. A sample counts with its strictest split: what any of them tests is tested.
    """
    unique = list(dict.fromkeys(names))
    missing = [name for name in unique if name not in splits]
    if missing:
        raise ValueError(f"no splits of data set {', '.join(missing)}; pass them in `splits`")
    parts = []
    for name in unique:
        used = list(folds.get(name, [None]))
        # Without folds the columns of folds are not needed.
        columns = None if any(fold is not None for fold in used) else list(BASE_COLUMNS)
        table = pd.read_parquet(splits[name], columns=columns)
        parts.append(strictest(table, used)[list(BASE_COLUMNS)].assign(dataset=name))
    return pd.concat(parts, ignore_index=True)


def find_exclusions(
    table: pd.DataFrame,
    radius_arcsec: float,
    known_lenses: Sequence[str] = (),
    known_radius_arcsec: Mapping[str, float] | None = None,
    hosts: Sequence[str] = (),
) -> pd.DataFrame:
    """Samples that must stay out, columns EXCLUSION_COLUMNS, the weightiest reason first.

    table : `split_tables` of all data sets that a training uses or is evaluated on
    known_lenses : tables of lenses on the sky, see `known_lenses.read_known_lenses`
    known_radius_arcsec : by type of lens; `radius_arcsec` for all where none is given
    Two samples show the same object when a chain of equal systems, or of neighbours within
    `radius_arcsec`, through any of the data sets leads from one to the other. Of such samples only
    those of the highest split stay (test and search > val_calibrate > val_select > train).
    Negatives in any split that are a known lens, or lie near one, are excluded too; so are
    unlabelled objects of data sets in `hosts`.
    """
    ra, dec = table["ra"].to_numpy(float), table["dec"].to_numpy(float)
    near = nearest_known_lens(
        table, known_lenses, known_radius_arcsec or dict.fromkeys(TYPES, radius_arcsec)
    )
    table = table.assign(
        object=same_object(table["system_id"], ra, dec, radius_arcsec),
        known_file=near["file"].to_numpy(),
        known_name=near["name"].to_numpy(),
    )
    return pd.concat([_known_lenses(table, hosts), _lower_splits(table)], ignore_index=True)


def _without_label(table: pd.DataFrame) -> pd.DataFrame:
    """Objects without a lens label among those of labelled data sets.

    Not those of pretrain:* and weak:*: a data set of these has no place there, the loader says so.
    """
    foreign = table["label_source"].str.startswith(("pretrain:", "weak:"))
    without = table[(table["label"] == -1) & ~foreign]
    return without[["dataset", "sample_id", "split"]].assign(
        reason=NO_LABEL, other_dataset="", other_sample_id=""
    )


def _unmatched(matched: str) -> pd.DataFrame:
    """Negatives that a matching to lens hosts does not keep."""
    table = pd.read_parquet(matched)
    dropped = table[(table["role"] == "negative") & ~table["kept"]]
    return dropped[["dataset", "sample_id", "split"]].assign(
        reason=UNMATCHED, other_dataset="", other_sample_id=""
    )


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


def _known_lenses(table: pd.DataFrame, hosts: Sequence[str]) -> pd.DataFrame:
    """Negatives and hosts, of any split, whose object is a real lens in any of the data sets."""
    real_lens = (table["label"] == 1) & table["label_source"].isin(REAL_LENS_SOURCES)
    lenses = table[real_lens].sort_values(["dataset", "sample_id"]).drop_duplicates("object")
    lens_of = lenses.set_index("object")
    unlabelled_host = table["dataset"].isin(hosts) & (table["label"] == -1)
    negatives = table[(table["label"] == 0) | unlabelled_host]
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
    )[matched | (negatives["known_file"] != "")]
    listed = table.loc[found.index]
    return found.assign(
        other_dataset=found["other_dataset"].where(matched, listed["known_file"]),
        other_sample_id=found["other_sample_id"].where(matched, listed["known_name"]),
    )


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
