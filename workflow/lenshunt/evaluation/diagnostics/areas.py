"""How well a score separates two sets, and histograms as shares, for several kinds."""

import numpy as np

from lenshunt.core.ranking_metrics import auroc
from lenshunt.evaluation.bootstrap import bootstrap_interval
from lenshunt.evaluation.diagnostics.common import Curves, auroc_interval


def area(
    higher: np.ndarray, lower: np.ndarray, seed: int
) -> tuple[float, tuple[float, float], int]:
    """Chance that a score of `higher` [n] lies above one of `lower` [m], its 95 % interval, n + m.

    The area under the ROC curve. Scores that are NaN are left out; NaN where one side has none.
    """
    higher, lower = higher[np.isfinite(higher)], lower[np.isfinite(lower)]
    label = np.repeat([1, 0], [len(higher), len(lower)])
    return *auroc_interval(label, np.concatenate([higher, lower]), seed), len(label)


def area_gain(
    label: np.ndarray, logits: np.ndarray, others: np.ndarray, seed: int
) -> tuple[float, tuple[float, float], int]:
    """ROC area of `logits` less that of `others`, on the same samples; paired interval; n."""

    def gain(rows: np.ndarray) -> float:
        return auroc(rows[:, 0], rows[:, 1]) - auroc(rows[:, 0], rows[:, 2])

    known = label >= 0
    rows = np.stack([label, logits, others], axis=1)[known]
    return gain(rows), bootstrap_interval(rows, gain, seed, strata=rows[:, 0]), len(rows)


def add_histogram(
    curves: Curves, panel: str, series: str, values: np.ndarray, edges: np.ndarray
) -> None:
    """Share of the finite `values` in each bin; what lies beyond the edges is in the outer bins.

    x is the middle of a bin, the geometric one where the bins grow; n the number of all values.
    """
    kept = values[np.isfinite(values)]
    counts = np.histogram(np.clip(kept, edges[0], edges[-1]), edges)[0]
    grows = edges[0] > 0 and edges[-1] - edges[-2] > 1.01 * (edges[1] - edges[0])
    middle = np.sqrt(edges[1:] * edges[:-1]) if grows else (edges[1:] + edges[:-1]) / 2
    for x, count in zip(middle, counts, strict=True):
        curves.add(panel, series, x, count / max(len(kept), 1), n=len(kept))


def with_interval(name: str, value: float, interval: tuple[float, float]) -> dict[str, float]:
    """The numbers NAME, NAME_low and NAME_high."""
    return {name: value, f"{name}_low": interval[0], f"{name}_high": interval[1]}
