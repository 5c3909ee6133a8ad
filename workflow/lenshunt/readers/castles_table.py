"""The CASTLES table of systems: names, redshifts, coordinates and separations.

For the reader, and for the list of known lenses, which depends on no image.
"""

import csv
import re
from dataclasses import dataclass

from astropy.coordinates import Angle

#: Chance that a system is a lens, by CASTLES grade: A "I'd bet my life", B "I'd bet your life",
#: C "I'd bet your life, and you should worry" (www.cfa.harvard.edu/castles); the values are ours.
GRADE_CONFIDENCE = {"A": 0.99, "B": 0.9, "C": 0.6}

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class System:
    """One row: redshifts -1 and angles NaN where blank; coordinates J2000 in degrees."""

    name: str
    confidence: float
    z_source: float
    z_lens: float
    ra: float
    dec: float
    separation_arcsec: float


def read_systems(path: str) -> dict[str, System]:
    """Systems by normalised name (see `normal_name`).

    Raises ValueError naming the file and the column that is missing.
    """
    with open(path, newline="", encoding="utf-8-sig") as stream:
        lines = [line for line in stream if line.strip()]
    rows = list(csv.reader(lines, delimiter="\t"))
    if not rows:
        raise ValueError(f"{path}: the table of systems is empty")
    columns = _columns([cell.strip() for cell in rows[0]], path)
    systems: dict[str, System] = {}
    for row in rows[1:]:
        cells = {key: row[k].strip() if k < len(row) else "" for key, k in columns.items()}
        if cells["name"]:
            systems[normal_name(cells["name"])] = _system(cells)
    return systems


def _columns(header: list[str], path: str) -> dict[str, int]:
    """Position of each column that is used, by the start of its title."""
    starts = {
        "name": "lens name",
        "grade": "g",
        "z_source": "zs",
        "z_lens": "zl",
        "ra": "ra",
        "dec": "dec",
        "separation": "size",
    }
    titles = [title.lower().replace("_", "") for title in header]
    found: dict[str, int] = {}
    for key, start in starts.items():
        matches = [
            k
            for k, title in enumerate(titles)
            if (title == start if key == "grade" else title.startswith(start))
        ]
        if matches:
            found[key] = matches[0]
        elif key != "grade":
            raise ValueError(f"{path}: no column {start!r} in the header {header}")
    return found


def _system(cells: dict[str, str]) -> System:
    separation = first_number(cells["separation"])
    return System(
        name=cells["name"],
        confidence=GRADE_CONFIDENCE.get(cells.get("grade", "A"), 0.9),
        z_source=_redshift(cells["z_source"]),
        z_lens=_redshift(cells["z_lens"]),
        ra=_degrees(cells["ra"], "hourangle"),
        dec=_degrees(cells["dec"], "deg"),
        separation_arcsec=float("nan") if separation is None else separation,
    )


def first_number(text: str) -> float | None:
    """First number of an entry such as `1.44` or `I=16.53/2`; None for blanks and limits."""
    if not text or text.lstrip().startswith(("<", ">")):
        return None
    match = _NUMBER.search(text)
    return float(match.group()) if match else None


def _redshift(text: str) -> float:
    """-1 for blanks, limits and entries in doubt: `(0.93)`, `1.14/3.93?`, `0.09/0.62`, `~1.5`."""
    if re.search(r"[()?/~]", text):
        return -1.0
    value = first_number(text)
    return -1.0 if value is None else value


def _degrees(text: str, unit: str) -> float:
    """Sexagesimal or decimal degrees; NaN where blank."""
    if not text:
        return float("nan")
    return float(Angle(text, unit=unit if ":" in text else "deg").deg)


def normal_name(name: str) -> str:
    """Upper case with only letters, digits and the sign of the declination."""
    return re.sub(r"[^A-Z0-9+-]", "", name.upper().replace("−", "-"))


def find_system(systems: dict[str, System], name: str) -> System | None:
    """The system called `name`: its exact name, else the only one that starts with it."""
    wanted = normal_name(name)
    if wanted in systems:
        return systems[wanted]
    starting = [key for key in systems if len(wanted) >= 5 and key.startswith(wanted)]
    return systems[starting[0]] if len(starting) == 1 else None
