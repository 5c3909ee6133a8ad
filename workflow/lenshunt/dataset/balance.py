"""How well a split is balanced: every factor, every split, beside what chance would give."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lenshunt.config import SplitConfig
from lenshunt.dataset.factors import FACTORS, factor_table
from lenshunt.dataset.splits import LEARNING_SPLITS, SPLITS, read_chunks, split_fractions

BALANCE_COLUMNS = (
    "factor",
    "value",
    "split",
    "n_samples",
    "n_groups",
    "fraction",
    "fraction_all",
    "deviation",
    "binomial_sigma",
)


def balance_table(
    *, splits: str, metadata: Sequence[str], config: SplitConfig | None = None
) -> pd.DataFrame:
    """One row per factor, value and split of one data set, columns BALANCE_COLUMNS.

    splits : Parquet of `make_splits`; metadata : the Parquet tables it was made from
    fraction : share of the split's groups that have this value; fraction_all : of all groups
    deviation : fraction - fraction_all; binomial_sigma : sqrt(p (1 - p) / n) of a random draw of
    the split's n groups. A group has every value that one of its samples has. Factor `split`
    gives the size of each split: there `fraction` is the share of all groups that it holds, and
    `fraction_all` the share that config asks for.
    """
    targets = dict(zip(LEARNING_SPLITS, split_fractions(config or SplitConfig()), strict=True))
    table = read_chunks(metadata)
    split = pd.read_parquet(splits, columns=["sample_id", "group", "split", "stratum"])
    members = factor_table(table)[list(FACTORS)]
    members["sample_id"] = table["sample_id"].to_numpy()
    members = members.merge(split, on="sample_id", validate="one_to_one")
    if len(members) != len(table) or len(members) != len(split):
        raise ValueError(f"{splits}: not the samples of {', '.join(map(str, metadata))}")
    if not members["stratum"].any():
        # only searched, or held out: whole in its one split
        targets = {}
    present = [name for name in SPLITS if (members["split"] == name).any()]
    rows = [row for name in present for row in _rows_of_split(members, name, targets)]
    order = {name: i for i, name in enumerate(("split", *FACTORS))}
    result = pd.DataFrame(rows, columns=list(BALANCE_COLUMNS))
    return result.sort_values(
        ["factor", "value"], key=lambda c: c.map(order) if c.name == "factor" else c, kind="stable"
    ).reset_index(drop=True)


def _rows_of_split(members: pd.DataFrame, split: str, targets: Mapping[str, float]) -> list[tuple]:
    """Rows of one split, for its size and for every factor."""
    here = members[members["split"] == split]
    n_all, n_here = members["group"].nunique(), here["group"].nunique()
    share, target = n_here / n_all, targets.get(split, 1.0)
    scatter = np.sqrt(target * (1 - target) / n_all)
    size = (len(here), n_here, share, target, share - target, scatter)
    rows: list[tuple] = [("split", split, split, *size)]
    for factor in FACTORS:
        groups_all = members.groupby(factor)["group"].nunique()
        groups_here = here.groupby(factor)["group"].nunique()
        samples_here = here[factor].value_counts()
        for value, count_all in groups_all.items():
            expected, n = count_all / n_all, int(groups_here.get(value, 0))
            sigma = np.sqrt(expected * (1 - expected) / n_here)
            fraction = n / n_here
            rows.append(
                (
                    factor,
                    value,
                    split,
                    int(samples_here.get(value, 0)),
                    n,
                    fraction,
                    expected,
                    fraction - expected,
                    sigma,
                )
            )
    return rows
