"""How many models share a panel, and which colour, line and marker tells them apart."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from lenshunt.reporting.figures.style import COLOURS, PAGE_INCHES

#: Line and marker of each colour; the first, in black, is of the model that is in every block.
BLACK, *OTHERS = COLOURS[6], *COLOURS[:6]
LOOKS: tuple[dict[str, Any], ...] = tuple(
    {"color": colour, "linestyle": line, "marker": marker}
    for colour, line, marker in zip(
        (BLACK, *OTHERS),
        ("-", "--", "-.", (0, (6, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2, 2, 2))),
        ("o", "s", "^", "D", "v", "P", "X"),
        strict=True,
    )
)
#: Panels side by side; height of one, and of a line of a legend.
COLUMNS, PANEL_INCHES, LINE_INCHES = 3, 2.3, 0.16
#: Width of a letter of a legend, and of the line before its text.
LETTER_INCHES, HANDLE_INCHES = 0.06, 0.5


def models_of(labels: Iterable[str]) -> dict[str, list[str]]:
    """Labels of every model: MODEL-SEED belongs to MODEL; a label without a seed is its own."""
    models: dict[str, list[str]] = {}
    for label in labels:
        models.setdefault(re.sub(r"-\d+$", "", label), []).append(label)
    return models


def looks_by_block(models: Sequence[str]) -> list[dict[str, dict[str, Any]]]:
    """Looks of the models of each block of panels: few enough that none has another's colour.

    The first model is in every block, so that the others can be compared across them.
    """
    first, others = models[:1], models[1:]
    blocks = max(1, -(-len(others) // len(OTHERS)))
    shared = [
        others[i * len(others) // blocks : (i + 1) * len(others) // blocks] for i in range(blocks)
    ]
    return [dict(zip([*first, *part], LOOKS, strict=False)) for part in shared]


@dataclass(frozen=True)
class Block:
    """Some models' panels [n], and what each of these models looks like."""

    axes: list[Axes]
    looks: dict[str, dict[str, Any]]


def panel_blocks(
    models: Sequence[str], panels: int, legend: Collection[str]
) -> tuple[Figure, list[Block]]:
    """A figure of blocks, one below the other, each with the same panels of other models.

    panels : per block; legend : what tells the models apart in it (of color, linestyle, marker)
    """
    looks = looks_by_block(models)
    columns = min(COLUMNS, max(1, panels))
    rows = -(-max(1, panels) // columns)
    width = PAGE_INCHES * max(columns, 1.6) / COLUMNS
    longest = max((len(model) for model in models), default=0)
    side_by_side = max(1, int(width / (HANDLE_INCHES + LETTER_INCHES * longest)))
    lines = [-(-len(part) // side_by_side) for part in looks]
    heights = [rows * PANEL_INCHES + LINE_INCHES * n + 0.1 for n in lines]
    figure = Figure(figsize=(width, sum(heights)))
    parts = figure.subfigures(len(looks), 1, squeeze=False, height_ratios=heights)[:, 0]
    blocks = []
    for part, own in zip(parts, looks, strict=True):
        axes = list(part.subplots(rows, columns, squeeze=False).flat)
        for axis in axes[max(1, panels) :]:
            axis.set_axis_off()
        _legend(part, axes[0], own, legend, side_by_side)
        blocks.append(Block(axes[: max(1, panels)], own))
    return figure, blocks


def _legend(
    part: SubFigure,
    axis: Axes,
    looks: dict[str, dict[str, Any]],
    shown: Collection[str],
    side_by_side: int,
) -> None:
    """The models of one block, below its panels."""
    # Points are not joined.
    line = {"linestyle": "" if "marker" in shown else "-"}
    handles = [
        axis.plot([], [], label=model, ms=3.5, **line | {k: look[k] for k in shown})[0]
        for model, look in looks.items()
    ]
    if handles:
        columns = min(side_by_side, len(handles))
        part.legend(handles=handles, loc="outside lower center", ncols=columns)


def wrapped_name(name: str, letters: int) -> str:
    """A model's name on lines of at most `letters`, broken after underscores."""
    lines = [""]
    for word in re.findall(r"[^_]*_|[^_]+$", name):
        if lines[-1] and len(lines[-1]) + len(word) > letters:
            lines.append("")
        lines[-1] += word
    return "\n".join(lines)
