"""Reliability diagrams: lens fraction against predicted probability, before and after."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from scipy.special import expit

from lenshunt.evaluation import (
    STAGES,
    at_own_fraction,
    calibration_prior,
    equal_mass_bins,
    expected_calibration_error,
    labelled_rows,
    read_predictions,
    sets_apart,
    test_sets,
    wilson_interval,
)
from lenshunt.evaluation.calibration import BINS
from lenshunt.reporting.figures.evaluated import Evaluated
from lenshunt.reporting.figures.series import models_of, wrapped_name
from lenshunt.reporting.figures.style import COLOURS, PAGE_INCHES, paper_style, save, undefined

#: Look of each stage; the open marker is seen around the other one.
LOOKS: dict[str, dict[str, Any]] = {
    "before": {"color": COLOURS[1], "marker": "s", "ms": 4, "fillstyle": "none", "mew": 0.7},
    "after": {"color": COLOURS[0], "marker": "o", "ms": 2.2},
}
#: A point of fewer objects than this would be all error bar.
OBJECTS_PER_POINT = 10
#: Panels side by side; height of a row of them, and of the title of a test set and the legend.
COLUMNS, ROW_INCHES, TITLE_INCHES = 4, 1.9, 0.45
#: Letters of a name that fit above a panel.
LETTERS = 26


@dataclass(frozen=True)
class Reliability:
    """One score on one test set, at one stage: points with intervals, and their mean error.

    probability, fraction [k] : means of each bin; bars [2, k] : Wilson's 95 % interval, below and
    above; error : debiased ECE of 15 bins, as in the tables
    """

    probability: np.ndarray
    fraction: np.ndarray
    bars: np.ndarray
    error: float


def draw_reliability(evaluated: Evaluated, out: str) -> None:
    """Write `reliability_figure` as PDF and PNG."""
    with paper_style():
        save(reliability_figure(evaluated.predictions), out)


def reliability_figure(calibrated: Mapping[str, str]) -> Figure:
    """Reliability on each test set that has both classes, a panel per model, its seeds in it.

    calibrated : Parquet table with `logit_calibrated` by label. Probabilities are those at the lens
    fraction of the test set, see `at_own_fraction`; points are up to 15 bins of equal mass.
    """
    found: dict[str, dict[str, dict[str, Reliability]]] = {}
    titles: dict[str, str] = {}
    for label, path in calibrated.items():
        table = read_predictions(path, ("logit_calibrated",))
        prior = calibration_prior(labelled_rows(table, "val_calibrate", path)["label"].to_numpy())
        sets = test_sets(labelled_rows(table, "test", path))
        for name in sets_apart(sets):
            if sets[name]["label"].nunique() == 2:
                found.setdefault(name, {})[label] = _reliability(sets[name], prior)
                titles[name] = _title(name, sets[name])
    if not found:
        figure = Figure(figsize=(PAGE_INCHES / 2, ROW_INCHES))
        undefined(figure.subplots(), "no test set with lenses and non-lenses")
        return figure
    models = {name: models_of(by_label) for name, by_label in found.items()}
    rows = [-(-len(own) // COLUMNS) for own in models.values()]
    heights = [ROW_INCHES * n + TITLE_INCHES for n in rows]
    figure = Figure(figsize=(PAGE_INCHES, sum(heights)))
    parts = figure.subfigures(len(found), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, name, height in zip(parts, found, rows, strict=True):
        part.suptitle(titles[name], fontsize=8)
        axes = list(part.subplots(height, COLUMNS, squeeze=False).flat)
        for axis, (model, labels) in zip(axes, models[name].items(), strict=False):
            _panel(axis, model, [found[name][label] for label in labels])
        for axis in axes[len(models[name]) :]:
            axis.set_axis_off()
        _frame(part, axes[0])
    return figure


def _title(name: str, rows: pd.DataFrame) -> str:
    """A test set with the lens fraction that its probabilities are at."""
    lenses = int((rows["label"] == 1).sum())
    counts = f"{lenses} lenses, {len(rows) - lenses} non-lenses"
    return f"{name}: {counts}, probabilities at {100 * lenses / len(rows):.3g} % lenses"


def _reliability(rows: pd.DataFrame, prior: float) -> dict[str, Reliability]:
    """Both stages of one score on one test set; rows : labelled, both classes among them."""
    labels = rows["label"].to_numpy()
    bins = min(BINS, max(1, len(rows) // OBJECTS_PER_POINT))
    found = {}
    for stage, column in STAGES.items():
        probability = expit(at_own_fraction(labels, rows[column].to_numpy(float), prior))
        parts = equal_mass_bins(probability, bins)
        fraction = np.array([labels[part].mean() for part in parts])
        bounds = np.array([wilson_interval(int(labels[p].sum()), len(p)) for p in parts]).T
        found[stage] = Reliability(
            np.array([probability[part].mean() for part in parts]),
            fraction,
            # A bar cannot have negative length, which rounding at 0 and 1 would give it.
            np.maximum([fraction - bounds[0], bounds[1] - fraction], 0),
            expected_calibration_error(labels, probability, debiased=True),
        )
    return found


def _panel(axis: Axes, model: str, seeds: list[dict[str, Reliability]]) -> None:
    """Points of all seeds of one model on one test set."""
    axis.set_title(wrapped_name(model, LETTERS), fontsize=6.5)
    axis.plot([0, 1], [0, 1], color="0.7", lw=0.8, zorder=0)
    text = ["debiased ECE"]
    for stage, look in LOOKS.items():
        for seed in seeds:
            points = seed[stage]
            axis.errorbar(points.probability, points.fraction, points.bars, ls="", lw=0.6, **look)
        text.append(f"{stage} {100 * np.mean([seed[stage].error for seed in seeds]):.1f} %")
    axis.text(0.04, 0.97, "\n".join(text), va="top", fontsize=6, transform=axis.transAxes)
    axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    axis.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])


def _frame(part: SubFigure, axis: Axes) -> None:
    """What the axes and markers of a test set's panels mean."""
    part.supxlabel("predicted probability", fontsize=8)
    part.supylabel("fraction of lenses", fontsize=8)
    handles = [
        axis.plot([], [], ls="", label=f"{stage} calibration", **look)[0]
        for stage, look in LOOKS.items()
    ]
    part.legend(handles=handles, loc="outside lower right", ncols=2)
