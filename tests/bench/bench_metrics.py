"""Bologna metrics with 1,000 bootstraps on 100,000 scores, against a loop over roc_curve."""

import numpy as np
from harness import Row, best_of
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from lenshunt.evaluation import bologna_metrics

N, BOOTSTRAPS = 100_000, 1000
#: The peer's loop is timed on this many resamples and scaled up.
TIMED = 20


def scores_of_a_good_classifier() -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores [N], half lenses, AUROC about 0.95."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, N)
    return labels, rng.normal(size=N) + 2.3 * labels


def bench() -> list[Row]:
    """Two rows: the peer makes the curve alone, and the curve with both areas."""
    labels, scores = scores_of_a_good_classifier()
    lens, nonlens = scores[labels == 1], scores[labels == 0]
    ordered = np.r_[np.ones(len(lens), int), np.zeros(len(nonlens), int)]
    rng = np.random.default_rng(1)

    def peer(with_areas: bool) -> None:
        for _ in range(TIMED):
            drawn = np.r_[
                lens[rng.integers(0, len(lens), len(lens))],
                nonlens[rng.integers(0, len(nonlens), len(nonlens))],
            ]
            roc_curve(ordered, drawn)
            if with_areas:
                roc_auc_score(ordered, drawn)
                average_precision_score(ordered, drawn)

    ours = best_of(lambda: bologna_metrics(labels, scores, bootstraps=BOOTSTRAPS))
    scale = BOOTSTRAPS / TIMED
    what = f"Bologna metrics, {N} scores, {BOOTSTRAPS} bootstraps [s]"
    return [
        Row(f"{what}, peer roc_curve", ours, scale * best_of(lambda: peer(False)), 20.0),
        Row(f"{what}, peer with both areas", ours, scale * best_of(lambda: peer(True)), None),
    ]
