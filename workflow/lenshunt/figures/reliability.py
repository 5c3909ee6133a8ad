"""Reliability diagrams: lens fraction against predicted probability, before and after."""

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit

from lenshunt.evaluation import (
    equal_mass_bins,
    expected_calibration_error,
    labelled_rows,
    read_predictions,
    wilson_interval,
)
from lenshunt.evaluation.calibration import BINS
from lenshunt.figures.roc import undefined
from lenshunt.figures.style import COLOURS, PAGE_INCHES, paper_style, save

#: Column, colour, marker, its size and filling; the open marker is seen around the other one.
STAGES: dict[str, tuple[str, str, str, float, Literal["none", "full"]]] = {
    "before": ("logit", COLOURS[1], "s", 5, "none"),
    "after": ("logit_calibrated", COLOURS[0], "o", 3, "full"),
}
#: A point of fewer objects than this would be all error bar.
OBJECTS_PER_POINT = 10


def draw_reliability(*, calibrated: dict[str, str], out: str) -> None:
    """Reliability on the test split, one panel per model, in up to 15 bins of equal mass.

    calibrated : Parquet table with `logit_calibrated` by the model's label. Bars are Wilson's
    95 % intervals; the text gives the expected calibration error and its debiased estimate, of 15
    bins always, as in the tables.
    """
    with paper_style():
        columns = min(3, max(1, len(calibrated)))
        rows = -(-max(1, len(calibrated)) // columns)
        figure = Figure(figsize=(PAGE_INCHES * max(columns, 1.45) / 3, 2.4 * rows))
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis, (label, path) in zip(axes.flat, calibrated.items(), strict=False):
            table = read_predictions(path, ("logit_calibrated",))
            _panel(axis, label, labelled_rows(table, "test", path))
        for axis in list(axes.flat)[len(calibrated) :]:
            axis.set_axis_off()
        save(figure, out)


def _panel(axis: Axes, label: str, test: pd.DataFrame) -> None:
    """Points before and after calibration of one model."""
    axis.set_title(f"{label}\n{len(test)} test objects")
    if test.empty:
        undefined(axis, "no labelled test objects")
        return
    axis.plot([0, 1], [0, 1], color="0.7", lw=0.8, zorder=0)
    labels = test["label"].to_numpy(float)
    bins = min(BINS, max(1, len(test) // OBJECTS_PER_POINT))
    for stage, (column, colour, marker, size, fill) in STAGES.items():
        probability = expit(test[column].to_numpy(float))
        parts = equal_mass_bins(probability, bins)
        x = [probability[part].mean() for part in parts]
        y = np.array([labels[part].mean() for part in parts])
        bounds = np.array([wilson_interval(int(labels[p].sum()), len(p)) for p in parts]).T
        # A bar cannot have negative length, which rounding at 0 and 1 would give it.
        bars = np.maximum([y - bounds[0], bounds[1] - y], 0)
        ece, debiased = (
            expected_calibration_error(labels, probability, debiased=flag) for flag in (False, True)
        )
        text = f"{stage}: ECE {100 * ece:.1f} % ({100 * debiased:.1f} %)"
        axis.errorbar(
            x, y, bars, fmt=marker, ms=size, fillstyle=fill, lw=0.7, color=colour, label=text
        )
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.4), yticks=np.linspace(0, 1, 6))
    axis.set(xlabel="predicted probability", ylabel="fraction of lenses")
    axis.legend(loc="upper left", title="(debiased in brackets)", title_fontsize=6)
