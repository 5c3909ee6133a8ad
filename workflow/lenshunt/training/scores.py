"""Scores of a validation epoch: what early stopping looks at and what the history shows."""

import math

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

#: Negatives from which TPR at FPR 1e-3 is resolved and used instead of the partial area.
NEGATIVES_FOR_TPR = 10_000
#: Flux ratio below which a lens counts as faint; Metcalf et al. 2019 find such arcs hard to see.
LOW_FLUX_RATIO = 0.1
#: Largest rate at which such lenses may be missed without a warning.
FNR_LOW_MAX = 0.3
NAN = float("nan")


def tpr_within(false_max: float, fpr_or_fp: np.ndarray, tpr: np.ndarray) -> float:
    """Highest TPR of a ROC staircase where the false positives do not exceed `false_max`."""
    return float(tpr[fpr_or_fp <= false_max].max())


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
    """
    lens = labels == 1
    n_negative = int((~lens).sum())
    if n_negative == 0 or not lens.any():
        names = ("partial_auc", "auroc", "tpr_at_0fp", "tpr_at_10fp", "tpr_at_fpr_0.1")
        return {f"val_{name}": NAN for name in (*names, "tpr_at_fpr_1e-3", "fnr_low")}
    fpr, tpr, thresholds = roc_curve(labels, logits, drop_intermediate=False)
    false_positives = np.rint(fpr * n_negative)
    threshold = thresholds[fpr <= 0.1].min()
    faint = lens & (flux_ratio < LOW_FLUX_RATIO)
    return {
        "val_partial_auc": float(roc_auc_score(labels, logits, max_fpr=0.1)),
        "val_auroc": float(roc_auc_score(labels, logits)),
        "val_tpr_at_0fp": tpr_within(0, false_positives, tpr),
        "val_tpr_at_10fp": tpr_within(9, false_positives, tpr),
        "val_tpr_at_fpr_0.1": tpr_within(0.1, fpr, tpr),
        "val_tpr_at_fpr_1e-3": tpr_within(1e-3, fpr, tpr) if n_negative >= 1000 else NAN,
        "val_fnr_low": float((logits[faint] < threshold).mean()) if faint.any() else NAN,
    }


def selection_score(monitor: str, scores: dict[str, float]) -> float:
    """The monitored score of an epoch, larger is better; -inf where it is not finite."""
    value = -scores["val_loss"] if monitor == "val_loss" else scores[monitor]
    return value if math.isfinite(value) else -math.inf
