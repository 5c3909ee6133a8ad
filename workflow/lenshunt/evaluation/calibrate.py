"""Calibrate a model's predictions on its calibration split, and measure what that changed."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from lenshunt.core import write_json, write_parquet
from lenshunt.evaluation.calibration import (
    Method,
    apply_parameters,
    calibration_numbers,
    fit_calibration,
)
from lenshunt.evaluation.challenge_metrics import one_class_reason
from lenshunt.evaluation.predictions import (
    labelled_rows,
    read_predictions,
)
from lenshunt.evaluation.prevalence import at_own_fraction
from lenshunt.evaluation.strata import sets_apart, test_sets

#: Logits before and after calibration.
STAGES = {"before": "logit", "after": "logit_calibrated"}


def calibrate(*, predictions: str, out: str, parameters: str, method: Method = "logit") -> None:
    """Fit a calibration on `val_calibrate` and write the predictions with it.

    out : the table with columns logit_calibrated and probability
    parameters : JSON with method, a, b, prior, n, note and, under `test`, what
    `tested_calibration` finds on every test set
    """
    table = read_predictions(predictions)
    table, fitted = calibrated_table(table, predictions, method)
    write_parquet(table, out)
    write_json(fitted, parameters)


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
    """The calibrated table, and the fit's parameters with its numbers on the test sets."""
    held = labelled_rows(table, "val_calibrate", where)
    fitted = fit_calibration(held["label"].to_numpy(), held["logit"].to_numpy(float), method)
    table = _with_parameters(table, fitted)
    fitted["test"] = tested_calibration(labelled_rows(table, "test", where), fitted["prior"])
    if not fitted["test"]:
        fitted["note"] = "; ".join(n for n in (fitted["note"], "no labelled test objects") if n)
    return table, fitted


def tested_calibration(test: pd.DataFrame, prior: float) -> dict[str, dict[str, Any]]:
    """Calibration of every test set (see `sets_apart`) by its name, raw and calibrated.

    test : labelled rows with `logit` and `logit_calibrated`; prior : of `calibration_prior`
    Each has survey, n_lens, n_nonlens, note, and before, after : `calibration_numbers` at the lens
    fraction of the set (see `at_own_fraction`), None for a set of one class.
    """
    sets, found = test_sets(test), {}
    for name in sets_apart(sets):
        rows, labels = sets[name], sets[name]["label"].to_numpy()
        counts = {"n_lens": int(np.sum(labels == 1)), "n_nonlens": int(np.sum(labels == 0))}
        reason = one_class_reason(**counts)
        found[name] = {
            "survey": ", ".join(sorted(rows["survey"].unique())),
            **counts,
            "note": f"undefined: {reason}" if reason else "",
        }
        for stage, column in STAGES.items():
            logits = rows[column].to_numpy(float)
            found[name][stage] = (
                None
                if reason
                else calibration_numbers(labels, at_own_fraction(labels, logits, prior))
            )
    return found
