"""Balance of the splits: every factor of every data set, with what a random draw would scatter."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lenshunt.config import SplitConfig
from lenshunt.core import write_csv
from lenshunt.dataset import FACTORS, LEARNING_SPLITS, balance_table
from lenshunt.reporting.figures.style import COLOURS, PAGE_INCHES, paper_style, save

ROW_INCHES = 1.7
#: Values of one factor that find room for their names.
VALUES_DRAWN = 7
TITLES = {
    "label": "label",
    "magnitude": "magnitude (AB)",
    "redshift": "redshift",
    "survey": "survey",
    "seeing": "seeing (arcsec)",
    "psf_fwhm": "PSF FWHM (arcsec)",
    "pixel_scale": "pixel scale (arcsec)",
}


def draw_split_balance(
    *,
    splits: Mapping[str, tuple[str, Sequence[str]]],
    out: str,
    table: str,
    config: SplitConfig | None = None,
) -> None:
    """Write the balance table of all data sets (CSV) and draw it (PDF and PNG).

    splits : by data set, the Parquet of `make_splits` and the metadata tables it was made from
    config : what the splits were made with
    table : columns dataset and those of `dataset.balance_table`
    One row of panels per data set, one panel per factor; data sets of one split (those that are
    only searched, or held out for the test) have nothing to balance and are in the table alone.
    """
    balances = {
        name: balance_table(splits=path, metadata=metadata, config=config)
        for name, (path, metadata) in splits.items()
    }
    _write_table(balances, Path(table))
    drawn = {name: balance for name, balance in balances.items() if balance["split"].nunique() > 1}
    with paper_style():
        save(_figure(drawn), out)


def _write_table(balances: Mapping[str, pd.DataFrame], path: Path) -> None:
    """All balance tables in one CSV."""
    parts = [balance.assign(dataset=name) for name, balance in balances.items()]
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["dataset"])
    columns = ["dataset", *(name for name in whole.columns if name != "dataset")]
    write_csv(whole[columns], path, "%.5f")


def _figure(balances: Mapping[str, pd.DataFrame]) -> Figure:
    """Panels [data set, factor], the label first."""
    factors = FACTORS[::-1]
    rows = max(len(balances), 1)
    figure = Figure(figsize=(PAGE_INCHES * 1.4, ROW_INCHES * rows + 0.4))
    axes = figure.subplots(rows, len(factors), squeeze=False)
    if not balances:
        for axis in axes.flat:
            axis.set_axis_off()
        figure.text(0.5, 0.5, "no data set is split", ha="center")
        return figure
    for i, (name, balance) in enumerate(balances.items()):
        for axis, factor in zip(axes[i], factors, strict=True):
            _draw_factor(axis, balance[balance["factor"] == factor])
            if i == 0:
                axis.set_title(TITLES[factor])
        groups = balance[balance["factor"] == "split"]["n_groups"].sum()
        axes[i, 0].set_ylabel(f"{name}\n{groups} groups, fraction")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _draw_factor(axis: Axes, rows: pd.DataFrame) -> None:
    """Fraction of each split's groups per value of one factor, over that of the whole data set."""
    rows = _rarest_together(rows)
    values = sorted(rows["value"].unique(), key=_bin_start)
    whole = rows.drop_duplicates("value").set_index("value")["fraction_all"]
    axis.bar(range(len(values)), whole[values], width=0.9, color="0.88", label="all")
    offsets = np.linspace(-0.3, 0.3, len(LEARNING_SPLITS))
    for split, colour, offset in zip(LEARNING_SPLITS, COLOURS, offsets, strict=False):
        part = rows[rows["split"] == split].set_index("value").reindex(values)
        axis.errorbar(
            np.arange(len(values)) + offset,
            part["fraction"],
            part["binomial_sigma"],
            fmt="o",
            markersize=2.5,
            linewidth=0.8,
            color=colour,
            label=split,
        )
    axis.set_xticks(range(len(values)), values, rotation=45, ha="right")
    axis.set_ylim(0, min(axis.get_ylim()[1], 1.05))


def _rarest_together(rows: pd.DataFrame) -> pd.DataFrame:
    """At most VALUES_DRAWN values of a factor: the rarest of them, summed, become one."""
    rarest = rows.drop_duplicates("value").sort_values("fraction_all", kind="stable")["value"]
    together = list(rarest[: max(len(rarest) - VALUES_DRAWN + 1, 0)])
    if len(together) < 2:
        return rows
    summed = rows[rows["value"].isin(together)].groupby("split", sort=False)
    parts = summed[["fraction", "fraction_all", "deviation"]].sum().reset_index()
    variance = summed["binomial_sigma"].apply(lambda sigma: float((sigma**2).sum()))
    parts["binomial_sigma"] = np.sqrt(variance.to_numpy())
    parts["value"] = f"{len(together)} others"
    return pd.concat([rows[~rows["value"].isin(together)], parts], ignore_index=True)


def _bin_start(value: str) -> tuple[int, float, str]:
    """Sorts bin names by their lower edge: "<a" first, then "a-b", ">=z", "none", other text."""
    if value == "none":
        return (3, 0.0, value)
    text = value.removeprefix("<").removeprefix(">=")
    edge = text.rsplit("-", 1)[0] if text.count("-") and not text.startswith("-") else text
    try:
        number = float(edge)
    except ValueError:
        return (2, 0.0, value)
    return (0 if value.startswith("<") else 1, number, value)
