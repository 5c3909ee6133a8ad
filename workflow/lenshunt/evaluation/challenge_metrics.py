"""The Lens Finding Challenge's metrics (Metcalf et al. 2019, arXiv:1802.03609) with intervals."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lenshunt.core.ranking_metrics import (
    RocCounts,
    cumulative_counts,
    false_positives_allowed,
    roc_of,
)
from lenshunt.evaluation.bootstrap import bootstrap_metrics, system_counts
from lenshunt.evaluation.intervals import percentile_interval, wilson_interval
from lenshunt.evaluation.predictions import check_labels_scores

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
#: A bootstrap needs about this many systems on either side of what it resamples.
FEW = 10


@dataclass(frozen=True)
class _Classes:
    """Counts along the ranking, and the numbers of objects and of systems of either class.

    Views of one object are found or missed together: intervals count systems, values objects.
    """

    roc: RocCounts
    n_lens: int
    n_nonlens: int
    lens_systems: int
    nonlens_systems: int


def bologna_metrics(
    labels: np.ndarray,
    scores: np.ndarray,
    *,
    bootstraps: int = 1000,
    seed: int = 0,
    sample_ids: np.ndarray | None = None,
    systems: np.ndarray | None = None,
) -> pd.DataFrame:
    """All metrics of one set of scores, one row each, with 95 % intervals.

    labels : [n], 1 lens, 0 not; scores : [n], higher is more lens-like, any monotonic scale
    systems : [n] names; objects of one system are resampled together. None : all are different
    Returns columns metric, value, low, high, interval (which kind), n_lens, n_nonlens, note.
    A value is NaN where it is undefined (one class) or not resolved (too few non-lenses for
    the false-positive rate); the note then says why. An area has no interval (NaN) where a class
    has fewer than 10 systems, or where all resamples agree, as of classes that separate: the
    bootstrap knows no doubt there. `tpr_at_10fp` counts fewer than ten false
    positives, whatever the number of non-lenses.
    Raises ValueError naming the samples whose score is NaN or infinite.
    """
    labels, scores = check_labels_scores(labels, scores, sample_ids)
    systems = np.arange(len(labels)) if systems is None else np.asarray(systems)
    n_lens, n_nonlens = int(labels.sum()), int((~labels).sum())
    reason = one_class_reason(n_lens, n_nonlens)
    if reason:
        rows = [_row(name, note=f"undefined: {reason}") for name in METRICS]
    else:
        roc = roc_of(labels, scores)
        classes = _Classes(roc, n_lens, n_nonlens, *system_counts(labels, systems))
        resampled = bootstrap_metrics(labels, scores, bootstraps, seed, 0.1, systems)
        rows = [_count_row("tpr_at_0fp", classes, 0), _count_row("tpr_at_10fp", classes, 9)]
        rows.extend(
            _rate_row(name, classes, rate, resampled["tpr"]) for name, rate in RATES.items()
        )
        fewest = min(classes.lens_systems, classes.nonlens_systems)
        rows.extend(
            _area_row(name, value, resampled[name], fewest) for name, value in _areas(roc).items()
        )
    table = pd.DataFrame(rows)
    table["n_lens"], table["n_nonlens"] = n_lens, n_nonlens
    return table[list(COLUMNS)]


def roc_points(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """FPR [g + 1] and TPR [g + 1] from (0, 0) to (1, 1); labels [n] 0 and 1, both there."""
    tp, fp, _ = cumulative_counts(*check_labels_scores(labels, scores))
    return np.r_[0, fp] / fp[-1], np.r_[0, tp] / tp[-1]


def fnr_metrics(metrics: pd.DataFrame) -> pd.DataFrame:
    """Lenses missed at the thresholds of FPR <= 0.1 and 1e-3: what the TPRs leave.

    metrics : of `bologna_metrics`, with whose columns it comes back
    """
    names = ["tpr_at_fpr_" + name.removeprefix("fnr_at_fpr_") for name in FNR_METRICS]
    found = metrics.set_index("metric").loc[names].reset_index(drop=True)
    left = {"value": 1 - found["value"], "low": 1 - found["high"], "high": 1 - found["low"]}
    return found.assign(metric=FNR_METRICS, **left)[list(COLUMNS)]


def one_class_reason(n_lens: int, n_nonlens: int) -> str:
    """Why metrics of such a set are undefined; "" where they are not."""
    if n_lens == 0 and n_nonlens == 0:
        return "no labelled objects"
    if n_lens == 0:
        return f"no lens among {n_nonlens} objects"
    return f"no non-lens among {n_lens} objects" if n_nonlens == 0 else ""


def _rate_row(name: str, classes: _Classes, rate: float, resampled: np.ndarray) -> dict:
    """Highest TPR with FPR <= `rate`.

    resampled : bootstrap TPR [b] at FPR <= 0.1, used there where enough false positives are
    allowed for a bootstrap to know the threshold's scatter
    """
    n_nonlens = classes.n_nonlens
    allowed = false_positives_allowed(rate, n_nonlens)
    # Rates below the common 0.1 are a claim on the tail, which N non-lenses must resolve.
    if allowed < 1 and rate < 0.1:
        note = f"not resolved: {n_nonlens} non-lenses resolve FPR >= {1 / n_nonlens:.2g}"
        return _row(name, note=note)
    row = _count_row(name, classes, allowed)
    if rate == 0.1 and false_positives_allowed(rate, classes.nonlens_systems) >= FEW:
        low, high = percentile_interval(resampled)
        # Where (nearly) all lenses are found, resampling them shows no scatter; Wilson does.
        row["low"], row["high"] = min(low, row["low"]), max(high, row["high"])
        row["interval"] = BOOTSTRAP_OR_WILSON
    if allowed < 1:
        row["note"] = f"no false positive allowed with {n_nonlens} non-lenses"
    return row


def _areas(roc: RocCounts) -> dict[str, float]:
    """AUROC, AUPRC (average precision) and max F_beta (beta^2 = 0.001) of one set."""
    found = {
        "auroc": roc.auroc(),
        "auprc": roc.average_precision(),
        "f_beta_0.001": roc.f_beta(),
    }
    return {name: float(value[0]) for name, value in found.items()}


def _area_row(name: str, value: float, resampled: np.ndarray, fewest: int) -> dict:
    """An area with its bootstrap interval; without one, and a note, where it would mislead.

    resampled : [b]; fewest : systems of the smaller class
    """
    low, high = percentile_interval(resampled)
    if fewest < FEW:
        return _row(name, value, note=f"no interval: a class has fewer than {FEW} systems")
    if low == high:
        return _row(name, value, note="no interval: every resample gives the same")
    return _row(name, value, (low, high), BOOTSTRAP)


def _count_row(name: str, classes: _Classes, allowed: int) -> dict:
    """TPR with at most `allowed` false positives, with Wilson's interval."""
    systems, tpr = classes.lens_systems, float(classes.roc.tpr_within(allowed)[0])
    note = ""
    if allowed >= classes.n_nonlens:
        note = f"says nothing: met by every threshold with {classes.n_nonlens} non-lenses"
    return _row(name, tpr, wilson_interval(tpr * systems, systems), WILSON, note)


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
