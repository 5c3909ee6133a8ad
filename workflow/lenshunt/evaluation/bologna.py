"""The Lens Finding Challenge's metrics (Metcalf et al. 2019, arXiv:1802.03609) with intervals."""

import numpy as np
import pandas as pd

from lenshunt.evaluation.curves import (
    areas,
    check_labels_scores,
    false_positives_allowed,
    true_positives_at,
)
from lenshunt.evaluation.intervals import bootstrap_metrics, percentile_interval, wilson_interval

#: Names and order of the metrics; spec of the challenge and the looser ones in common use.
METRICS = (
    "tpr_at_0fp",
    "tpr_at_10fp",
    "tpr_at_fpr_0.1",
    "tpr_at_fpr_1e-2",
    "tpr_at_fpr_1e-3",
    "tpr_at_fpr_1e-4",
    "auroc",
    "auprc",
    "f_beta_0.001",
)
#: False-negative rates, reported where lenses are binned by flux ratio.
FNR_METRICS = ("fnr_at_fpr_0.1", "fnr_at_fpr_1e-3")
COLUMNS = ("metric", "value", "low", "high", "interval", "n_lens", "n_nonlens", "note")
RATES = {
    "tpr_at_fpr_0.1": 0.1,
    "tpr_at_fpr_1e-2": 1e-2,
    "tpr_at_fpr_1e-3": 1e-3,
    "tpr_at_fpr_1e-4": 1e-4,
}
WILSON = "Wilson, threshold fixed"
BOOTSTRAP = "stratified bootstrap"
BOOTSTRAP_OR_WILSON = "stratified bootstrap, at least Wilson"
#: A bootstrap needs about this many objects on either side of what it resamples.
FEW = 10


def bologna_metrics(
    labels: np.ndarray,
    scores: np.ndarray,
    *,
    bootstraps: int = 1000,
    seed: int = 0,
    sample_ids: np.ndarray | None = None,
) -> pd.DataFrame:
    """All metrics of one set of scores, one row each, with 95 % intervals.

    labels : [n], 1 lens, 0 not; scores : [n], higher is more lens-like, any monotonic scale
    Returns columns metric, value, low, high, interval (which kind), n_lens, n_nonlens, note.
    A value is NaN where it is undefined (one class) or not resolved (too few non-lenses for
    the false-positive rate); the note then says why. An area has no interval (NaN) where a class
    has fewer than 10 objects, or where all resamples agree, as of classes that separate: the
    bootstrap knows no doubt there. `tpr_at_10fp` counts fewer than ten false
    positives, whatever the number of non-lenses.
    Raises ValueError naming the samples whose score is NaN or infinite.
    """
    labels, scores = check_labels_scores(labels, scores, sample_ids)
    lens, nonlens = scores[labels], scores[~labels]
    reason = one_class_reason(len(lens), len(nonlens))
    if reason:
        rows = [_row(name, note=f"undefined: {reason}") for name in METRICS]
    else:
        allowed = false_positives_allowed(0.1, len(nonlens))
        resampled = bootstrap_metrics(labels, scores, bootstraps, seed, allowed)
        rows = [_count_row("tpr_at_0fp", lens, nonlens, 0)]
        rows.append(_count_row("tpr_at_10fp", lens, nonlens, 9))
        rows.extend(
            rate_row(name, lens, nonlens, rate, resampled["tpr"]) for name, rate in RATES.items()
        )
        fewest = min(len(lens), len(nonlens))
        rows.extend(
            _area_row(name, value, resampled[name], fewest)
            for name, value in areas(labels, scores).items()
        )
    return _table(rows, len(lens), len(nonlens))


def fnr_metrics(
    labels: np.ndarray, scores: np.ndarray, sample_ids: np.ndarray | None = None
) -> pd.DataFrame:
    """Lenses missed at the thresholds of FPR <= 0.1 and 1e-3; columns as `bologna_metrics`."""
    labels, scores = check_labels_scores(labels, scores, sample_ids)
    lens, nonlens = scores[labels], scores[~labels]
    reason = one_class_reason(len(lens), len(nonlens))
    rows = []
    for name, rate in zip(FNR_METRICS, (0.1, 1e-3), strict=True):
        if reason:
            rows.append(_row(name, note=f"undefined: {reason}"))
            continue
        row = rate_row("tpr_at_fpr_" + name.removeprefix("fnr_at_fpr_"), lens, nonlens, rate, None)
        bounds = (1 - row["high"], 1 - row["low"])
        rows.append(_row(name, 1 - row["value"], bounds, row["interval"], row["note"]))
    return _table(rows, len(lens), len(nonlens))


def one_class_reason(n_lens: int, n_nonlens: int) -> str:
    """Why metrics of such a set are undefined; "" where they are not."""
    if n_lens == 0 and n_nonlens == 0:
        return "no labelled objects"
    if n_lens == 0:
        return f"no lens among {n_nonlens} objects"
    return f"no non-lens among {n_lens} objects" if n_nonlens == 0 else ""


def rate_row(
    name: str, lens: np.ndarray, nonlens: np.ndarray, rate: float, resampled: np.ndarray | None
) -> dict:
    """Highest TPR with FPR <= `rate`.

    lens [n1], nonlens [n0] : scores; resampled : bootstrap TPR [b] at FPR <= 0.1, used there
    where enough false positives are allowed for a bootstrap to know the threshold's scatter
    """
    allowed = false_positives_allowed(rate, len(nonlens))
    # Rates below the common 0.1 are a claim on the tail, which N non-lenses must resolve.
    if allowed < 1 and rate < 0.1:
        note = f"not resolved: {len(nonlens)} non-lenses resolve FPR >= {1 / len(nonlens):.2g}"
        return _row(name, note=note)
    row = _count_row(name, lens, nonlens, allowed)
    if rate == 0.1 and allowed >= FEW and resampled is not None:
        low, high = percentile_interval(resampled)
        # Where (nearly) all lenses are found, resampling them shows no scatter; Wilson does.
        row["low"], row["high"] = min(low, row["low"]), max(high, row["high"])
        row["interval"] = BOOTSTRAP_OR_WILSON
    if allowed < 1:
        row["note"] = f"no false positive allowed with {len(nonlens)} non-lenses"
    return row


def _area_row(name: str, value: float, resampled: np.ndarray, fewest: int) -> dict:
    """An area with its bootstrap interval; without one, and a note, where it would mislead.

    resampled : [b]; fewest : objects of the smaller class
    """
    low, high = percentile_interval(resampled)
    if fewest < FEW:
        return _row(name, value, note=f"no interval: a class has fewer than {FEW} objects")
    if low == high:
        return _row(name, value, note="no interval: every resample gives the same")
    return _row(name, value, (low, high), BOOTSTRAP)


def _count_row(name: str, lens: np.ndarray, nonlens: np.ndarray, allowed: int) -> dict:
    """TPR with at most `allowed` false positives, with Wilson's interval."""
    found = true_positives_at(lens, nonlens, allowed)
    note = ""
    if allowed >= len(nonlens):
        note = f"says nothing: met by every threshold with {len(nonlens)} non-lenses"
    return _row(name, found / len(lens), wilson_interval(found, len(lens)), WILSON, note)


def _row(
    metric: str,
    value: float = float("nan"),
    bounds: tuple[float, float] = (float("nan"), float("nan")),
    interval: str = "",
    note: str = "",
) -> dict:
    return {
        "metric": metric,
        "value": value,
        "low": bounds[0],
        "high": bounds[1],
        "interval": interval,
        "note": note,
    }


def _table(rows: list[dict], n_lens: int, n_nonlens: int) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    table["n_lens"], table["n_nonlens"] = n_lens, n_nonlens
    return table[list(COLUMNS)]
