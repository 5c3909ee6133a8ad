"""Read the calibrated predictions of an ensemble's members into one table, one file at a time."""

import numpy as np
import pandas as pd
from tqdm import tqdm

from lenshunt.evaluation.predictions import PREDICTION_COLUMNS, read_predictions

CALIBRATED = "logit_calibrated"
#: What every sample has in common, whichever model scored it.
SHARED = tuple(n for n in PREDICTION_COLUMNS if n not in ("logit", "model", "seed"))


def read_members(paths: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """One table of all members' scores, and the members' names MODEL-SEED in order.

    paths : calibrated tables of the same samples, in any order of rows
    The table has the shared columns; `excluded` where any table excludes the sample; per member
    MEMBER:logit_calibrated and MEMBER:NAME of each further column; and `logit_std`, the spread
    of the calibrated logits (NaN for one member).
    Raises ValueError naming the table, the member and a sample where they do not fit together.
    """
    if not paths:
        raise ValueError("no predictions to fuse; name at least one calibrated table")
    base: pd.DataFrame | None = None
    columns: dict[str, np.ndarray] = {}
    names: list[str] = []
    for path in tqdm(paths, desc="fusing", unit="model", disable=None):
        table = read_predictions(path, (CALIBRATED,))
        name = _member_name(table, path)
        if name in names:
            raise ValueError(f"{path}: a second table of {name}; fuse each model and seed once")
        if base is None:
            base = table[list(SHARED)]
        else:
            table = _in_order(table, base, f"{path} ({name})", paths[0])
            base = base.assign(
                excluded=base["excluded"].to_numpy(bool) | table["excluded"].to_numpy(bool)
            )
        names.append(name)
        columns[f"{name}:{CALIBRATED}"] = table[CALIBRATED].to_numpy(float)
        own = [n for n in table if n not in (*PREDICTION_COLUMNS, CALIBRATED, "probability")]
        columns |= {f"{name}:{column}": table[column].to_numpy() for column in own}
    assert base is not None
    logits = np.stack([columns[f"{name}:{CALIBRATED}"] for name in names])
    spread = logits.std(axis=0, ddof=1) if len(names) > 1 else np.full(len(base), np.nan)
    more = pd.DataFrame({"logit_std": spread, **columns}, index=base.index)
    return pd.concat([base, more], axis=1), names


def member_logits(table: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Calibrated logits [n, k] of the members, from a table of `read_members`."""
    return table[[f"{name}:{CALIBRATED}" for name in names]].to_numpy(float)


def _member_name(table: pd.DataFrame, path: str) -> str:
    """MODEL-SEED of a table of predictions, the same in all its rows."""
    found = table[["model", "seed"]].drop_duplicates()
    if len(found) != 1:
        raise ValueError(f"{path}: scores of {len(found)} models; a table holds those of one")
    return f"{found['model'].iloc[0]}-{int(found['seed'].iloc[0])}"


def _in_order(table: pd.DataFrame, base: pd.DataFrame, where: str, first: str) -> pd.DataFrame:
    """The rows of `table` in the order of `base`, which has the same samples."""
    missing = sorted(set(base["sample_id"]) - set(table["sample_id"]))
    if missing:
        raise ValueError(
            f"{where}: no score for {len(missing)} samples of {first}, first {missing[0]}; "
            "fuse predictions of one experiment"
        )
    more = sorted(set(table["sample_id"]) - set(base["sample_id"]))
    if more:
        raise ValueError(
            f"{first}: no score for {len(more)} samples of {where}, first {more[0]}; "
            "fuse predictions of one experiment"
        )
    table = table.set_index("sample_id").loc[base["sample_id"]]
    for column in ("split", "label"):
        if (table[column].to_numpy() != base[column].to_numpy()).any():
            raise ValueError(f"{where}: samples have another {column} than in {first}")
    return table.reset_index()
