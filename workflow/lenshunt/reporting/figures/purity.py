"""Purity and completeness against threshold where lenses are rare; what a wanted purity takes."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lenshunt.config import FUSED
from lenshunt.evaluation import (
    labelled_rows,
    purity_table,
    read_predictions,
    sets_apart,
    test_sets,
    threshold_for_purity,
)
from lenshunt.reporting.figures.evaluated import Evaluated
from lenshunt.reporting.figures.style import COLOURS, COLUMN_INCHES, paper_style, save, undefined

#: Lens fractions of skies that are searched; the networks are trained near one half.
PREVALENCES = (1e-2, 1e-3, 1e-4)
#: The purity whose threshold is marked: every second candidate is a lens.
WANTED = 0.5
PANEL_INCHES = 2.9


def draw_purity(evaluated: Evaluated, out: str) -> None:
    """Write `purity_figure` of the fused scores as PDF and PNG."""
    with paper_style():
        save(purity_figure(evaluated.predictions[FUSED], FUSED), out)


def purity_figure(path: str, label: str) -> Figure:
    """A panel per test set that has both classes, one below the other.

    path : table of predictions with `logit_calibrated`; label : what it is called. A line of purity
    ends where no false positive is left to measure it by. Marked is the lowest threshold of
    WANTED purity; the title says how many candidates of 10,000 objects it gives, how complete.
    """
    table = read_predictions(path, ("logit_calibrated",))
    sets = test_sets(labelled_rows(table, "test", path))
    names = [name for name in sets_apart(sets) if sets[name]["label"].nunique() == 2]
    figure = Figure(figsize=(COLUMN_INCHES, PANEL_INCHES * max(1, len(names)) + 0.3))
    axes = figure.subplots(max(1, len(names)), 1, squeeze=False)[:, 0]
    if not names:
        undefined(axes[0], "no test set with lenses and non-lenses")
        return figure
    for axis, name in zip(axes, names, strict=True):
        labels = sets[name]["label"].to_numpy()
        logits = sets[name]["logit_calibrated"].to_numpy(float)
        tables = {p: purity_table(labels, logits, p) for p in PREVALENCES}
        _panel(axis, tables)
        n_lens = int(labels.sum())
        title = [f"{label} on {name}", f"{n_lens} lenses, {len(labels) - n_lens} non-lenses"]
        axis.set_title("\n".join([*title, *wanted_lines(tables)]), fontsize=7)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def wanted_lines(tables: Mapping[float, pd.DataFrame]) -> list[str]:
    """What the WANTED purity takes, of every prevalence (key) at which it is reached."""
    lines = []
    for prevalence, table in tables.items():
        at = threshold_for_purity(table, WANTED)
        if np.isfinite(at):
            row = table[table["threshold"] == at].iloc[0]
            selected, found = 10_000 * row["selected"], row["completeness"]
            sky = f"1 lens in {round(1 / prevalence):,}"
            lines.append(f"{sky}: {WANTED:.0%} of {selected:.3g} in 10,000, {found:.0%} complete")
    return lines


def _panel(axis: Axes, tables: Mapping[float, pd.DataFrame]) -> None:
    """Completeness, and purity at every prevalence, of one score on one test set."""
    first = tables[PREVALENCES[0]]
    axis.plot(first["threshold"], first["completeness"], color="0.3", ls="--", label="completeness")
    for (prevalence, table), colour in zip(tables.items(), COLOURS, strict=False):
        known = table[table["resolved"]]
        name = f"purity, 1 lens in {round(1 / prevalence):,}"
        axis.plot(known["threshold"], known["purity"], color=colour, label=name)
        at = threshold_for_purity(table, WANTED)
        if np.isfinite(at):
            reached = table.loc[table["threshold"] == at, "purity"]
            axis.plot(at, reached.iloc[0], "o", ms=4, color=colour)
    axis.axhline(WANTED, color="0.7", lw=0.6, ls=":", zorder=0)
    axis.set(yscale="log", ylim=(min(tables) / 2, 1.5))
    axis.set(xlabel="threshold (calibrated logit)", ylabel="purity, completeness")
