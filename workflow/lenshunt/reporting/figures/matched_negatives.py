"""Lens hosts, negatives, and the negatives that were kept since they look like hosts."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lenshunt.dataset import COVARIATES
from lenshunt.reporting.figures.style import COLOURS, PAGE_INCHES, paper_style, save

BINS = 24
COLUMNS = 4
TITLES = {
    "magnitude": "magnitude (AB)",
    "log_half_light_radius": "log10 half-light radius (arcsec)",
    "redshift": "redshift",
}


def draw_matching(*, matched: str, quality: str, out: str) -> None:
    """Distribution of every covariate, all splits together (PDF and PNG).

    matched : Parquet of `match_negatives`; quality : its CSV
    """
    systems = pd.read_parquet(matched).drop_duplicates(["dataset", "system_id", "role"])
    table = pd.read_csv(quality)
    whole = table[table["split"] == "all"].set_index("covariate")
    with paper_style():
        save(_figure(systems, whole), out)


def _figure(systems: pd.DataFrame, quality: pd.DataFrame) -> Figure:
    drawn = [name for name in COVARIATES if systems[name].notna().any()]
    rows = -(-len(drawn) // COLUMNS)
    figure = Figure(figsize=(PAGE_INCHES, 1.9 * rows + 0.5))
    axes = figure.subplots(rows, COLUMNS, squeeze=False)
    for axis, name in zip(axes.flat, drawn, strict=False):
        _draw(axis, systems, name)
        row = quality.loc[name]
        axis.set_title(f"SMD {row['smd_before']:+.2f} to {row['smd_after']:+.2f}")
        axis.set_xlabel(TITLES.get(name, f"{name} (AB)"))
    for axis in axes.flat[len(drawn) :]:
        axis.set_axis_off()
    for axis in axes[:, 0]:
        axis.set_ylabel("density")
    counts = quality.iloc[0]
    labels = [
        f"lens hosts ({counts['hosts']:.0f}, {counts['hosts_matched']:.0f} matched)",
        f"negatives before ({counts['negatives']:.0f})",
        f"negatives kept ({counts['kept']:.0f})",
    ]
    handles, _ = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _draw(axis: Axes, systems: pd.DataFrame, name: str) -> None:
    """Histograms of unit area on common bins."""
    values = systems[name].to_numpy(float)
    negative = (systems["role"] == "negative").to_numpy()
    kept = systems["kept"].to_numpy(bool)
    known = np.isfinite(values)
    low, high = np.quantile(values[known], [0.002, 0.998])
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    middle = (edges[:-1] + edges[1:]) / 2
    for label, rows, colour, filled in (
        ("hosts", ~negative, COLOURS[1], False),
        ("before", negative, "0.75", True),
        ("kept", negative & kept, COLOURS[0], False),
    ):
        counts = np.histogram(values[rows & known], edges)[0]
        # A population of which nothing is known here has no density to draw.
        density = counts / max(counts.sum(), 1) / (edges[1] - edges[0])
        if filled:
            axis.fill_between(middle, density, step="mid", color=colour, linewidth=0, label=label)
        else:
            axis.step(middle, density, where="mid", color=colour, linewidth=1.2, label=label)
    axis.set_ylim(0, None)
    axis.locator_params(axis="x", nbins=4)
