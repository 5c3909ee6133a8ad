"""Forest plot of differences between models: a panel per quantity, a row of them per test set."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lenshunt.reporting.figures.style import COLOURS, PAGE_INCHES, paper_style, save, undefined

#: Panels from left to right, with the names of their axes.
PANELS = {
    "partial_auc": "partial AUC (FPR ≤ 0.1)",
    "tpr": "TPR",
    "auroc": "AUROC",
}
#: Colour and marker of a verdict; what is not resolved is hollow as well.
LOOKS = {"better": (COLOURS[0], "o"), "worse": (COLOURS[1], "s"), "not resolved": ("0.45", "o")}
#: Height of a line, and of the title and axis of a row of panels.
LINE_INCHES, FRAME_INCHES = 0.19, 0.75


def draw_comparisons(*, comparisons_csv: str, out: str) -> None:
    """Differences with their 95 % intervals, resolved ones filled (PDF and PNG).

    comparisons_csv : table of `compare`; test sets of one class are not drawn. A difference
    without an interval is a cross.
    """
    table = pd.read_csv(comparisons_csv)
    # One data set alone is one line of panels; without both classes there is nothing to compare.
    table = table[table["verdict"] != "undefined"]
    sets = list(dict.fromkeys(table["dataset"]))
    lines = list(dict.fromkeys(table["comparison"]))
    height = max(1, len(sets)) * (LINE_INCHES * max(3, len(lines)) + FRAME_INCHES) + 0.3
    with paper_style():
        figure = Figure(figsize=(PAGE_INCHES, height))
        axes = figure.subplots(max(1, len(sets)), len(PANELS), squeeze=False, sharey="row")
        for row, name in zip(axes, sets, strict=False):
            for axis, quantity in zip(row, PANELS, strict=True):
                own = table[(table["dataset"] == name) & (table["quantity"] == quantity)]
                _panel(axis, quantity, own.set_index("comparison").loc[lines])
            counts = table[table["dataset"] == name].iloc[0]
            title = f"{name}: {counts['n_lens']} lenses, {counts['n_nonlens']} non-lenses"
            row[0].set_title(title, loc="left")
        if not sets:
            for axis in axes[0]:
                undefined(axis, "no test set has both classes")
        else:
            _legend(figure)
        save(figure, out)


def _panel(axis: Axes, quantity: str, rows: pd.DataFrame) -> None:
    """One quantity of all comparisons on one test set, the first on top.

    rows : of COMPARISON_COLUMNS, indexed by the comparison's name
    """
    if rows["difference"].notna().any():
        axis.axvline(0, color="0.6", lw=0.8, zorder=0)
    for line, (_, row) in enumerate(rows.iterrows()):
        if np.isnan(row["difference"]):
            continue
        _point(axis, line, row)
    axis.set_yticks(range(len(rows)), list(rows.index))
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    label = PANELS[quantity]
    if quantity == "tpr":
        rate = rows["fpr"].iloc[0]
        if np.isnan(rate):
            axis.set_xticks([])
            axis.text(0.5, 0.5, "not resolved", ha="center", va="center", transform=axis.transAxes)
        else:
            label = f"TPR (FPR ≤ {rate:g})"
    axis.set_xlabel(f"Δ {label}")


def _point(axis: Axes, line: int, row: pd.Series) -> None:
    """One difference, its interval, and ticks at the extreme seeds."""
    colour, marker = LOOKS[str(row["verdict"])]
    if np.isnan(row["low"]):
        axis.plot(row["difference"], line, marker="x", ms=4, color=colour)
        return
    axis.plot([row["low"], row["high"]], [line, line], color=colour, lw=1.1, zorder=1)
    hollow = row["verdict"] == "not resolved"
    axis.plot(
        row["difference"], line, marker=marker, ms=4.2, color=colour,
        markerfacecolor="white" if hollow else colour, zorder=3,
    )  # fmt: skip
    if row["seeds"] > 1:
        extremes = [row["seed_min"], row["seed_max"]]
        axis.plot(extremes, [line, line], ls="", marker="|", ms=5, color=colour, zorder=2)


def _legend(figure: Figure) -> None:
    """What filled, hollow and square mean, below all panels."""
    axis = figure.axes[0]
    handles = [
        axis.plot(
            [], [], marker=marker, ms=4.2, lw=1.1, color=colour, label=verdict,
            markerfacecolor="white" if verdict == "not resolved" else colour,
        )[0]
        for verdict, (colour, marker) in LOOKS.items()
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
