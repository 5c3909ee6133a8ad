"""False-negative rate against the lensed fraction of the flux: are faint arcs missed?"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lenshunt.config import FUSED
from lenshunt.evaluation import sets_apart
from lenshunt.reporting.figures.evaluated import Evaluated
from lenshunt.reporting.figures.series import models_of, panel_blocks
from lenshunt.reporting.figures.style import paper_style, save, undefined
from lenshunt.training.scores import FNR_LOW_MAX

BINS = {"low": "< 0.1", "medium": "0.1-0.3", "high": "> 0.3"}
METRICS = {"fnr_at_fpr_0.1": "full", "fnr_at_fpr_1e-3": "none"}
#: Part of a bin's width over which its points are spread.
SPREAD = 0.76


def draw_fnr(evaluated: Evaluated, out: str) -> None:
    """Write `fnr_figure` as PDF and PNG."""
    with paper_style():
        save(fnr_figure(evaluated.metrics_csv), out)


def fnr_figure(metrics_csv: str) -> Figure:
    """Lenses missed per flux-ratio bin at FPR <= 0.1 (filled) and 1e-3 (open, where resolved).

    metrics_csv : the long table of `evaluate`; bars are its 95 % intervals. Seeds of a model look
    alike, side by side.
    """
    metrics = pd.read_csv(metrics_csv, keep_default_na=True)
    strata = [f"flux_ratio={name}" for name in BINS]
    metrics = metrics[metrics["stratum"].isin(strata) & metrics["metric"].isin(list(METRICS))]
    # All methods of a fusion are in the table; the chosen one stands for them here.
    metrics = metrics[~metrics["model"].astype(str).str.startswith(f"{FUSED}:")]
    # Data sets whose lenses have no known flux ratio would be empty panels.
    known = metrics.groupby("dataset", sort=False)["value"].transform(lambda v: v.notna().any())
    names = sets_apart(metrics.loc[known, "dataset"]) if len(metrics) else []
    models = models_of(metrics["label"])
    models = {model: list(dict.fromkeys(labels)) for model, labels in models.items()}
    figure, blocks = panel_blocks(list(models), len(names), legend=("color", "marker"))
    for block in blocks:
        looks = {label: look for model, look in block.looks.items() for label in models[model]}
        for axis, name in zip(block.axes, names, strict=False):
            _panel(axis, metrics[metrics["dataset"] == name], looks)
            axis.set_title(name)
        if not names:
            undefined(
                block.axes[0], "no test lens with a known\nflux ratio and a non-lens beside it"
            )
    return figure


def _panel(axis: Axes, metrics: pd.DataFrame, looks: Mapping[str, dict[str, Any]]) -> None:
    """Points of some models on one test set, side by side within each bin."""
    shifts = np.linspace(-SPREAD / 2, SPREAD / 2, len(looks)) if len(looks) > 1 else [0.0]
    for shift, (label, look) in zip(shifts, looks.items(), strict=True):
        for metric, fill in METRICS.items():
            rows = metrics[(metrics["label"] == label) & (metrics["metric"] == metric)]
            rows = rows.set_index("stratum").reindex([f"flux_ratio={b}" for b in BINS])
            value = rows["value"].to_numpy(float)
            bars = np.maximum([value - rows["low"], rows["high"] - value], 0)
            places = np.arange(len(BINS)) + shift
            style = {"color": look["color"], "marker": look["marker"], "fillstyle": fill}
            axis.errorbar(places, value, bars, ls="", ms=3, lw=0.6, mew=0.7, **style)
    counts = metrics.groupby("stratum")["n_lens"].first()
    ticks = [f"{text}\n({int(counts.get(f'flux_ratio={b}', 0))})" for b, text in BINS.items()]
    axis.axhline(FNR_LOW_MAX, color="0.6", lw=0.8, ls="--", zorder=0)
    axis.set_xticks(range(len(BINS)), ticks)
    axis.set(ylim=(-0.03, 1.03), xlim=(-0.5, len(BINS) - 0.5))
    axis.set(xlabel="lensed / total flux (lenses)", ylabel="false-negative rate")
