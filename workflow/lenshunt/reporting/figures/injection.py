"""Injected lenses beside the population that they are of and beside published lenses."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lenshunt.reporting.figures.population import PANELS, draw_population_figure
from lenshunt.scenes.truth import read_truth

#: Panels of the published comparison, and those of what was painted.
INJECTED_PANELS = (
    *PANELS,
    ("log_arc_snr", "log10 S/N of the arcs", (1.0, 3.0)),
    ("log_magnification", "log10 magnification", (0.0, 2.0)),
)
PAINTED, DRAWN = "injected", "population"


def draw_injected(*, truth: Sequence[str], population: str, out: str) -> None:
    """Histograms of the truth tables `truth` and the table `population` (PDF and PNG).

    S/N and magnification of the population are the estimates of its selection. Raises ValueError
    where no lens was made.
    """
    lenses = painted_columns(read_truth(truth))
    if lenses.empty:
        raise ValueError(f"{', '.join(truth)}: no lens was made; look at the skipped hosts")
    drawn = pd.read_parquet(population)
    drawn = drawn.assign(
        log_arc_snr=np.log10(drawn["arc_snr"]), log_magnification=np.log10(drawn["magnification"])
    )
    draw_population_figure(
        simulated={f"{PAINTED} ({len(lenses)})": lenses, f"{DRAWN} ({len(drawn)})": drawn},
        observed={},
        out=out,
        panels=INJECTED_PANELS,
    )


def painted_columns(truth: pd.DataFrame) -> pd.DataFrame:
    """The columns of the panels, from a truth table; colours NaN where a band is not there."""
    arcs = {band: truth[f"arc_flux_{band}"].where(truth[f"arc_flux_{band}"] > 0) for band in "gi"}
    return truth.assign(
        flux_ratio=np.log10(truth["flux_ratio"]),
        g_minus_i=truth["host_magnitude_g"] - truth["host_magnitude_i"],
        source_g_minus_i=-2.5 * np.log10(arcs["g"] / arcs["i"]),
        log_arc_snr=np.log10(truth["arc_snr"]),
        log_magnification=np.log10(truth["magnification"]),
    )
