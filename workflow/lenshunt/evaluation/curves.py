"""ROC and precision-recall counts with conservative ties, and the numbers read off them."""

import numpy as np

from lenshunt.evaluation.predictions import check_finite

#: Challenge 2 weights precision a thousand times more than recall.
BETA_SQUARED = 0.001


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


def cumulative_counts(
    labels: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True positives, false positives and threshold at every distinct score, highest first.

    A threshold takes all samples of equal score or none. Returns (tp [g], fp [g], threshold [g]).
    """
    order = np.argsort(-scores, kind="stable")
    labels, scores = labels[order], scores[order]
    last = np.flatnonzero(np.r_[scores[1:] != scores[:-1], True]) if len(scores) else np.array([])
    last = last.astype(int)
    tp = np.cumsum(labels)[last]
    return tp, last + 1 - tp, scores[last]


def roc_points(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """FPR [g + 1] and TPR [g + 1] from (0, 0) to (1, 1); both classes must be there."""
    labels, scores = check_labels_scores(labels, scores)
    tp, fp, _ = cumulative_counts(labels, scores)
    return np.r_[0, fp] / fp[-1], np.r_[0, tp] / tp[-1]


def false_positives_allowed(fpr: float, n_nonlens: int) -> int:
    """Largest whole number of false positives with FPR <= `fpr`."""
    # The product of a decimal fraction can fall a rounding error short of the whole number.
    return int(fpr * n_nonlens * (1 + 1e-12))


def true_positives_at(lens: np.ndarray, nonlens: np.ndarray, allowed: int) -> int:
    """Lenses found at the lowest threshold with at most `allowed` false positives.

    lens [n1], nonlens [n0] : scores. Every threshold that keeps the (allowed + 1)-th highest
    non-lens out also keeps out whatever ties with it.
    """
    if allowed >= len(nonlens):
        return len(lens)
    first_refused = np.partition(nonlens, len(nonlens) - 1 - allowed)[len(nonlens) - 1 - allowed]
    return int(np.count_nonzero(lens > first_refused))


def areas(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """AUROC, AUPRC (average precision) and max F_beta (beta^2 = 0.001); both classes needed."""
    tp, fp, _ = cumulative_counts(labels, scores)
    lens, nonlens = np.diff(tp, prepend=0), np.diff(fp, prepend=0)
    n_lens, n_nonlens = int(tp[-1]), int(fp[-1])
    # Twice the number of ordered pairs, ties counted half: whole numbers, so exact.
    pairs = int(np.sum(lens * (2 * (n_nonlens - fp) + nonlens)))
    f_beta = (1 + BETA_SQUARED) * tp / (BETA_SQUARED * n_lens + tp + fp)
    return {
        "auroc": pairs / (2 * n_lens * n_nonlens),
        "auprc": float(np.sum(lens / n_lens * (tp / (tp + fp)))),
        "f_beta_0.001": float(f_beta.max()),
    }
