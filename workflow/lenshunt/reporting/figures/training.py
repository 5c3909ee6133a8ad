"""Training curves: loss, partial AUC and faint lenses missed, epoch by epoch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lenshunt.reporting.figures.series import models_of, panel_blocks
from lenshunt.reporting.figures.style import paper_style, save, undefined

#: Panels from left to right: columns of the history (solid, dotted) and axis label.
PANELS = (
    (("val_loss", "train_loss"), "loss (dotted: training)"),
    (("val_partial_auc",), "partial AUC, FPR ≤ 0.1"),
    (("val_fnr_low",), "FNR, flux ratio < 0.1"),
)
#: Line and width of the columns of a panel.
LINES = (("-", 1.1), (":", 0.8))


def draw_training_curves(*, histories: Mapping[str, str], out: Path | str) -> None:
    """Write `training_figure` as OUT.pdf and OUT.png."""
    with paper_style():
        save(training_figure(histories), out)


def training_figure(histories: Mapping[str, str]) -> Figure:
    """The history CSVs by label; all seeds of a model have its colour.

    A score that is undefined, as partial AUC is without both classes, has an empty panel.
    """
    tables = {label: pd.read_csv(path) for label, path in histories.items()}
    models = models_of(tables)
    figure, blocks = panel_blocks(list(models), len(PANELS), legend=("color",))
    for block in blocks:
        looks = {label: look for model, look in block.looks.items() for label in models[model]}
        for axis, (columns, name) in zip(block.axes, PANELS, strict=True):
            _panel(axis, tables, looks, columns)
            axis.set(xlabel="epoch", ylabel=name)
    return figure


def _panel(
    axis: Axes,
    tables: Mapping[str, pd.DataFrame],
    looks: Mapping[str, dict[str, Any]],
    columns: tuple[str, ...],
) -> None:
    """One line per history and column; says so where nothing is defined."""
    drawn = False
    for label, look in looks.items():
        history = tables[label]
        for column, (line, width) in zip(columns, LINES, strict=False):
            if column not in history or not np.isfinite(history[column]).any():
                continue
            # A single epoch has no line.
            marker = "o" if len(history) == 1 else None
            style = look | {"linestyle": line, "lw": width, "marker": marker, "ms": 3}
            axis.plot(history["epoch"], history[column], **style)
            drawn = True
    if drawn:
        axis.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    else:
        undefined(axis, "in every epoch")
