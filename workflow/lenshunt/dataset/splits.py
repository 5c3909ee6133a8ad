"""Leak-proof, stratified splits of one data set; they depend on nothing but it and the seed."""

import hashlib
import warnings
from collections.abc import Sequence
from functools import reduce

import numpy as np
import pandas as pd

from lenshunt.config import SplitConfig
from lenshunt.core import write_parquet
from lenshunt.dataset.factors import FACTOR_COLUMNS, FACTORS, factor_table
from lenshunt.dataset.folds import FOLD_COLUMNS, NO_FOLD, fold_columns, fold_fractions
from lenshunt.dataset.same_object import same_object
from lenshunt.schema import read_metadata, refuse_repeated_samples

#: Splits in the order in which a stratum is cut; a data set to be searched has only `search`.
LEARNING_SPLITS = ("train", "val_select", "val_calibrate", "test")
SPLITS = (*LEARNING_SPLITS, "search")
SPLIT_COLUMNS = (
    "sample_id",
    "system_id",
    "group",
    "stratum",
    "split",
    "label",
    "label_source",
    "ra",
    "dec",
    *FOLD_COLUMNS,
)
#: Metadata that splits are made of; a whole table of millions would not fit into memory.
NEEDED_COLUMNS = (
    "sample_id",
    "system_id",
    "dataset",
    "label",
    "label_source",
    "ra",
    "dec",
    *FACTOR_COLUMNS,
)
MERGED = "*"
#: Objects from which on one system with more than half of them looks like a mistake.
_MANY = 20


def make_splits(
    *,
    metadata: Sequence[str],
    config: SplitConfig,
    seed: int,
    out: str,
    search: bool = False,
    held_out: bool = False,
) -> None:
    """Write the split of every sample of one data set as Parquet with SPLIT_COLUMNS.

    metadata : Parquet tables of the data set's chunks
    search : the data set is only scored; every sample is in split `search`
    held_out : every sample is in split `test`, in every fold too
    Objects of one system, or within config.match_radius_arcsec of each other, form a group and
    stay together. Where config.folds is set, the groups are also cut into folds, in the same order
    within the same strata. Warns where most objects are one group. Raises ValueError naming a
    sample that occurs twice.
    """
    table = read_chunks(metadata)
    number = same_object(
        table["system_id"],
        table["ra"].to_numpy(float),
        table["dec"].to_numpy(float),
        config.match_radius_arcsec,
    )
    _warn_of_one_position(table, number, config.match_radius_arcsec)
    groups = _group_factors(table, number)
    table["group"] = groups["group"].to_numpy()[number]
    groups = groups.assign(**NO_FOLD)
    if search:
        groups["stratum"], groups["split"] = "", "search"
    elif held_out:
        # nothing is cut, hence no stratum; it is of no fold, of however many there are
        groups["stratum"], groups["split"] = "", "test"
        groups["folds"] = config.folds or 0
    else:
        groups["stratum"] = merge_rare_strata(groups[list(FACTORS)], config.min_stratum_groups)
        groups["split"] = assign_splits(groups, split_fractions(config), seed)
        if config.folds:
            part = cut_strata(groups, fold_fractions(config.folds), seed)
            groups[list(FOLD_COLUMNS)] = fold_columns(part, config.folds)
    table = table.assign(
        **{name: groups[name].to_numpy()[number] for name in ("stratum", "split", *FOLD_COLUMNS)}
    ).astype(dict.fromkeys(FOLD_COLUMNS, "int16"))
    write_parquet(table[list(SPLIT_COLUMNS)], out)


def _warn_of_one_position(table: pd.DataFrame, number: np.ndarray, radius_arcsec: float) -> None:
    """Warn where more than half of many objects would share a split. number : group of each"""
    largest = int(np.bincount(number).max()) if len(number) else 0
    if len(number) >= _MANY and largest > len(number) / 2:
        warnings.warn(
            f"{largest} of the {len(number)} objects of {table['dataset'].iloc[0]} are of one "
            f"system or within {radius_arcsec:g} arcsec of each other, and so in one split; see "
            "that ra and dec (of the catalogue, else of each file's WCS) are those of the objects",
            stacklevel=3,
        )


def read_chunks(metadata: Sequence[str], more: Sequence[str] = ()) -> pd.DataFrame:
    """NEEDED_COLUMNS and `more` of the metadata of all chunks of one data set, in one table."""
    parts = [read_metadata(path, [*NEEDED_COLUMNS, *more]) for path in metadata]
    table = pd.concat(parts, ignore_index=True)
    names = table["dataset"].unique()
    if len(names) > 1:
        raise ValueError(f"splits are made per data set, found {', '.join(sorted(names))}")
    if table.empty:
        raise ValueError(f"{', '.join(map(str, metadata))}: no samples to split")
    refuse_repeated_samples(table["sample_id"], ", ".join(map(str, metadata)))
    return table


def split_fractions(config: SplitConfig) -> np.ndarray:
    """Target fraction of each of LEARNING_SPLITS; validation is halved."""
    test = 1.0 - config.train - config.val
    return np.array([config.train, config.val / 2, config.val / 2, test])


def _group_factors(table: pd.DataFrame, number: np.ndarray) -> pd.DataFrame:
    """Name and factors of each group [g]: those of its first lens, else of its first object."""
    members = factor_table(table)
    members["number"] = number
    members["sample_id"] = table["sample_id"].to_numpy()
    members["system_id"] = table["system_id"].to_numpy()
    names = members.groupby("number")["system_id"].min()
    members["order"] = -table["label"].to_numpy()
    first = members.sort_values(["order", "sample_id"]).drop_duplicates("number")
    groups = first.set_index("number").sort_index()[list(FACTORS)]
    groups["group"] = names
    return groups.reset_index(drop=True)


def merge_rare_strata(factors: pd.DataFrame, groups_min: int) -> pd.Series:
    """Stratum name [g] of every group; rare strata are merged factor by factor.

    factors : one row per group, columns FACTORS. Strata with fewer than `groups_min` groups give
    up the next factor in the order of FACTORS and join those that agree in the rest, until they
    are large enough or only the label is left.
    """
    keys = factors.astype(str).copy()
    columns = list(FACTORS)
    for factor in FACTORS[:-1]:
        sizes = keys.groupby(columns, sort=False)[columns[0]].transform("size")
        keys.loc[sizes < groups_min, factor] = MERGED
    named = [f"{name}=" + keys[name] for name in columns]
    return reduce(lambda left, right: left + "|" + right, named)


def _seeded_hash(name: str, seed: int) -> int:
    """Position of a group in its stratum: depends on its name and the seed alone."""
    digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")


def assign_splits(groups: pd.DataFrame, fractions: np.ndarray, seed: int) -> pd.Series:
    """Split [g] of every group: its stratum cut at the cumulated fractions of LEARNING_SPLITS."""
    part = cut_strata(groups, fractions, seed)
    return pd.Series(np.array(LEARNING_SPLITS, object)[part], index=groups.index)


def cut_strata(groups: pd.DataFrame, fractions: np.ndarray, seed: int) -> np.ndarray:
    """Part [g] of every group: each stratum in hash order, cut at the cumulated fractions.

    groups : columns group, stratum, label
    fractions : share of each part, [p], sum 1
    What rounding gives too much to a part in one stratum is taken back in the next stratum of the
    same label, so that label fractions stay exact.
    """
    keys = groups[["label", "stratum"]].reset_index(drop=True)
    keys["hash"] = [_seeded_hash(name, seed) for name in groups["group"]]
    keys = keys.sort_values(["label", "stratum", "hash"], kind="stable")
    sizes = keys.groupby(["label", "stratum"], sort=True).size()
    parts, label, carry = [], None, np.zeros(len(fractions))
    labels = sizes.index.get_level_values("label")
    for of_label, size in zip(labels, sizes, strict=True):
        if of_label != label:
            label, carry = of_label, np.zeros(len(fractions))
        counts, carry = _cut(size, fractions, carry)
        parts.append(np.repeat(np.arange(len(fractions)), counts))
    result = np.empty(len(keys), int)
    result[keys.index.to_numpy()] = np.concatenate(parts)
    return result


def _cut(n: int, fractions: np.ndarray, carry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers of n groups per part, and the remainders for the next stratum."""
    wanted = n * fractions + carry
    counts = np.floor(n * fractions + 1e-9).astype(int)
    for _ in range(n - counts.sum()):
        counts[np.argmax(wanted - counts)] += 1
    return counts, wanted - counts
