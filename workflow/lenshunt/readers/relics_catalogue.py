"""RELICS source catalogues: differing columns under one set of names, sentinels, broken rows."""

import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lenshunt.schema import load_filters, magnitude_from_njy

#: Names under which a column occurs, in lower case: those of the RELICS headers (id, RA, Dec,
#: stel, ell, bright_mag, zb ...), of SExtractor (NUMBER, ALPHA_J2000, CLASS_STAR ...) and of
#: BPZ's own tables (Z_B, Z_B_MIN ...).
ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("id", "number", "object_id", "objid"),
    "ra": ("ra", "alpha_j2000", "alphawin_j2000", "raj2000", "ra_deg"),
    "dec": ("dec", "delta_j2000", "deltawin_j2000", "dej2000", "decj2000", "dec_deg"),
    "stellarity": ("stel", "stellarity", "class_star"),
    "ellipticity": ("ell", "ellipticity"),
    "bright_mag": ("bright_mag", "brightmag"),
    "z_phot": ("zb", "z_b", "zphot", "z_phot"),
    "z_min": ("zbmin", "zb_min", "z_b_min", "zphot_min", "z_phot_min"),
    "z_max": ("zbmax", "zb_max", "z_b_max", "zphot_max", "z_phot_max"),
}
REQUIRED = ("id", "ra", "dec")

_COLUMN_LINE = re.compile(r"^#\s*(\d+)[:.)]?\s+(\S+)")
#: Photometry of a filter: f814w_mag, F814W_MAG, mag_f814w, f814w_magerr, f814w_fluxnJy.
_PHOTOMETRY = (
    re.compile(r"^(?P<filter>\w+?)_(?P<kind>mag|magerr|fluxnjy|fluxnjyerr)$"),
    re.compile(r"^(?P<kind>mag|magerr|fluxnjy|fluxnjyerr)_(?P<filter>\w+)$"),
)
#: Cells that say "no value".
_EMPTY = frozenset({"--", "...", "null", "none", "indef", "n/a"})


@dataclass(frozen=True)
class Catalogue:
    """A catalogue under one set of names.

    table : id (integer), ra, dec (deg), stellarity, ellipticity, bright_mag, z_phot (-1 where
        unknown), z_min, z_max (95 %), and the AB magnitude of every filter as FILTER_mag, for
        example F814W_mag; NaN where a value is missing, not detected (99) or not observed (-99)
    columns : the file's own column by name, for those of ALIASES that it has
    broken : (line, reason) of rows that cannot be used
    """

    path: str
    table: pd.DataFrame
    columns: dict[str, str]
    broken: list[tuple[int, str]]


def read_catalogue(path: str) -> Catalogue:
    """Read a catalogue whatever its columns, their order and their case.

    A row with a broken number, too few or too many values, an impossible position or an id that
    occurred before costs that row. Raises ValueError naming file and column where the header or
    a column of REQUIRED is missing.
    """
    numbered, rows, comments = _lines(path)
    width = Counter(len(cells) for _, cells in rows).most_common(1)[0][0] if rows else 0
    names = numbered or _commented_header(comments, width)
    if not names:
        raise ValueError(
            f"{path}: no '# N name' header lines and no '# name name ...' line, so its columns "
            "have no names"
        )
    if rows and width < max(names):
        raise ValueError(
            f"{path}: rows hold {width} values, but the header names column {max(names)} "
            f"({names[max(names)]})"
        )
    columns = _by_alias(path, names)
    photometry = _photometry(names)
    needed = sorted({*columns.values(), *(k for parts in photometry.values() for k in parts)})
    values, broken = _numbers(rows, width, names, needed)
    return _catalogue(path, values, broken, columns, photometry, names)


def _lines(path: str) -> tuple[dict[int, str], list[tuple[int, list[str]]], list[list[str]]]:
    """Numbered columns, rows as (line, cells), and the words of comment lines."""
    numbered: dict[int, str] = {}
    rows: list[tuple[int, list[str]]] = []
    comments: list[list[str]] = []
    text = Path(path).read_text(encoding="utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if line.startswith("#"):
            match = None if line.startswith("##") else _COLUMN_LINE.match(line)
            if match:
                # a remark such as "# 1 orbit per filter" may stand before the real first column
                numbered = {} if int(match[1]) == 1 else numbered
                numbered[int(match[1])] = match[2]
            elif not rows:
                comments.append(line.lstrip("#").split())
        elif line:
            rows.append((number, line.split()))
    return (numbered if 1 in numbered else {}), rows, comments


def _commented_header(comments: list[list[str]], width: int) -> dict[int, str]:
    """Columns of the last comment line that names as many columns as the rows have."""
    for words in reversed(comments):
        known = {word.lower() for word in words}
        if len(words) == width and all(known & set(ALIASES[name]) for name in REQUIRED):
            return dict(enumerate(words, start=1))
    return {}


def _by_alias(path: str, names: dict[int, str]) -> dict[str, int]:
    """Column number by canonical name. Raises ValueError where one of REQUIRED is missing."""
    by_name = {name.lower(): number for number, name in reversed(names.items())}
    columns: dict[str, int] = {}
    for canonical, aliases in ALIASES.items():
        found = [by_name[alias] for alias in aliases if alias in by_name]
        if found:
            columns[canonical] = found[0]
        elif canonical in REQUIRED:
            raise ValueError(
                f"{path}: no column {canonical!r} in the header (looked for: {', '.join(aliases)})"
            )
    return columns


def _photometry(names: dict[int, str]) -> dict[tuple[str, str], list[int]]:
    """Column numbers by (filter, kind); the same filter may occur several times.

    RELICS lists a filter more than once where it was observed in several visits: the catalogue
    of RXC J0949.8+1707 has three blocks of F160W. Filters that no band slot knows are left out.
    """
    found: dict[tuple[str, str], list[int]] = {}
    for number, name in names.items():
        match = next((m for p in _PHOTOMETRY if (m := p.match(name.lower()))), None)
        known = match and load_filters().get(match["filter"].upper())
        if match and known:
            found.setdefault((known.name, match["kind"]), []).append(number)
    return found


def _numbers(
    rows: list[tuple[int, list[str]]], width: int, names: dict[int, str], needed: list[int]
) -> tuple[dict[int, list[float]], list[tuple[int, str]]]:
    """{line: values of the `needed` columns} of good rows, and (line, reason) of broken ones."""
    values: dict[int, list[float]] = {}
    broken: list[tuple[int, str]] = []
    for line, cells in rows:
        if len(cells) != width:
            broken.append((line, f"{len(cells)} values, the other rows have {width}"))
            continue
        try:
            values[line] = [_number(cells[k - 1], names[k]) for k in needed]
        except ValueError as error:
            broken.append((line, str(error)))
    return values, broken


def _number(cell: str, name: str) -> float:
    try:
        return math.nan if cell.lower() in _EMPTY else float(cell)
    except ValueError:
        raise ValueError(f"{name} is {cell!r}, not a number") from None


def _catalogue(
    path: str,
    values: dict[int, list[float]],
    broken: list[tuple[int, str]],
    columns: dict[str, int],
    photometry: dict[tuple[str, str], list[int]],
    names: dict[int, str],
) -> Catalogue:
    needed = sorted({*columns.values(), *(k for parts in photometry.values() for k in parts)})
    raw = pd.DataFrame.from_dict(values, orient="index", columns=needed, dtype=float)
    faults = _faults(raw, columns)
    broken = sorted([*broken, *faults.items()])
    raw = raw.drop(index=list(faults))
    table = pd.DataFrame({name: raw[k].to_numpy() for name, k in columns.items()})
    table["id"] = table["id"].astype(np.int64)
    for name in ALIASES:
        if name not in table:
            table[name] = math.nan
    filters = sorted({filter_name for filter_name, _ in photometry})
    for filter_name in filters:
        table[f"{filter_name}_mag"] = _magnitude(raw, filter_name, photometry)
    table["bright_mag"] = _brightest(table, filters)
    table["stellarity"] = table["stellarity"].where(table["stellarity"].between(0.0, 1.0))
    known = np.isfinite(table["z_phot"]) & table["z_phot"].between(0.0, 90.0)
    table["z_phot"] = table["z_phot"].where(known, -1.0)
    return Catalogue(path, table, {name: names[k] for name, k in columns.items()}, broken)


def _faults(raw: pd.DataFrame, columns: dict[str, int]) -> dict[int, str]:
    """Reason by line of rows without a place or an identity of their own."""
    faults: dict[int, str] = {}
    first: dict[float, int] = {}
    cells = (raw[columns[name]] for name in REQUIRED)
    for line, identity, ra, dec in zip(raw.index, *cells, strict=True):
        if not (math.isfinite(identity) and identity == int(identity)):
            faults[line] = f"id {identity} is not an integer"
        elif not (0.0 <= ra <= 360.0 and -90.0 <= dec <= 90.0):
            faults[line] = f"RA {ra}, Dec {dec} is not a position in degrees"
        elif identity in first:
            faults[line] = f"id {int(identity)} occurred before, in line {first[identity]}"
        else:
            first[identity] = line
    return faults


def observed_magnitude(values: np.ndarray) -> np.ndarray:
    """Magnitudes with NaN for 99 (not detected) and -99 (not observed)."""
    array = np.asarray(values, dtype=float)
    return np.where(np.isfinite(array) & (np.abs(array) < 98.0), array, np.nan)


def _magnitude(
    raw: pd.DataFrame, filter_name: str, photometry: dict[tuple[str, str], list[int]]
) -> np.ndarray:
    """AB magnitude [n] of a filter; of several visits the one with the smallest error."""
    columns = photometry.get((filter_name, "mag"), [])
    if columns:
        magnitudes = observed_magnitude(raw[columns].to_numpy())
        errors = photometry.get((filter_name, "magerr"), [])
    else:
        njy = raw[photometry.get((filter_name, "fluxnjy"), [])].to_numpy()
        magnitudes = np.full(njy.shape, np.nan)
        np.putmask(magnitudes, njy > 0, magnitude_from_njy(np.where(njy > 0, njy, 1.0)))
        errors = photometry.get((filter_name, "fluxnjyerr"), [])
    if not magnitudes.shape[1]:
        return np.full(len(raw), np.nan)
    if len(errors) == magnitudes.shape[1]:
        rank = raw[errors].to_numpy()
    else:
        rank = np.broadcast_to(np.arange(magnitudes.shape[1], dtype=float), magnitudes.shape)
    rank = np.where(np.isfinite(magnitudes) & (rank >= 0), rank, np.inf)
    return magnitudes[np.arange(len(raw)), rank.argmin(axis=1)]


def _brightest(table: pd.DataFrame, filters: list[str]) -> np.ndarray:
    """The catalogue's own brightest magnitude, else the least over the filters; NaN if none."""
    least = np.full(len(table), np.inf)
    for filter_name in filters:
        least = np.fmin(least, table[f"{filter_name}_mag"].to_numpy())
    own = observed_magnitude(table["bright_mag"].to_numpy())
    return np.where(np.isfinite(own), own, np.where(np.isfinite(least), least, np.nan))
