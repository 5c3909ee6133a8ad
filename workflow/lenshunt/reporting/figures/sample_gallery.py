"""Random lenses and random non-lenses of a data set, in colour, as the networks see them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lenshunt.reporting.figures.gallery import asinh_rgb, images_of
from lenshunt.reporting.figures.style import COLOURS, PAGE_INCHES, paper_style, save
from lenshunt.schema import read_metadata

COLUMNS = 5
#: Height of the text below an image, and of the line above the objects of one class, in inches.
TEXT_INCHES, HEADING_INCHES = 0.22, 0.3
SHOWN = ("sample_id", "dataset", "label", "einstein_radius", "flux_ratio", "arc_snr")


@dataclass(frozen=True)
class Shown:
    """The objects of one class that are drawn.

    one, many : the name of the class; rows : their metadata; total : how many there are
    """

    one: str
    many: str
    colour: str
    rows: pd.DataFrame
    total: int

    @property
    def heading(self) -> str:
        if not self.total:
            return f"no {self.many} in this data set"
        if len(self.rows) < self.total:
            return f"{len(self.rows)} of {self.total} {self.many}, drawn at random"
        return f"the only {self.one}" if self.total == 1 else f"all {self.total} {self.many}"

    @property
    def lines(self) -> int:
        return -(-len(self.rows) // COLUMNS)


def draw_sample_gallery(
    *, cutouts: Sequence[tuple[str, str]], each: int, seed: int, title: str, out: str
) -> None:
    """Colour images of up to `each` lenses and as many non-lenses (PDF and PNG).

    cutouts : (TIFF, metadata) of every chunk of the data set, as `homogenise_chunk` wrote them
    The same objects for the same seed, whatever the number of chunks. A class that the data set
    lacks is said to be missing.
    """
    table = pd.concat(
        [read_metadata(metadata, list(SHOWN)) for _, metadata in cutouts], ignore_index=True
    )
    groups = [random_objects(table, label, each, seed) for label in (1, 0)]
    names = [name for group in groups for name in group.rows["sample_id"]]
    images = images_of(names, list(cutouts))
    with paper_style():
        save(_figure(groups, images, title), out)


def random_objects(table: pd.DataFrame, label: int, each: int, seed: int) -> Shown:
    """Up to `each` objects of a class: those whose names, with the seed, hash lowest."""
    mine = table[table["label"] == label]
    order = sorted(mine.index, key=lambda row: _hash(seed, str(mine.at[row, "sample_id"])))
    rows = mine.loc[order[:each]]
    if label == 1:
        return Shown("lens", "lenses", COLOURS[1], rows, len(mine))
    return Shown("non-lens", "non-lenses", COLOURS[0], rows, len(mine))


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode()).digest()


def _figure(
    groups: list[Shown], images: dict[str, tuple[np.ndarray, np.ndarray]], title: str
) -> Figure:
    cell = PAGE_INCHES / COLUMNS
    heights = [HEADING_INCHES + group.lines * (cell + TEXT_INCHES) for group in groups]
    figure = Figure(figsize=(PAGE_INCHES, sum(heights) + 0.25))
    figure.suptitle(title, fontsize=9)
    for part, group in zip(
        figure.subfigures(len(groups), height_ratios=heights, squeeze=False)[:, 0],
        groups,
        strict=True,
    ):
        part.suptitle(group.heading, fontsize=8, color=group.colour)
        if not group.lines:
            continue
        axes = part.subplots(group.lines, COLUMNS, squeeze=False)
        for axis, (_, row) in zip(axes.flat, group.rows.iterrows(), strict=False):
            _cell(axis, row, *images[row["sample_id"]], group.colour)
        for axis in axes.flat[len(group.rows) :]:
            axis.set_axis_off()
    return figure


def _cell(axis: Axes, row: pd.Series, image: np.ndarray, variance: np.ndarray, colour: str) -> None:
    """One object: its image in the frame of its class, its name, what is known of its arcs."""
    axis.imshow(asinh_rgb(image, variance), interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set(visible=True, color=colour, linewidth=1.2)
    name = str(row["sample_id"]).removeprefix(f"{row['dataset']}-")
    shortened = name if len(name) <= 26 else "..." + name[-23:]
    axis.set_xlabel(f"{shortened}\n{known_facts(row)}", fontsize=5.5, labelpad=2)


def known_facts(row: pd.Series) -> str:
    """Einstein radius, flux ratio and arc S/N of one object, those that are known."""
    words = []
    if np.isfinite(row["einstein_radius"]):
        words.append(f'{row["einstein_radius"]:.2f}"')
    if np.isfinite(row["flux_ratio"]):
        words.append(f"f = {row['flux_ratio']:.2g}")
    if np.isfinite(row["arc_snr"]):
        words.append(f"S/N {row['arc_snr']:.0f}")
    return ", ".join(words)
