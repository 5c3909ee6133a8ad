"""Catalogue of the Lens Finding Challenge 2.0, and the rule that makes labels of it."""

import csv
import math
from dataclasses import dataclass

from lenshunt.config import Bologna2Dataset

_COLUMNS = (
    "ID",
    "z_lens",
    "ein_area",
    "n_pix_source",
    "source_flux",
    "lens_flux",
    "n_source_im",
    "mag_eff",
    "mag_lens",
    "n_sources",
)


@dataclass(frozen=True)
class Row:
    """One line of the catalogue; `fault` says why it cannot be used, "" where it can."""

    where: str
    identity: str
    cells: dict[str, str]
    fault: str

    def number(self, column: str) -> float:
        """Value of a column, NaN where the cell is empty. Raises ValueError naming the cell."""
        text = self.cells[column].strip()
        try:
            return float(text) if text else math.nan
        except ValueError:
            raise ValueError(f"{self.where}: {column} is {text!r}, not a number") from None


def read_rows(dataset: Bologna2Dataset) -> list[Row]:
    """Rows of the catalogue in its order, without those that the config leaves out.

    A row that cannot be used stays, so that it is rejected by name.
    """
    rows = _catalogue(dataset.catalogue)
    if dataset.only_present:
        present = set().union(*dataset.present().values())
        rows = [row for row in rows if row.identity in present]
    return rows


def _catalogue(path: str) -> list[Row]:
    """All rows. Raises ValueError where a column is missing."""
    with open(path, newline="", encoding="utf-8-sig") as stream:
        lines = [(number, line) for number, line in enumerate(stream, 1) if line.strip()]
    lines = [(number, line) for number, line in lines if not line.lstrip().startswith("#")]
    table = csv.reader((line for _, line in lines), skipinitialspace=True)
    header = [name.strip() for name in next(table, [])]
    missing = [column for column in _COLUMNS if column not in header]
    if missing:
        raise ValueError(f"{path}: no column {missing[0]}; is this the catalogue of Challenge 2.0?")
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for (number, _), values in zip(lines[1:], table, strict=True):
        cells = dict(zip(header, values, strict=False))
        identity = _identity(cells.get("ID", ""))
        where, fault = f"{path}: line {number}, ID {identity}", ""
        if len(values) != len(header):
            fault = f"{where}: {len(values)} values for {len(header)} columns"
        elif not identity:
            fault = f"{path}: line {number} has no ID"
        elif identity in seen:
            fault = f"{where}: this ID stands in line {seen[identity]} too"
        seen.setdefault(identity, number)
        rows.append(Row(where, identity, cells, fault))
    return rows


def _identity(text: str) -> str:
    """ID as in the file names: 200000, also where a table tool wrote 200000.0."""
    text = text.strip()
    whole, _, rest = text.partition(".")
    return whole if whole.isdigit() and not rest.strip("0") else text


def label_of(row: Row, dataset: Bologna2Dataset) -> tuple[int, list[str]]:
    """Label and flags of a row: 1 lens, 0 clear negative, -1 neither.

    A lens passes the three thresholds of the config (participants': n_source_im > 0,
    mag_eff > 1.6, n_pix_source > 20). A clear negative has no source behind it (n_sources 0) and
    no lensed light; with negatives: no_image also one whose source has no image in the frame.
    What lies between has no label, and below:COLUMN in the flags for each threshold it misses.
    """
    images, pixels = row.number("n_source_im"), row.number("n_pix_source")
    passed = {
        "n_source_im": images > dataset.n_source_im_min,
        "mag_eff": row.number("mag_eff") > dataset.mag_eff_min,
        "n_pix_source": pixels > dataset.n_pix_source_min,
    }
    if all(passed.values()):
        return 1, []
    dark = not images > 0 and not pixels > 0
    no_source = row.number("n_sources") == 0 and dark
    no_image = images == 0 and pixels == 0
    if no_source or (dataset.negatives == "no_image" and no_image):
        return 0, []
    return -1, [f"below:{column}" for column, reached in passed.items() if not reached]
