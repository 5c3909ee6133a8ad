"""Leak-proof, stratified splits of one data set; they depend on nothing but it and the seed."""

import hashlib
from collections.abc import Sequence
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd

from lenshunt.config import SplitConfig
from lenshunt.dataset.factors import FACTORS, factor_table
from lenshunt.dataset.matching import same_object
from lenshunt.records import read_metadata

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
)
MERGED = "*"


def make_splits(
    *,
    metadata: Sequence[str],
    config: SplitConfig,
    seed: int,
    out: str,
    search: bool = False,
) -> None:
    """Write the split of every sample of one data set as Parquet with SPLIT_COLUMNS.

    metadata : Parquet tables of the data set's chunks
    search : the data set is only scored; every sample is in split `search`
    Objects of one system, or within config.match_radius_arcsec of each other, form a group and
    stay together. Raises ValueError naming a sample that occurs twice.
    """
    table = read_chunks(metadata)
    number = same_object(
        table["system_id"],
        table["ra"].to_numpy(float),
        table["dec"].to_numpy(float),
        config.match_radius_arcsec,
    )
    groups = _group_factors(table, number)
    table["group"] = groups["group"].to_numpy()[number]
    if search:
        groups["stratum"], groups["split"] = "", "search"
    else:
        groups["stratum"] = merge_rare_strata(groups[list(FACTORS)], config.min_stratum_groups)
        groups["split"] = assign_splits(groups, split_fractions(config), seed)
    table["stratum"] = groups["stratum"].to_numpy()[number]
    table["split"] = groups["split"].to_numpy()[number]
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    table[list(SPLIT_COLUMNS)].to_parquet(partial, index=False)
    partial.replace(path)


def read_chunks(metadata: Sequence[str]) -> pd.DataFrame:
    """Metadata of all chunks of one data set in one table."""
    table = pd.concat([read_metadata(path) for path in metadata], ignore_index=True)
    names = table["dataset"].unique()
    if len(names) > 1:
        raise ValueError(f"splits are made per data set, found {', '.join(sorted(names))}")
    if table.empty:
        raise ValueError(f"{', '.join(map(str, metadata))}: no samples to split")
    twice = table["sample_id"].duplicated()
    if twice.any():
        raise ValueError(
            f"{', '.join(map(str, metadata))}: sample {table.loc[twice, 'sample_id'].iloc[0]} "
            "occurs twice; sample_id must be unique in a data set"
        )
    return table


def split_fractions(config: SplitConfig) -> np.ndarray:
    """Target fraction of each of LEARNING_SPLITS; validation is halved.

    Raises ValueError when nothing is left for the test split.
    """
    test = 1.0 - config.train - config.val
    if test <= 0:
        raise ValueError(
            f"splits.train {config.train} + splits.val {config.val} leave nothing for the test "
            "split; their sum must be below 1"
        )
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
    """Split [g] of every group: each stratum in hash order, cut at the cumulated fractions.

    groups : columns group, stratum, label. What rounding gives too much to a split in one stratum
    is taken back in the next stratum of the same label, so that label fractions stay exact.
    """
    order = pd.DataFrame(
        {
            "label": groups["label"],
            "stratum": groups["stratum"],
            "hash": [_seeded_hash(name, seed) for name in groups["group"]],
        }
    ).sort_values(["label", "stratum", "hash"], kind="stable")
    split = pd.Series("", index=groups.index, dtype=object)
    for _, of_label in order.groupby("label"):
        carry = np.zeros(len(fractions))
        for _, stratum in of_label.groupby("stratum"):
            counts, carry = _cut(len(stratum), fractions, carry)
            split.loc[stratum.index] = np.repeat(np.array(LEARNING_SPLITS, object), counts)
    return split


def _cut(n: int, fractions: np.ndarray, carry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers of n groups per split, and the remainders for the next stratum."""
    wanted = n * fractions + carry
    counts = np.floor(n * fractions + 1e-9).astype(int)
    for _ in range(n - counts.sum()):
        counts[np.argmax(wanted - counts)] += 1
    return counts, wanted - counts
