"""ROC curves with the low false-positive end on a logarithmic axis, one panel per test set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lenshunt.evaluation import labelled_rows, read_predictions, roc_points, sets_apart, test_sets
from lenshunt.reporting.figures.evaluated import Evaluated
from lenshunt.reporting.figures.series import models_of, panel_blocks
from lenshunt.reporting.figures.style import paper_style, save, undefined


@dataclass(frozen=True)
class Curve:
    """ROC of one score on one test set: fpr, tpr [g]; empty where a class is missing."""

    fpr: np.ndarray
    tpr: np.ndarray
    n_lens: int
    n_nonlens: int

    @property
    def left(self) -> float:
        """FPR of half a false positive: there the curve's height is its TPR before the first."""
        return 0.5 / self.n_nonlens


def draw_roc(evaluated: Evaluated, out: str) -> None:
    """Write `roc_figure` as PDF and PNG."""
    with paper_style():
        save(roc_figure(evaluated.predictions), out)


def roc_figure(predictions: Mapping[str, str]) -> Figure:
    """ROC of every model on the test split of every data set.

    predictions : Parquet table by label; all seeds of a model look alike. The left edge of a panel
    lies at half a false positive: a curve's height there is TPR0, its TPR before the first.
    Data sets of one class are joined within a survey; one that cannot be joined shows the word
    "undefined" and the reason.
    """
    curves = {label: _curves(path) for label, path in predictions.items()}
    names = sets_apart(name for sets in curves.values() for name in sets)
    models = models_of(curves)
    figure, blocks = panel_blocks(list(models), len(names), legend=("color", "linestyle"))
    for block in blocks:
        looks = {label: look for model, look in block.looks.items() for label in models[model]}
        for axis, name in zip(block.axes, names, strict=False):
            own = {label: curves[label][name] for label in looks if name in curves[label]}
            _panel(axis, name, own, looks)
        if not names:
            undefined(block.axes[0], "no labelled test objects")
    return figure


def _curves(path: str) -> dict[str, Curve]:
    """ROC of one table on each of its test sets."""
    return {
        name: _curve(rows)
        for name, rows in test_sets(labelled_rows(read_predictions(path), "test", path)).items()
    }


def _curve(rows: pd.DataFrame) -> Curve:
    labels = rows["label"].to_numpy()
    counts = int(np.sum(labels == 1)), int(np.sum(labels == 0))
    if not all(counts):
        return Curve(np.empty(0), np.empty(0), *counts)
    score = "logit_calibrated" if "logit_calibrated" in rows else "logit"
    return Curve(*roc_points(labels, rows[score].to_numpy(float)), *counts)


def _panel(
    axis: Axes, name: str, curves: Mapping[str, Curve], looks: Mapping[str, dict[str, Any]]
) -> None:
    """Curves of some models on one test set, by label."""
    n_lens, n_nonlens = max((curve.n_lens, curve.n_nonlens) for curve in curves.values())
    axis.set_title(f"{name}\n{n_lens} lenses, {n_nonlens} non-lenses")
    drawn = {label: curve for label, curve in curves.items() if len(curve.fpr)}
    if not drawn:
        missing = "non-lens" if n_lens else "lens"
        undefined(axis, f"no {missing} among {n_lens + n_nonlens} objects")
        return
    for position, (label, curve) in enumerate(drawn.items()):
        look = {key: looks[label][key] for key in ("color", "linestyle")}
        # Between two thresholds nothing is reached but the lower one's TPR: steps, not slopes.
        # Later lines are thinner: two models of one and the same curve are both seen.
        width = 0.7 + 0.8 * (len(drawn) - 1 - position) / max(1, len(drawn) - 1)
        axis.step(np.maximum(curve.fpr, curve.left), curve.tpr, where="post", lw=width, **look)
    lowest = min(curve.left for curve in drawn.values())
    chance = np.geomspace(lowest, 1, 100)
    axis.plot(chance, chance, color="0.7", lw=0.8, zorder=0)
    axis.axvline(0.1, color="0.7", lw=0.6, ls=":", zorder=0)
    axis.set(xscale="log", xlim=(lowest, 1), ylim=(0, 1.02))
    axis.set(xlabel="false-positive rate", ylabel="true-positive rate")
