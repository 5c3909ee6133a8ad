"""Diagnostics of a trained model: one panel per measurement, as its kind declares."""

import json
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from lenshunt.reporting.figures.style import COLOURS, PAGE_INCHES, paper_style, save

COLUMNS, ROW_INCHES = 3, 2.35
MARKERS = "osD^vP*X"
#: Series of points at one x lie side by side within this share of the distance of two ticks.
SPREAD = 0.5
#: Lines of more points than this have no markers.
MARKED = 12
LABEL_LETTERS, HEADING_LETTERS = 34, 125
HEADING_LINE_INCHES = 0.14


def _draw_points(axes: Axes, points: pd.DataFrame, number: int, offset: float, first: bool) -> None:
    """One series of one training with its intervals; open symbols for all but the first one."""
    colour = COLOURS[number % len(COLOURS)]
    x, value, low, high = (points[c].to_numpy(float) for c in ("x", "value", "low", "high"))
    bars = np.nan_to_num(np.abs(np.stack([value - low, high - value])))
    axes.errorbar(
        x + offset, value, bars, fmt=MARKERS[number % len(MARKERS)], color=colour,
        label=str(points["series"].iloc[0]) if first else None, capsize=1.5,
        markersize=3.5 if first else 2.5, markerfacecolor=colour if first else "white",
        elinewidth=0.8 if first else 0.5,
    )  # fmt: skip


def _draw_line(axes: Axes, steps: bool, points: pd.DataFrame, number: int, first: bool) -> None:
    """One series of one training; thin, and without the band of its intervals, but for the first.

    steps : x is the middle of a bin
    """
    colour = COLOURS[number % len(COLOURS)]
    x, value, low, high = (points[c].to_numpy(float) for c in ("x", "value", "low", "high"))
    dots = MARKERS[number % len(MARKERS)] if first and not steps and len(x) <= MARKED else None
    axes.plot(
        x, value, color=colour, linewidth=1.2 if first else 0.6, marker=dots, markersize=2.5,
        drawstyle="steps-mid" if steps else "default",
        label=str(points["series"].iloc[0]) if first else None,
    )  # fmt: skip
    if first:
        known = np.isfinite(low) & np.isfinite(high)
        step: Literal["mid"] | None = "mid" if steps else None
        axes.fill_between(x, low, high, where=known, step=step, color=colour, alpha=0.2, lw=0)


def _wrapped(label: str) -> str:
    """A label on lines that are no longer than a panel is wide."""
    return "\n".join(part for line in label.split("\n") for part in wrap(line, LABEL_LETTERS))


def draw_panel(axes: Axes, panel: dict[str, Any], curves: pd.DataFrame) -> None:
    """The curves of one panel, of all trainings; says so where nothing is defined.

    curves : columns training (0, 1, ...), series, x, value, low, high
    """
    drawn = curves[np.isfinite(curves["value"].to_numpy(float))]
    if drawn.empty:
        axes.text(0.5, 0.5, "undefined", transform=axes.transAxes, ha="center", va="center")
    if panel["reference"] is not None:
        axes.axhline(panel["reference"], color="0.6", linewidth=0.8, linestyle="--", zorder=0)
    names = list(dict.fromkeys(drawn["series"]))
    parts = list(drawn.groupby(["series", "training"], sort=False))
    parts.sort(key=lambda part: (names.index(part[0][0]), part[0][1]))
    offsets = SPREAD * ((np.arange(len(parts)) + 0.5) / max(len(parts), 1) - 0.5)
    for place, ((name, training), part) in enumerate(parts):
        points, number = part.sort_values("x", kind="stable"), names.index(name)
        if panel["kind"] == "points":
            offset = float(offsets[place]) if panel["ticks"] else 0.0
            _draw_points(axes, points, number, offset, training == 0)
        else:
            _draw_line(axes, panel["kind"] == "steps", points, number, training == 0)
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


def heading(contents: Sequence[dict[str, Any]]) -> str:
    """Per kind what was measured, against what, on how many samples; and which trainings.

    contents : JSON of each training of one model
    """
    lines = []
    for told in contents[0]["kinds"].values():
        counts = ", ".join(f"{count} {name}" for name, count in told["counts"].items())
        lines.append(f"{told['rests_on']} ({counts})")
    first, *others = (str(content["seed_of_training"]) for content in contents)
    if others:
        lines.append(
            f"Filled symbols, thick lines and bands: training with seed {first}. Open symbols and "
            f"thin lines: seed {', '.join(others)}. No interval holds the scatter between them."
        )
    else:
        lines.append(f"One training (seed {first}): no interval holds the scatter between several.")
    return "\n".join(part for line in lines for part in wrap(line, HEADING_LETTERS))


def diagnostics_figure(contents: Sequence[dict[str, Any]], table: pd.DataFrame) -> Figure:
    """One panel for each that the kinds of `contents` declare.

    table : columns training (place in `contents`), kind, panel, series, x, value, low, high
    """
    panels = [
        (table[(table["kind"] == kind) & (table["panel"] == name)], panel)
        for kind, told in contents[0]["kinds"].items()
        for name, panel in told["panels"].items()
    ]
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    title = heading(contents)
    height = ROW_INCHES * rows + HEADING_LINE_INCHES * (title.count("\n") + 2)
    figure, grid = plt.subplots(rows, columns, figsize=(PAGE_INCHES, height), squeeze=False)
    for axes, (part, panel) in zip(grid.flat, panels, strict=False):
        draw_panel(axes, panel, part)
    for axes in list(grid.flat)[len(panels) :]:
        axes.remove()
    figure.suptitle(title, fontsize=7)
    return figure


def draw_diagnostics(
    *, numbers: Sequence[Path | str], curves: Sequence[Path | str], out: Path | str
) -> None:
    """Draw all panels of all kinds of one model into OUT.pdf and OUT.png.

    numbers : JSON of each training, the one that is drawn thick first
    curves : CSV of each, with columns kind, panel, series, x, value, low, high, n
    """
    contents = [json.loads(Path(path).read_text()) for path in numbers]
    tables = [pd.read_csv(path).assign(training=place) for place, path in enumerate(curves)]
    with paper_style():
        figure = diagnostics_figure(contents, pd.concat(tables, ignore_index=True))
        save(figure, out)
        plt.close(figure)
