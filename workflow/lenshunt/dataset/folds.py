"""Cross-validation folds: one table of splits serves every fold."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

#: Columns of a table of splits that say where a sample stands in cross-validation.
#: fold : 0 .. folds - 1, or -1 where no folds were made, or where the data set is only searched
#:     or held out for the test
#: folds : number of folds, 0 without
#: half : 0 or 1; when the fold validates, half 0 is val_select and half 1 is val_calibrate
FOLD_COLUMNS = ("fold", "folds", "half")
NO_FOLD = {"fold": -1, "folds": 0, "half": 0}
#: A sample is excluded when its object also occurs in a split of higher rank. Fields that are
#: searched rank with the test splits: what is scored is never trained on.
RANK = {"train": 0, "val_select": 1, "val_calibrate": 2, "test": 3, "search": 3}


def fold_fractions(folds: int) -> np.ndarray:
    """Fraction of the groups in each half of each fold [2 folds]."""
    return np.full(2 * folds, 0.5 / folds)


def fold_columns(part: np.ndarray, folds: int) -> pd.DataFrame:
    """FOLD_COLUMNS of the groups [g] that were cut into `fold_fractions(folds)` parts."""
    values = {"fold": part // 2, "folds": folds, "half": part % 2}
    return pd.DataFrame(values, index=range(len(part))).astype("int16")


def with_fold(table: pd.DataFrame, fold: int | None) -> pd.DataFrame:
    """The table with `split` as experiment fold `fold` sees it; unchanged where it is None.

    table : columns sample_id, split and FOLD_COLUMNS
    The fold itself is the test split, the next one validates (half 0 selects, half 1 calibrates),
    the others train. A data set that is only searched stays so, and so does one that is held out,
    which has folds but is in none of them. Raises ValueError where the table holds no such fold.
    """
    if fold is None:
        return table
    learning = (table["split"] != "search").to_numpy()
    absent = [name for name in FOLD_COLUMNS if name not in table]
    if absent:
        raise ValueError(
            f"fold {fold}: these splits hold no folds (no column {', '.join(absent)}); set "
            "splits.folds and make splits and shards again"
        )
    lost = learning & ~(table["folds"] > fold).to_numpy()
    if lost.any():
        first = table[lost].iloc[0]
        raise ValueError(
            f"fold {fold}: {first['sample_id']} was split into {first['folds']} folds; set "
            "splits.folds and make splits and shards again"
        )
    number, folds = table["fold"].to_numpy(int), np.maximum(table["folds"].to_numpy(int), 1)
    validates = number == (fold + 1) % folds
    half = np.where(table["half"].to_numpy() == 0, "val_select", "val_calibrate")
    split = np.where(number == fold, "test", np.where(validates, half, "train"))
    cut = learning & (number >= 0)
    seen = pd.Series(split, index=table.index).where(cut, table["split"])
    return table.assign(split=seen.astype(table["split"].dtype))


def strictest(table: pd.DataFrame, folds: Sequence[int | None]) -> pd.DataFrame:
    """The table with the split of highest RANK that a sample has under any of `folds`.

    What one training may score, a pretraining that serves them all must not have seen.
    """
    seen = [with_fold(table, fold)["split"] for fold in dict.fromkeys(folds)] or [table["split"]]
    best = seen[0]
    for split in seen[1:]:
        best = split.where(split.map(RANK).astype(int) > best.map(RANK).astype(int), best)
    return table.assign(split=best)
