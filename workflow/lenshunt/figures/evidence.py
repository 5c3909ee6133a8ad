"""The evidence that a trained model is itself: one panel per measurement, as its kind declares."""

import json
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from lenshunt.figures.style import COLOURS, PAGE_INCHES, paper_style, save

COLUMNS, ROW_INCHES = 3, 2.35
MARKERS = "osD^vP*X"
#: Series of points at one x lie side by side within this share of the distance of two ticks.
SPREAD = 0.5
#: Lines of more points than this have no markers.
MARKED = 12
LABEL_LETTERS = 34


def _draw_series(axes: Axes, kind: str, points: pd.DataFrame, number: int, offset: float) -> None:
    """One series with its intervals, where it has any."""
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    name = str(points["series"].iloc[0])
    x, value, low, high = (points[c].to_numpy(float) for c in ("x", "value", "low", "high"))
    if kind == "points":
        bars = np.nan_to_num(np.abs(np.stack([value - low, high - value])))
        axes.errorbar(
            x + offset, value, bars, fmt=marker, color=colour, label=name, markersize=3.5,
            capsize=1.5, elinewidth=0.8,
        )  # fmt: skip
        return
    known = np.isfinite(low) & np.isfinite(high)
    if kind == "steps":
        axes.step(x, value, where="mid", color=colour, label=name, linewidth=1.2)
        axes.fill_between(x, low, high, where=known, step="mid", color=colour, alpha=0.2, lw=0)
        return
    dots = marker if len(x) <= MARKED else None
    axes.plot(x, value, color=colour, label=name, linewidth=1.2, marker=dots, markersize=2.5)
    axes.fill_between(x, low, high, where=known, color=colour, alpha=0.2, linewidth=0)


def _wrapped(label: str) -> str:
    """A label on lines that are no longer than a panel is wide."""
    return "\n".join(part for line in label.split("\n") for part in wrap(line, LABEL_LETTERS))


def draw_panel(axes: Axes, panel: dict[str, Any], curves: pd.DataFrame) -> None:
    """The curves of one panel; says so where nothing is defined."""
    drawn = curves[np.isfinite(curves["value"].to_numpy(float))]
    if drawn.empty:
        axes.text(0.5, 0.5, "undefined", transform=axes.transAxes, ha="center", va="center")
    if panel["reference"] is not None:
        axes.axhline(panel["reference"], color="0.6", linewidth=0.8, linestyle="--", zorder=0)
    names = list(dict.fromkeys(drawn["series"]))
    offsets = SPREAD * ((np.arange(len(names)) + 0.5) / max(len(names), 1) - 0.5)
    for number, name in enumerate(names):
        points = drawn[drawn["series"] == name].sort_values("x", kind="stable")
        offset = float(offsets[number]) if panel["ticks"] else 0.0
        _draw_series(axes, panel["kind"], points, number, offset)
    for axis in panel["log"]:
        getattr(axes, f"set_{axis}scale")("log")
    if panel["ticks"]:
        long = max(map(len, panel["ticks"])) * len(panel["ticks"]) > 30
        axes.set_xticks(
            range(len(panel["ticks"])), panel["ticks"],
            rotation=40 if long else 0, ha="right" if long else "center",
        )  # fmt: skip
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(-0.6, len(panel["ticks"]) - 0.4)
    axes.set_xlabel(_wrapped(panel["x_label"]))
    axes.set_ylabel(_wrapped(panel["y_label"]))
    if names:
        axes.legend(fontsize=6, handlelength=1.4, borderaxespad=0.2)


def heading(content: dict[str, Any]) -> str:
    """What was measured, against what, on how many samples."""
    against = f" against {content['baseline']}" if content["baseline"] else ""
    return (
        f"{content['model']}{against}: {content['lenses']} lenses and "
        f"{content['non_lenses']} non-lenses of the test split"
    )


def draw_evidence(*, numbers: Path | str, curves: Path | str, out: Path | str) -> None:
    """Draw all panels of all kinds that `numbers` (JSON) names into OUT.pdf and OUT.png.

    curves : CSV with columns kind, panel, series, x, value, low, high, n
    """
    content = json.loads(Path(numbers).read_text())
    table = pd.read_csv(curves)
    panels = [
        (table[(table["kind"] == kind) & (table["panel"] == name)], panel)
        for kind, told in content["kinds"].items()
        for name, panel in told["panels"].items()
    ]
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    with paper_style():
        figure, grid = plt.subplots(
            rows, columns, figsize=(PAGE_INCHES, ROW_INCHES * rows + 0.3), squeeze=False
        )
        for axes, (part, panel) in zip(grid.flat, panels, strict=False):
            draw_panel(axes, panel, part)
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_visible(False)
        figure.suptitle(heading(content), fontsize=8)
        save(figure, out)
        plt.close(figure)
