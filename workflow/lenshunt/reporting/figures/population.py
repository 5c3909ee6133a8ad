"""The simulated population of lenses beside published ones."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lenshunt.reporting.figures.style import COLOURS, PAGE_INCHES, paper_style, save

#: Column, label, and range of each panel.
PANELS = (
    ("theta_e", "Einstein radius (arcsec)", (0.0, 3.0)),
    ("z_lens", "lens redshift", (0.0, 1.6)),
    ("z_source", "source redshift", (0.0, 5.0)),
    ("sigma_km_s", "velocity dispersion (km/s)", (100.0, 420.0)),
    ("flux_ratio", "log10 lensed / total flux, i", (-3.5, 0.0)),
    ("g_minus_i", "g - i (AB)", (-0.5, 4.0)),
)
#: 16, 50 and 84 % of published samples; a table may lack columns.
PUBLISHED: dict[str, dict[str, tuple[float, float, float]]] = {
    # first 80 of the 0.1 sky in lenses_LSSTc.txt of the public code of Collett 2015, ApJ 811, 20
    "Collett 2015, LSST": {
        "theta_e": (0.846, 1.165, 1.657),
        "z_lens": (0.285, 0.494, 0.741),
        "z_source": (1.234, 2.092, 3.173),
        "sigma_km_s": (219.2, 257.0, 303.4),
    },
}
BINS = 30
#: Stands for a column that a table does not have: an empty histogram keeps its place in the legend.
_NOTHING = pd.Series(dtype=float)


def draw_population_figure(
    *,
    simulated: Mapping[str, pd.DataFrame],
    observed: Mapping[str, pd.DataFrame],
    out: str,
    panels: Sequence[tuple[str, str, tuple[float, float]]] = PANELS,
) -> None:
    """Histograms of simulated surveys, observed samples, and published quantiles (PDF and PNG).

    simulated : columns of `draw_population`, flux_ratio (log10), g_minus_i of the lens and
        source_g_minus_i of the source; observed : columns of PANELS. Either may lack columns.
    panels : an even number of them, in two rows
    """
    with paper_style():
        figure = Figure(figsize=(PAGE_INCHES, 4.2))
        axes = figure.subplots(2, len(panels) // 2)
        for axis, (column, label, limits) in zip(axes.flat, panels, strict=True):
            _draw(axis, column, limits, simulated, observed)
            axis.set_xlabel(label)
            axis.set_xlim(*limits)
            axis.set_yticks([])
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        save(figure, out)


def _draw(
    axis: Axes,
    column: str,
    limits: tuple[float, float],
    simulated: Mapping[str, pd.DataFrame],
    observed: Mapping[str, pd.DataFrame],
) -> None:
    edges = np.linspace(*limits, BINS + 1)
    for colour, (name, table) in zip(COLOURS, simulated.items(), strict=False):
        _histogram(axis, table.get(column, _NOTHING), edges, colour, name)
        if column == "g_minus_i" and "source_g_minus_i" in table:
            _histogram(axis, table["source_g_minus_i"], edges, colour, None, "dotted")
    for colour, (name, table) in zip(COLOURS[3:], observed.items(), strict=False):
        values = table.get(column, _NOTHING).dropna()
        label, wide = f"{name} (observed)", list(edges[::2])
        axis.hist(values, wide, density=len(values) > 0, color=colour, alpha=0.35, label=label)
    top = axis.get_ylim()[1]
    for name, quantiles in PUBLISHED.items():
        low, middle, high = quantiles.get(column, (np.nan,) * 3)
        errors = [[middle - low], [high - middle]]
        axis.errorbar(
            middle, 0.96 * top, xerr=errors, fmt="o", color="black", markersize=3, capsize=2,
            label=name,
        )  # fmt: skip


def _histogram(
    axis: Axes,
    values: pd.Series,
    edges: np.ndarray,
    colour: str,
    label: str | None,
    linestyle: str = "solid",
) -> None:
    inside = values[values.between(edges[0], edges[-1])]
    # nothing within the range has no density
    axis.hist(
        inside, list(edges), density=len(inside) > 0, histtype="step", color=colour, label=label,
        linestyle=linestyle,
    )  # fmt: skip
