"""Calibrate a model's predictions, fuse several models, and calibrate the fused score again."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from lenshunt.evaluation.calibration import (
    Method,
    apply_parameters,
    calibration_numbers,
    fit_calibration,
)
from lenshunt.evaluation.predictions import (
    labelled_rows,
    read_predictions,
    write_parquet,
    write_text,
)

#: Model name and seed of fused predictions.
FUSED, FUSED_SEED = "ensemble", -1


def calibrate(*, predictions: str, out: str, parameters: str, method: Method = "logit") -> None:
    """Fit a calibration on `val_calibrate` and write the predictions with it.

    out : the table with columns logit_calibrated and probability
    parameters : JSON with method, a, b, prior, n, note and, on the test split (whole, and per
    survey), n, ece, ece_debiased, brier, log_loss before and after
    """
    table = read_predictions(predictions)
    table, fitted = _calibrated(table, predictions, method)
    write_parquet(table, out)
    write_text(json.dumps(fitted, indent=1) + "\n", parameters)


def apply_calibration(*, predictions: str, parameters: str, out: str) -> None:
    """Write predictions with a calibration fitted elsewhere (for a set without val_calibrate)."""
    table = read_predictions(predictions)
    write_parquet(_with_parameters(table, read_parameters(parameters)), out)


def fuse(*, predictions: list[str], out: str, parameters: str, fitted: str | None = None) -> None:
    """Plain mean of the calibrated logits of several models, calibrated again.

    predictions : calibrated tables of the same samples. The fused table has the same columns;
    `logit` is the mean, `logit_std` the spread between models (NaN for one model), `model`
    "ensemble", `seed` -1.
    fitted : parameters to apply instead of fitting them (for a set without val_calibrate)
    Raises ValueError naming the table and a sample that the first table does not share.
    """
    table = _mean_logits(predictions)
    if fitted is None:
        table, numbers = _calibrated(table, out, "logit")
    else:
        numbers = read_parameters(fitted)
        table = _with_parameters(table, numbers)
    write_parquet(table, out)
    write_text(json.dumps(numbers, indent=1) + "\n", parameters)


def read_parameters(path: str) -> dict[str, Any]:
    """Calibration parameters from JSON; ValueError where keys are missing."""
    with open(path) as stream:
        values = json.load(stream)
    missing = [name for name in ("method", "a", "b", "prior") if name not in values]
    if missing:
        raise ValueError(f"{path}: no {', '.join(missing)}; is this a calibration file?")
    return values


def _with_parameters(table: pd.DataFrame, parameters: Mapping[str, Any]) -> pd.DataFrame:
    """The table with columns logit_calibrated and probability."""
    calibrated = apply_parameters(parameters, table["logit"].to_numpy(float))
    return table.assign(logit_calibrated=calibrated, probability=expit(calibrated))


def _calibrated(
    table: pd.DataFrame, where: str, method: Method
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The calibrated table, and the fit's parameters with its numbers on the test split."""
    held = labelled_rows(table, "val_calibrate", where)
    fitted = fit_calibration(held["label"].to_numpy(), held["logit"].to_numpy(float), method)
    table = _with_parameters(table, fitted)
    test = labelled_rows(table, "test", where)
    fitted["test"] = _before_and_after(test)
    fitted["surveys"] = {
        str(name): _before_and_after(rows) for name, rows in test.groupby("survey", sort=True)
    }
    if test.empty:
        fitted["note"] = "; ".join(n for n in (fitted["note"], "no labelled test objects") if n)
    return table, fitted


def _before_and_after(test: pd.DataFrame) -> dict[str, dict]:
    """Calibration numbers of the raw and of the calibrated logits."""
    labels = test["label"].to_numpy()
    columns = {"before": "logit", "after": "logit_calibrated"}
    return {
        name: calibration_numbers(labels, test[column].to_numpy(float))
        for name, column in columns.items()
    }


def _mean_logits(paths: list[str]) -> pd.DataFrame:
    """First table with the mean and the spread of all tables' calibrated logits."""
    if not paths:
        raise ValueError("no predictions to fuse; name at least one calibrated table")
    first = read_predictions(paths[0], ("logit_calibrated",))
    columns = [first["logit_calibrated"].to_numpy(float)]
    excluded = first["excluded"].to_numpy(bool)
    for path in paths[1:]:
        table = read_predictions(path, ("logit_calibrated",)).set_index("sample_id")
        differ = sorted(set(first["sample_id"]) ^ set(table.index))
        if differ:
            raise ValueError(
                f"{path}: not the samples of {paths[0]} ({len(differ)} differ, first "
                f"{differ[0]}); fuse predictions of one experiment"
            )
        table = table.loc[first["sample_id"]]
        if (table["split"].to_numpy() != first["split"].to_numpy()).any():
            raise ValueError(f"{path}: samples lie in other splits than in {paths[0]}")
        columns.append(table["logit_calibrated"].to_numpy(float))
        excluded = excluded | table["excluded"].to_numpy(bool)
    logits = np.stack(columns)
    spread = logits.std(axis=0, ddof=1) if len(logits) > 1 else np.full(len(first), np.nan)
    fused = first.drop(columns=["logit_calibrated", "probability"], errors="ignore")
    return fused.assign(
        excluded=excluded,
        logit=logits.mean(axis=0),
        logit_std=spread,
        model=FUSED,
        seed=FUSED_SEED,
    )
