"""False-negative rate against the lensed fraction of the flux: are faint arcs missed?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lenshunt.evaluation import FUSED, POOLED
from lenshunt.figures.roc import line_style, undefined
from lenshunt.figures.style import PAGE_INCHES, paper_style, save

BINS = {"low": "< 0.1", "medium": "0.1-0.3", "high": "> 0.3"}
#: Largest false-negative rate wanted in the low bin.
TARGET = 0.3
METRICS = {"fnr_at_fpr_0.1": "full", "fnr_at_fpr_1e-3": "none"}


def draw_fnr(*, metrics_csv: str, out: str) -> None:
    """Lenses missed per flux-ratio bin at FPR <= 0.1 (filled) and 1e-3 (open, where resolved).

    metrics_csv : the long table of `evaluate`; bars are its 95 % intervals
    """
    metrics = pd.read_csv(metrics_csv, keep_default_na=True)
    strata = [f"flux_ratio={name}" for name in BINS]
    metrics = metrics[metrics["stratum"].isin(strata) & metrics["metric"].isin(list(METRICS))]
    # All methods of a fusion are in the table; the chosen one stands for them here.
    metrics = metrics[~metrics["model"].astype(str).str.startswith(f"{FUSED}:")]
    labels = list(dict.fromkeys(metrics["label"]))
    # Data sets whose lenses have no known flux ratio would be empty panels.
    known = metrics.groupby("dataset", sort=False)["value"].transform(lambda v: v.notna().any())
    names = list(dict.fromkeys(metrics.loc[known, "dataset"])) if len(metrics) else []
    with paper_style():
        columns = min(3, max(1, len(names)))
        rows = -(-max(1, len(names)) // columns)
        figure = Figure(figsize=(PAGE_INCHES * max(columns, 1.6) / 3, 2.4 * rows + 0.4))
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis, name in zip(axes.flat, names, strict=False):
            _panel(axis, name, metrics[metrics["dataset"] == name], labels)
        for axis in list(axes.flat)[max(1, len(names)) :]:
            axis.set_axis_off()
        if not names:
            undefined(axes[0, 0], "no test lens with a known\nflux ratio and a non-lens beside it")
        axis = axes[0, 0]
        handles = [
            axis.plot([], [], marker="o", ms=3, label=label, **line_style(position))[0]
            for position, label in enumerate(labels)
        ]
        if names:
            figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))
        save(figure, out)


def _panel(axis: Axes, name: str, metrics: pd.DataFrame, labels: list[str]) -> None:
    """Points of all models on one data set, side by side within each bin."""
    width = 0.6 / max(1, len(labels) - 1)
    for position, label in enumerate(labels):
        shift = (position - (len(labels) - 1) / 2) * min(width, 0.15)
        for metric, fill in METRICS.items():
            rows = metrics[(metrics["label"] == label) & (metrics["metric"] == metric)]
            rows = rows.set_index("stratum").reindex([f"flux_ratio={b}" for b in BINS])
            value = rows["value"].to_numpy(float)
            bars = np.maximum([value - rows["low"], rows["high"] - value], 0)
            axis.errorbar(
                np.arange(len(BINS)) + shift,
                value,
                bars,
                fmt="o",
                ms=3.5,
                lw=0.8,
                fillstyle=fill,
                color=line_style(position)["color"],
            )
    counts = metrics.groupby("stratum")["n_lens"].first()
    ticks = [f"{text}\n({int(counts.get(f'flux_ratio={b}', 0))})" for b, text in BINS.items()]
    axis.axhline(TARGET, color="0.6", lw=0.8, ls="--", zorder=0)
    axis.set_xticks(range(len(BINS)), ticks)
    axis.set(
        ylim=(-0.03, 1.03),
        xlim=(-0.5, len(BINS) - 0.5),
        title="all data sets" if name == POOLED else name,
    )
    axis.set(xlabel="lensed / total flux (lenses)", ylabel="false-negative rate")
