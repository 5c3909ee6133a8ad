"""Tables of predictions: one row per sample, its metadata, its split and the model's logit."""

from pathlib import Path

import numpy as np
import pandas as pd

from lenshunt.schema import COLUMNS, is_trainable_source, refuse_repeated_samples

#: Columns that every table of predictions has.
PREDICTION_COLUMNS: tuple[str, ...] = (*COLUMNS, "split", "excluded", "logit", "model", "seed")


def check_finite(values: np.ndarray, sample_ids: np.ndarray | None, what: str, where: str) -> None:
    """Raise ValueError naming the samples whose score is NaN or infinite.

    values : [n]; sample_ids : [n] or None (then the positions are named)
    """
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        names = bad if sample_ids is None else np.asarray(sample_ids)[bad]
        shown = ", ".join(str(name) for name in names[:5])
        raise ValueError(
            f"{where}: {len(bad)} {what} values are NaN or infinite (samples {shown}"
            f"{', ...' if len(bad) > 5 else ''}); make the predictions again"
        )


def check_labels_scores(
    labels: np.ndarray, scores: np.ndarray, sample_ids: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Labels as bool [n] and scores as float [n].

    Raises ValueError for unequal lengths, labels other than 0 and 1, and for NaN or infinite
    scores (naming the samples).
    """
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=float)
    if labels.shape != scores.shape or labels.ndim != 1:
        raise ValueError(f"labels {labels.shape} and scores {scores.shape} must both be [n]")
    strange = ~np.isin(labels, (0, 1))
    if strange.any():
        raise ValueError(f"label {labels[strange][0]} found; metrics take 0 and 1 only")
    check_finite(scores, sample_ids, "score", "metrics")
    return labels.astype(bool), scores


def read_predictions(path: Path | str, extra: tuple[str, ...] = ()) -> pd.DataFrame:
    """A table of predictions from Parquet, its columns, ids and logits checked.

    extra : further columns that must be there, for example `logit_calibrated`
    Raises ValueError naming the file and the missing columns or the offending samples.
    """
    table = pd.read_parquet(path)
    missing = [name for name in (*PREDICTION_COLUMNS, *extra) if name not in table]
    if missing:
        raise ValueError(f"{path}: no columns {', '.join(missing)}; is this a predictions table?")
    refuse_repeated_samples(table["sample_id"], str(path), "make the predictions again")
    for name in ("logit", *(n for n in extra if n.startswith("logit_cal"))):
        values = table[name].to_numpy(float)
        check_finite(values, table["sample_id"].to_numpy(), name, str(path))
    return table


def labelled_rows(table: pd.DataFrame, split: str, where: str) -> pd.DataFrame:
    """Rows of `split` with a label that may reach a metric, excluded ones left out.

    A label of -1 (neither lens nor clear negative) is no label and stays out.
    Raises ValueError naming a sample of the split whose source carries no lens label at all.
    """
    rows = table[(table["split"] == split) & ~table["excluded"].astype(bool)]
    foreign = ~rows["label_source"].map(is_trainable_source).astype(bool)
    if foreign.any():
        first = rows[foreign].iloc[0]
        raise ValueError(
            f"{where}: sample {first['sample_id']} in split {split} has label_source "
            f"{first['label_source']}, which never reaches a metric; take its data set out of "
            "the experiment's `evaluate`"
        )
    return rows[rows["label"] >= 0].reset_index(drop=True)
