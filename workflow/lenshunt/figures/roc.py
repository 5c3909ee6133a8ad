"""ROC curves with the low false-positive end on a logarithmic axis, one panel per data set."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lenshunt.evaluation import POOLED, labelled_rows, read_predictions, roc_points, test_sets
from lenshunt.figures.style import COLOURS, PAGE_INCHES, paper_style, save

LINES = ("-", "--", ":", "-.")


def draw_roc(*, predictions: dict[str, str], out: str) -> None:
    """ROC of every model on the test split of every data set.

    predictions : Parquet table by the model's label. The left edge of a panel lies at half a
    false positive: a curve's height there is TPR0, its TPR before the first false positive.
    Data sets of one class are joined within a survey; one that cannot be joined shows the word
    "undefined" and the reason.
    """
    tests = {
        label: test_sets(labelled_rows(read_predictions(path), "test", path))
        for label, path in predictions.items()
    }
    names = panel_names(list(tests.values()))
    with paper_style():
        columns = min(3, max(1, len(names)))
        rows = -(-max(1, len(names)) // columns)
        figure = Figure(figsize=(PAGE_INCHES * max(columns, 1.6) / 3, 2.5 * rows + 0.4))
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis, name in zip(axes.flat, names, strict=False):
            _panel(axis, name, tests)
        for axis in list(axes.flat)[max(1, len(names)) :]:
            axis.set_axis_off()
        if not names:
            undefined(axes[0, 0], "no labelled test objects")
        _legend(figure, list(tests))
        save(figure, out)


def panel_names(tests: list[dict[str, pd.DataFrame]]) -> list[str]:
    """Sets to draw: all but the pooled one and the one-class sets that are part of another."""
    names = list(dict.fromkeys(n for sets in tests for n in sets if n != POOLED))
    joined = {part for name in names if " + " in name for part in name.split(" + ")}
    return [name for name in names if name not in joined]


def line_style(position: int) -> dict[str, Any]:
    """Colour and line of the model at `position`; colours repeat with another line."""
    return {
        "color": COLOURS[position % len(COLOURS)],
        "linestyle": LINES[position // len(COLOURS) % len(LINES)],
    }


def undefined(axis: Axes, reason: str) -> None:
    """Say in the middle of an empty panel why there is nothing to draw."""
    axis.text(0.5, 0.5, f"undefined:\n{reason}", ha="center", va="center", transform=axis.transAxes)
    axis.set_xticks([])
    axis.set_yticks([])


def _panel(axis: Axes, name: str, tests: dict[str, dict[str, pd.DataFrame]]) -> None:
    """Curves of all models on one data set."""
    lowest, drawn, counts = 1.0, False, (0, 0)
    for position, sets in enumerate(tests.values()):
        if name not in sets:
            continue
        rows = sets[name]
        labels = rows["label"].to_numpy()
        counts = max(counts, (int(np.sum(labels == 1)), int(np.sum(labels == 0))))
        if len(np.unique(labels)) < 2:
            continue
        score = "logit_calibrated" if "logit_calibrated" in rows else "logit"
        fpr, tpr = roc_points(labels, rows[score].to_numpy(float))
        left = 0.5 / np.sum(labels == 0)
        lowest, drawn = min(lowest, left), True
        # Between two thresholds nothing is reached but the lower one's TPR: steps, not slopes.
        # Later lines are thinner: two models of one and the same curve are both seen.
        width = min(2.4, 0.9 + 0.6 * (len(tests) - 1 - position))
        axis.step(np.maximum(fpr, left), tpr, where="post", lw=width, **line_style(position))
    axis.set_title(f"{name}\n{counts[0]} lenses, {counts[1]} non-lenses")
    if not drawn:
        missing = "non-lens" if counts[0] else "lens"
        undefined(axis, f"no {missing} among {sum(counts)} objects")
        return
    chance = np.geomspace(lowest, 1, 100)
    axis.plot(chance, chance, color="0.7", lw=0.8, zorder=0)
    axis.axvline(0.1, color="0.7", lw=0.6, ls=":", zorder=0)
    axis.set(xscale="log", xlim=(lowest, 1), ylim=(0, 1.02))
    axis.set(xlabel="false-positive rate", ylabel="true-positive rate")


def _legend(figure: Figure, labels: list[str]) -> None:
    """One legend for all panels, below them."""
    axis = figure.axes[0]
    handles = [axis.plot([], [], label=label, **line_style(i))[0] for i, label in enumerate(labels)]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))
