"""Training curves: loss, partial AUC and faint lenses missed, epoch by epoch."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lenshunt.figures.style import COLOURS, PAGE_INCHES, paper_style, save

#: Panels from left to right: columns of the history (solid, dashed) and axis label.
PANELS = (
    (("val_loss", "train_loss"), "loss (dashed: training)"),
    (("val_partial_auc",), "partial AUC, FPR ≤ 0.1"),
    (("val_fnr_low",), "FNR, flux ratio < 0.1"),
)
LINES = ("-", "--")


def _draw_panel(axes: Axes, histories: dict[str, pd.DataFrame], columns: tuple[str, ...]) -> None:
    """One line per history and column; says so where nothing is defined."""
    drawn = False
    for number, (name, history) in enumerate(histories.items()):
        for column, line in zip(columns, LINES, strict=False):
            if column not in history or not np.isfinite(history[column]).any():
                continue
            axes.plot(
                history["epoch"],
                history[column],
                line,
                # A single epoch has no line.
                marker="o" if len(history) == 1 else None,
                color=COLOURS[number % len(COLOURS)],
                label=name if line == LINES[0] else None,
                linewidth=1.2 if line == LINES[0] else 0.8,
                markersize=3,
            )
            drawn = True
    if not drawn:
        axes.text(0.5, 0.5, "undefined", transform=axes.transAxes, ha="center", va="center")


def draw_training_curves(*, histories: dict[str, str], out: Path | str) -> None:
    """Draw the history CSVs (label -> path) into OUT.pdf and OUT.png.

    A score that is undefined, as partial AUC is without both classes, has an empty panel.
    """
    tables = {name: pd.read_csv(path) for name, path in histories.items()}
    with paper_style():
        figure, panels = plt.subplots(1, len(PANELS), figsize=(PAGE_INCHES, 2.6))
        for axes, (columns, label) in zip(panels, PANELS, strict=True):
            _draw_panel(axes, tables, columns)
            axes.set_xlabel("epoch")
            axes.set_ylabel(label)
            axes.xaxis.get_major_locator().set_params(integer=True)
        handles, labels = panels[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside lower center", ncols=3)
        save(figure, out)
        plt.close(figure)
