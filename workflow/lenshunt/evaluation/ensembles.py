"""Fuse the calibrated scores of several models in three ways, and choose one on validation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import expit

from lenshunt.config import FUSED
from lenshunt.core import write_json, write_parquet
from lenshunt.core.ranking_metrics import PARTIAL_FPR, partial_auc
from lenshunt.evaluation.calibrate import calibrated_table, read_parameters
from lenshunt.evaluation.calibration import apply_parameters
from lenshunt.evaluation.combination import FITS, Combination, cross_fitted, why_not_fitted
from lenshunt.evaluation.members import member_logits, read_members
from lenshunt.evaluation.predictions import labelled_rows

Fusion = Literal["auto", "mean", "bayes", "stacking"]
#: Seed of fused predictions, whose model is FUSED; in metrics, that of one method is FUSED:METHOD.
FUSED_SEED = -1
#: Differences of the choosing score that are rounding.
ROUNDING = 1e-9


def fuse(
    *,
    predictions: list[str],
    out: str,
    parameters: str,
    fusion: Fusion = "auto",
    fitted: str | None = None,
) -> None:
    """Fuse calibrated tables by every method, calibrate each again, and choose one.

    predictions : calibrated tables of the same samples, one per model and seed. They are read
    one after the other. fusion : the method to take; `auto` takes the one of the highest partial
    AUC on val_select, of equals the mean.
    fitted : parameters to apply, choice and all, instead of fitting and choosing (for a set
    without validation splits)
    out : metadata columns; `logit` fused, `logit_calibrated` and `probability` calibrated again,
    all of the chosen method; METHOD:logit_calibrated of every method that could be fitted;
    `logit_std`, the spread between members (NaN for one); MEMBER:NAME, each member's calibrated
    logit and what else it predicted; `model` FUSED, `seed` FUSED_SEED. Labelled objects of
    val_calibrate hold cross-fitted scores, so that what is fitted to them next is honest.
    parameters : JSON; the chosen method's calibration, and under `fusion` the choice, and per
    method weights, intercept, score on val_select, calibration, or why it is not fitted.
    Raises ValueError naming the table, the model and a sample where one lacks a score.
    """
    table, names = read_members(predictions)
    if fitted is None:
        scores, numbers = _fit_all(table, names, fusion, out)
    else:
        numbers = read_parameters(fitted)
        scores = _apply_all(table, names, numbers, fitted)
    chosen = scores[numbers["fusion"]["chosen"]]
    table = table.assign(
        **{f"{method}:logit_calibrated": score.calibrated for method, score in scores.items()},
        logit=chosen.logits,
        logit_calibrated=chosen.calibrated,
        probability=expit(chosen.calibrated),
        model=FUSED,
        seed=FUSED_SEED,
    )
    write_parquet(table, out)
    write_json(numbers, parameters)


@dataclass(frozen=True)
class _Scores:
    """Fused scores of one method before and after the second calibration, [n] each."""

    logits: np.ndarray
    calibrated: np.ndarray


def _fit_all(
    table: pd.DataFrame, names: list[str], fusion: Fusion, where: str
) -> tuple[dict[str, _Scores], dict[str, Any]]:
    """Scores by every method that could be fitted, and the numbers to write."""
    scores: dict[str, _Scores] = {}
    methods: dict[str, dict[str, Any]] = {}
    for method in FITS:
        score, methods[method] = _fit_one(table, names, method, where)
        if score is not None:
            scores[method] = score
    chosen, why = choose(methods, fusion, where)
    select = labelled_rows(table, "val_select", where)
    fused = {
        "chosen": chosen,
        "requested": fusion,
        "why": why,
        "select": {
            "score": f"partial AUC, FPR <= {PARTIAL_FPR:g}",
            "n_lens": int((select["label"] == 1).sum()),
            "n_nonlens": int((select["label"] == 0).sum()),
        },
        "members": names,
        "methods": methods,
    }
    return scores, {**methods[chosen]["calibration"], "fusion": fused}


def _fit_one(
    table: pd.DataFrame, names: list[str], method: str, where: str
) -> tuple[_Scores | None, dict[str, Any]]:
    """Scores and numbers of one method; without scores where it cannot be fitted."""
    held = labelled_rows(table, "val_calibrate", where)
    members, labels = member_logits(held, names), held["label"].to_numpy()
    systems = held["system_id"].to_numpy(str)
    reason = "" if method == "mean" else why_not_fitted(members, labels, systems, names)
    if reason:
        return None, {"fitted": False, "note": f"not fitted: {reason}", "val_select": None}
    combination = FITS[method](members, labels, systems)
    logits = combination.logits(member_logits(table, names))
    if method != "mean":
        own = table["sample_id"].isin(held["sample_id"]).to_numpy(bool)
        logits[own] = cross_fitted(FITS[method], members, labels, systems)
    again, calibration = calibrated_table(table.assign(logit=logits), where, "logit")
    select = labelled_rows(again, "val_select", where)
    # The same number stops training.
    area = partial_auc(select["label"].to_numpy(), select["logit"].to_numpy(float))
    numbers = {
        "fitted": True,
        "note": "",
        "weights": dict(zip(names, combination.weights.tolist(), strict=True)),
        "intercept": combination.intercept,
        **combination.details,
        "val_select": None if np.isnan(area) else area,
        "calibration": calibration,
    }
    return _Scores(logits, again["logit_calibrated"].to_numpy(float)), numbers


def choose(methods: Mapping[str, Mapping[str, Any]], fusion: Fusion, where: str) -> tuple[str, str]:
    """The method to take, and why.

    methods : by name, with `fitted`, `note` and `val_select`, as in the JSON
    Raises ValueError where the configured method could not be fitted.
    """
    if fusion != "auto":
        if not methods[fusion]["fitted"]:
            raise ValueError(
                f"{where}: fusion {fusion} is configured but {methods[fusion]['note']}; set "
                "`fusion` of this experiment to auto or mean"
            )
        return fusion, "configured"
    values = {name: numbers["val_select"] for name, numbers in methods.items() if numbers["fitted"]}
    if len(values) == 1:
        return "mean", "the only one that is fitted"
    if None in values.values():
        return "mean", "val_select lacks a class, nothing to choose by"
    best = max(values.values())
    first = next(name for name, value in values.items() if value >= best - ROUNDING)
    if len([value for value in values.values() if value >= best - ROUNDING]) > 1:
        return (
            first,
            f"first of the methods with the highest partial AUC ({best:.4f}) on val_select",
        )
    return first, f"highest partial AUC ({best:.4f}) on val_select"


def _apply_all(
    table: pd.DataFrame, names: list[str], numbers: Mapping[str, Any], where: str
) -> dict[str, _Scores]:
    """Scores by methods that were fitted elsewhere, members matched by name."""
    if "fusion" not in numbers:
        raise ValueError(f"{where}: no `fusion`; is this the file of a fusion, or of one model?")
    wanted = numbers["fusion"]["members"]
    differ = sorted(set(wanted) ^ set(names))
    if differ:
        missing = differ[0] in wanted
        raise ValueError(
            f"{where}: fitted with {', '.join(wanted)}, but {differ[0]} "
            f"{'has no scores here' if missing else 'is not among them'}; score the set with "
            "every model and seed of that experiment"
        )
    members = member_logits(table, names)
    scores: dict[str, _Scores] = {}
    for method, fit in numbers["fusion"]["methods"].items():
        if fit["fitted"]:
            weights = np.array([fit["weights"][name] for name in names])
            logits = Combination(weights, fit["intercept"]).logits(members)
            scores[method] = _Scores(logits, apply_parameters(fit["calibration"], logits))
    return scores


def fusion_methods(path: str) -> dict[str, str]:
    """Methods of a fusion, from its JSON: the empty text, or why one is not fitted."""
    return {
        method: numbers["note"]
        for method, numbers in read_parameters(path)["fusion"]["methods"].items()
    }


def chosen_method(path: str) -> str:
    """The method that the scores of a fusion are made by, from its JSON."""
    return str(read_parameters(path)["fusion"]["chosen"])
