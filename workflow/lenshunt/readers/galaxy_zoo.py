"""Galaxy Zoo: FITS cutouts with the votes of a table. Weak labels of shape, pretraining only.

Column names. gz2: gz2_hart16.csv.gz of data.galaxyzoo.org (Hart et al. 2016, MNRAS 461, 3663),
debiased fractions. zoobot_rings: the ring catalogue of github.com/mwalmsley/zoobot
(example_ring_catalog_basic.csv); it has votes against spiral arms, and names of the form
JHHMMSS.ss+DDMMSS.s.
"""

import csv
import gzip
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from lenshunt.config import GalaxyZooDataset, VoteColumns
from lenshunt.core import Manifest
from lenshunt.core.patterns import existing
from lenshunt.readers.cutouts import all_files, observation, read_bands
from lenshunt.readers.fits_image import Keywords, celestial_wcs, centre_of
from lenshunt.readers.reader import attempt, join_paths, raw_digest
from lenshunt.schema import Cutout, Metadata, Rejected

PRESETS = {
    "gz2": VoteColumns(
        id="dr7objid",
        ra="ra",
        dec="dec",
        featured="t01_smooth_or_features_a02_features_or_disk_debiased",
        spiral="t04_spiral_a08_spiral_debiased",
        ring="t08_odd_feature_a19_ring_debiased",
    ),
    "zoobot_rings": VoteColumns(
        id="id_str",
        featured="smooth-or-featured_featured-or-disk_fraction",
        no_spiral="has-spiral-arms_no_fraction",
        ring="ring",
        image="file_loc",
    ),
}

#: Rounding of fractions that were computed from others.
_ROUNDING = 1e-6
_J_NAME = re.compile(r"J(\d\d)(\d\d)(\d\d(?:\.\d+)?)([+-])(\d\d)(\d\d)(\d\d(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class GalaxyRow:
    """One galaxy of the table.

    featured, spiral, ring : 0..1, NaN where the cell is empty
    ra, dec : ICRS degrees, NaN where the table gives none
    paths : image by band; the band is "" where one file holds all
    fault : why the row cannot be used; "" where it can
    """

    where: str
    identity: str
    ra: float = math.nan
    dec: float = math.nan
    featured: float = math.nan
    spiral: float = math.nan
    ring: float = math.nan
    paths: dict[str, str] = field(default_factory=dict)
    fault: str = ""


def vote_columns(dataset: GalaxyZooDataset) -> VoteColumns:
    """Columns of the data set's table."""
    return PRESETS[dataset.columns] if isinstance(dataset.columns, str) else dataset.columns


def read_rows(dataset: GalaxyZooDataset) -> list[GalaxyRow]:
    """Rows of the table in its order; with only_present, those with an image.

    Raises ValueError where the table lacks a column that the config names.
    """
    columns = vote_columns(dataset)
    rows: list[GalaxyRow] = []
    seen: dict[str, str] = {}
    with _opened(dataset.table) as stream:
        table = csv.reader(stream)
        header = [name.strip() for name in next(table, [])]
        named = {key: name for key, name in columns.model_dump().items() if name is not None}
        missing = [name for name in named.values() if name not in header]
        if missing:
            raise ValueError(f"{dataset.table}: no column {missing[0]!r}; see the key `columns`")
        at = {key: header.index(name) for key, name in named.items()}
        for values in table:
            if not values:
                continue
            where = f"{dataset.table}: line {table.line_num}"
            if len(values) != len(header):
                fault = f"{where}: {len(values)} values for {len(header)} columns"
                rows.append(GalaxyRow(where, "", fault=fault))
                continue
            row = _row(dataset, where, {key: values[k].strip() for key, k in at.items()})
            if row.identity in seen:
                fault = f"{row.where} stands in {seen[row.identity]} too"
                row = GalaxyRow(row.where, row.identity, paths=row.paths, fault=fault)
            seen.setdefault(row.identity, where.rpartition(": ")[2])
            rows.append(row)
    if dataset.only_present:
        return [row for row in rows if any(Path(path).is_file() for path in row.paths.values())]
    return rows


@contextmanager
def _opened(path: str) -> Iterator[TextIO]:
    if path.endswith(".gz"):
        with gzip.open(path, "rt", newline="", encoding="utf-8-sig") as stream:
            yield stream
    else:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            yield stream


def _row(dataset: GalaxyZooDataset, where: str, cells: dict[str, str]) -> GalaxyRow:
    """One galaxy; a cell that cannot be used makes the row's fault."""
    identity = cells["id"]
    where = f"{where}, {identity or 'without a name'}"
    paths: dict[str, str] = {}
    try:
        if not identity:
            raise ValueError(f"{where}: the galaxy has no name")
        paths = image_paths(dataset, where, identity, cells.get("image", ""))
        spiral = _vote(where, cells, "spiral")
        if "no_spiral" in cells:
            spiral = 1.0 - _vote(where, cells, "no_spiral")
        ra, dec = (_within(where, cells, "ra", 0, 360), _within(where, cells, "dec", -90, 90))
        known = math.isfinite(ra) and math.isfinite(dec)
        return GalaxyRow(
            where,
            identity,
            ra=ra if known else math.nan,
            dec=dec if known else math.nan,
            featured=_vote(where, cells, "featured"),
            spiral=spiral,
            ring=_vote(where, cells, "ring"),
            paths=paths,
        )
    except ValueError as error:
        return GalaxyRow(where, identity, paths=paths, fault=str(error))


def image_paths(dataset: GalaxyZooDataset, where: str, identity: str, image: str) -> dict[str, str]:
    """Image by band ("" for all bands in one file), by the pattern or by the column `image`."""
    if dataset.images is None:
        if not image:
            raise ValueError(f"{where}: the table names no image of this galaxy")
        if dataset.image_prefix is not None:
            before, after = dataset.image_prefix
            if not image.startswith(before):
                raise ValueError(f"{where}: {image} does not begin with image_prefix {before!r}")
            image = after + image.removeprefix(before)
        return {"": image}
    path = dataset.images.replace("{id}", identity)
    if dataset.layout == "files":
        return {band: path.replace("{band}", band) for band in dataset.bands}
    return {"": path}


def _within(where: str, cells: dict[str, str], key: str, low: float, high: float) -> float:
    """Number of a cell, NaN where it is empty. Raises ValueError naming row and column."""
    text = cells.get(key, "")
    try:
        value = float(text or "nan")
    except ValueError:
        raise ValueError(f"{where}: {key} is {text!r}, not a number") from None
    if value < low or value > high:
        raise ValueError(f"{where}: {key} is {text}, outside {low} to {high}")
    return value


def _vote(where: str, cells: dict[str, str], key: str) -> float:
    """A fraction of votes, NaN where missing; rounding beyond 0 and 1 is taken off."""
    try:
        value = _within(where, cells, key, -_ROUNDING, 1 + _ROUNDING)
    except ValueError as error:
        raise ValueError(f"{error}; a fraction of votes is 0 to 1, or empty") from None
    return value if math.isnan(value) else min(max(value, 0.0), 1.0)


def position_of_name(name: str) -> tuple[float, float]:
    """(ra, dec) in degrees of a name JHHMMSS.ss+DDMMSS.s, NaN of another; cut, not rounded."""
    match = _J_NAME.search(name)
    if match is None:
        return math.nan, math.nan
    hours, minutes, seconds, sign, degrees, arcmin, arcsec = match.groups()
    ra = 15.0 * (int(hours) + int(minutes) / 60 + float(seconds) / 3600)
    dec = int(degrees) + int(arcmin) / 60 + float(arcsec) / 3600
    if not (ra < 360 and dec <= 90):
        return math.nan, math.nan
    return ra, -dec if sign == "-" else dec


#: Colour composites: stretched, clipped and compressed.
_COMPOSITES = (".jpg", ".jpeg", ".png", ".gif")


def count(dataset: GalaxyZooDataset) -> int:
    """Number of galaxies in the table; with only_present, of those with an image."""
    return len(read_rows(dataset))


def named_files(dataset: GalaxyZooDataset) -> list[str]:
    """Images that the table names, with variance and PSF files, of those that are there."""
    images = [path for row in read_rows(dataset) for path in row.paths.values()]
    return existing({*images, *dataset.variances_and_psfs(images)})


def read(
    name: str, dataset: GalaxyZooDataset, start: int, stop: int, manifest: Manifest
) -> Iterator[Cutout | Rejected]:
    """Galaxies [start, stop) in the order of the table; one without its image is rejected."""
    rows = read_rows(dataset)
    yield from attempt(
        [
            (k, join_paths(list(rows[k].paths.values())) or dataset.table)
            for k in range(start, stop)
        ],
        lambda k: _cutout(name, dataset, k, rows[k], manifest),
    )


def _cutout(
    name: str,
    dataset: GalaxyZooDataset,
    index: int,
    row: GalaxyRow,
    manifest: Manifest,
) -> Cutout:
    if row.fault:
        raise ValueError(row.fault)
    paths = list(row.paths.values())
    for path in paths:
        if Path(path).suffix.lower() in _COMPOSITES:
            raise ValueError(
                f"{path}: a colour composite has no flux scale, so its pixels are no measurement; "
                f"give FITS cutouts of {row.identity} in {', '.join(dataset.bands)} (with the key "
                "`images`), for example from the cutout service of the survey"
            )
    arrays, fields, header, survey = read_bands(dataset, row.paths, row.where)
    ra, dec = _position(row, header, arrays["image"].shape)
    metadata = Metadata(
        sample_id=f"{name}-{row.identity}",
        system_id=f"{name}-{row.identity}",
        dataset=name,
        raw_file=join_paths(paths),
        raw_index=index,
        raw_sha256=raw_digest(all_files(dataset, paths), manifest),
        label=-1,
        label_source="weak:gzoo",
        label_confidence=dataset.label_confidence,
        ra=ra,
        dec=dec,
        featured_fraction=row.featured,
        spiral_fraction=row.spiral,
        ring_fraction=row.ring,
        **observation(dataset, header, survey),
        **fields,
    )
    return Cutout(metadata=metadata, **arrays)


def _position(row: GalaxyRow, header: Keywords, shape: tuple[int, ...]) -> tuple[float, float]:
    """ICRS degrees: the table's, else of the image's middle by its WCS, else of a J name.

    Without one nothing could keep a galaxy from lying in two splits.
    """
    if math.isfinite(row.ra):
        return row.ra, row.dec
    ra, dec = centre_of(celestial_wcs(header), (shape[1], shape[2]))
    return (ra, dec) if math.isfinite(ra) else position_of_name(row.identity)
