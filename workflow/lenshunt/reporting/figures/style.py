"""One look for every figure: one-column width, colour-blind safe, PDF and PNG."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lenshunt.core import whole_files

#: Okabe & Ito (2008) palette, distinguishable with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
COLUMN_INCHES = 3.5
PAGE_INCHES = 7.2

STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "image.origin": "lower",
}


@contextmanager
def paper_style() -> Iterator[None]:
    """Context in which figures are drawn in the project's style."""
    with mpl.rc_context(STYLE):  # type: ignore[arg-type]
        yield


def save(figure: Figure, pdf: Path | str) -> None:
    """Write `figure` as PDF and, beside it, as PNG of the same name."""
    path = Path(pdf)
    with whole_files(path.with_suffix(".png"), path.with_suffix(".pdf")) as (pixels, page):
        # No creation date: the same figure is the same file.
        figure.savefig(page, format="pdf", metadata={"CreationDate": None})
        figure.savefig(pixels, format="png", metadata={"Software": None})


def undefined(axis: Axes, reason: str) -> None:
    """Say in the middle of an empty panel why there is nothing to draw."""
    axis.text(0.5, 0.5, f"undefined:\n{reason}", ha="center", va="center", transform=axis.transAxes)
    axis.set_xticks([])
    axis.set_yticks([])
