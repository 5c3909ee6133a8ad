"""Where the labels come from: objects per data set, label source and label."""

import pandas as pd
from matplotlib.figure import Figure

from lenshunt.reporting.figures.style import COLOURS, COLUMN_INCHES, paper_style, save, undefined
from lenshunt.schema import read_metadata

LABELS = {1: ("lens", COLOURS[1]), 0: ("non-lens", COLOURS[0]), -1: ("no label", "0.6")}
BAR = 0.26


def draw_label_sources(*, tables: dict[str, list[str]], out: str) -> None:
    """Number of objects by data set, label source and label, on a logarithmic axis.

    tables : metadata Parquet files by data set
    """
    counts = count_labels(tables)
    groups = list(dict.fromkeys(zip(counts["dataset"], counts["label_source"], strict=True)))
    with paper_style():
        figure = Figure(figsize=(1.3 * COLUMN_INCHES, 0.6 + 0.45 * max(2, len(groups))))
        axis = figure.subplots()
        if not groups:
            undefined(axis, "no objects")
        for place, group in enumerate(groups):
            rows = counts[(counts["dataset"] == group[0]) & (counts["label_source"] == group[1])]
            for step, (_, row) in enumerate(rows.iterrows()):
                y = place + (step - (len(rows) - 1) / 2) * BAR
                _, colour = LABELS[int(row["label"])]
                axis.barh(y, row["n"], height=BAR, color=colour)
                axis.text(row["n"] * 1.08, y, str(row["n"]), va="center", fontsize=6)
        if groups:
            axis.set_yticks(range(len(groups)), [f"{name}\n{source}" for name, source in groups])
            axis.invert_yaxis()
            axis.set(xscale="log", xlim=(0.7, 3 * counts["n"].max()), xlabel="objects")
            present = [LABELS[label] for label in LABELS if (counts["label"] == label).any()]
            handles = [axis.barh(0, 0, color=colour, label=text) for text, colour in present]
            figure.legend(handles=handles, loc="outside upper right", ncols=3)
        save(figure, out)


def count_labels(tables: dict[str, list[str]]) -> pd.DataFrame:
    """Objects by dataset, label_source and label (lenses first): columns and n."""
    parts = [
        read_metadata(path)[["label_source", "label"]].assign(dataset=name)
        for name, paths in tables.items()
        for path in paths
    ]
    if not parts:
        return pd.DataFrame(columns=["dataset", "label_source", "label", "n"])
    rows = pd.concat(parts, ignore_index=True)
    counts = rows.groupby(["dataset", "label_source", "label"], sort=False).size()
    order = {name: place for place, name in enumerate(tables)}
    table = counts.rename("n").reset_index()
    table["place"] = table["dataset"].map(order)
    table = table.sort_values(["place", "label_source", "label"], ascending=[True, True, False])
    return table.drop(columns="place").reset_index(drop=True)
