"""Calibrate a model's predictions on its calibration split, and measure what that changed."""

import json
from collections.abc import Mapping
from typing import Any

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


def calibrate(*, predictions: str, out: str, parameters: str, method: Method = "logit") -> None:
    """Fit a calibration on `val_calibrate` and write the predictions with it.

    out : the table with columns logit_calibrated and probability
    parameters : JSON with method, a, b, prior, n, note and, on the test split (whole, and per
    survey), n, ece, ece_debiased, brier, log_loss before and after
    """
    table = read_predictions(predictions)
    table, fitted = calibrated_table(table, predictions, method)
    write_parquet(table, out)
    write_text(json.dumps(fitted, indent=1) + "\n", parameters)


def apply_calibration(*, predictions: str, parameters: str, out: str) -> None:
    """Write predictions with a calibration fitted elsewhere (for a set without val_calibrate)."""
    table = read_predictions(predictions)
    write_parquet(_with_parameters(table, read_parameters(parameters)), out)


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


def calibrated_table(
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
