"""Scores of a validation epoch: what early stopping looks at and what the history shows."""

import math

import numpy as np

from lenshunt.core.ranking_metrics import PARTIAL_FPR, lenses_found, roc_of

#: Negatives from which TPR at FPR 1e-3 is resolved and used instead of the partial area.
NEGATIVES_FOR_TPR = 10_000
#: Flux ratio below which a lens counts as faint; Metcalf et al. 2019 find such arcs hard to see.
LOW_FLUX_RATIO = 0.1
#: Largest rate at which such lenses may be missed without a warning.
FNR_LOW_MAX = 0.3
NAN = float("nan")


def monitored_score(labels: np.ndarray) -> str:
    """Name of the score that chooses the epoch, from the labels of the validation split.

    Without both classes no ROC exists: then it is the loss. With no samples at all, none.
    """
    if len(labels) == 0:
        return "none"
    negatives, positives = int((labels == 0).sum()), int((labels == 1).sum())
    if not (negatives and positives):
        return "val_loss"
    return "val_tpr_at_fpr_1e-3" if negatives >= NEGATIVES_FOR_TPR else "val_partial_auc"


def validation_scores(
    labels: np.ndarray, logits: np.ndarray, flux_ratio: np.ndarray
) -> dict[str, float]:
    """ROC scores of one epoch; NaN where a class is missing.

    labels : 0 or 1, [n]; logits : [n]; flux_ratio : [n], NaN where unknown
    val_partial_auc is the area at FPR <= 0.1, standardised to 0.5 for chance and 1 for
    perfection (McClish 1989). TPR0 and TPR10 as defined by Metcalf et al. 2019: no false
    positive, fewer than ten. val_fnr_low: lenses of flux ratio < 0.1 missed at FPR <= 0.1.
    Raises ValueError for a logit that is NaN.
    """
    lens = labels == 1
    n_negative = int((~lens).sum())
    if n_negative == 0 or not lens.any():
        names = ("partial_auc", "auroc", "tpr_at_0fp", "tpr_at_10fp", "tpr_at_fpr_0.1")
        return {f"val_{name}": NAN for name in (*names, "tpr_at_fpr_1e-3", "fnr_low")}
    roc = roc_of(lens, logits)
    scores = {
        "val_partial_auc": roc.partial_auc(PARTIAL_FPR),
        "val_auroc": roc.auroc(),
        "val_tpr_at_0fp": roc.tpr_within(0),
        "val_tpr_at_10fp": roc.tpr_within(9),
        "val_tpr_at_fpr_0.1": roc.tpr(0.1),
        "val_tpr_at_fpr_1e-3": roc.tpr(1e-3) if n_negative >= 1000 else np.array([NAN]),
    }
    faint = flux_ratio[lens] < LOW_FLUX_RATIO
    missed = ~lenses_found(lens, logits, 0.1)[faint]
    return {name: float(value[0]) for name, value in scores.items()} | {
        "val_fnr_low": float(missed.mean()) if len(missed) else NAN
    }


def selection_score(monitor: str, scores: dict[str, float]) -> float:
    """The monitored score of an epoch, larger is better; -inf where it is not finite."""
    value = -scores["val_loss"] if monitor == "val_loss" else scores[monitor]
    return value if math.isfinite(value) else -math.inf
