"""Tables for a paper: LaTeX with the rules of booktabs."""

import math
from collections.abc import Iterable, Sequence


def latex_table(alignment: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A tabular of LaTeX cells, the header between rules; `tex_text` makes a cell of plain text.

    alignment : a letter per column, such as `llrr`
    Raises ValueError for a line of another number of cells.
    """
    lines = []
    for cells in (header, *rows):
        if len(cells) != len(alignment):
            raise ValueError(f"{len(cells)} cells in {len(alignment)} columns: {list(cells)}")
        lines.append(" & ".join(cells) + r" \\")
    begin = rf"\begin{{tabular}}{{{alignment}}}"
    top = [begin, r"\toprule", lines[0], r"\midrule"]
    return "\n".join([*top, *lines[1:], r"\bottomrule", r"\end{tabular}", ""])


def tex_text(text: object) -> str:
    """Text with LaTeX's own characters escaped."""
    return "".join("\\" + c if c in "_%&#$" else c for c in str(text))


def latex_interval(value: float, low: float, high: float) -> str:
    """A value with its interval, if it has one; two dashes where there is no value."""
    if math.isnan(value):
        return "--"
    if math.isnan(low):
        return f"${value:.3f}$"
    up, down = max(0.0, high - value), max(0.0, value - low)
    return f"${value:.3f}^{{+{up:.3f}}}_{{-{down:.3f}}}$"
