"""A survey team's own field: images and weights by filter, and a catalogue of objects."""

import csv
import logging
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd
from astropy.table import Table

from lenshunt.config import FieldColumn, FieldDataset
from lenshunt.core import Manifest
from lenshunt.readers.field_images import FieldImages, open_images
from lenshunt.readers.field_objects import (
    FieldObjects,
    Selection,
    cut_around,
    photometry,
    scan_grid,
    stars_of,
)
from lenshunt.readers.fits_image import (
    Keywords,
    image_planes,
    keywords,
    open_fits,
    pixel_scale_of,
    pixels,
    seeing_of,
)
from lenshunt.readers.psfs import shipped_psf
from lenshunt.readers.reader import UNREADABLE, join_paths, raw_digest, reason_of
from lenshunt.readers.zero_points import njy_per_pixel_unit
from lenshunt.schema import AUTO, Cutout, Metadata, Rejected, filter_named, survey_named, survey_of

#: Magnitudes beyond this are sentinels: 99 and -99 (SExtractor, RELICS), -999, 1e20.
_MAGNITUDE_SENTINEL = 90.0


@dataclass(frozen=True)
class FieldCatalogue:
    """Objects under one set of names.

    table : name (text), ra, dec (deg, NaN where not given), x, y (0-based, NaN where not given),
        magnitude (AB, the one for the cut), z_phot, z_spec, z_err (-1 where unknown), label
        (-1, 0, 1), and FILTER_mag for every filter of the config's `magnitudes`
    broken : (line, reason) of rows that cannot be used
    """

    path: str
    table: pd.DataFrame
    broken: list[tuple[int, str]]


def read_field_catalogue(dataset: FieldDataset) -> FieldCatalogue:
    """Read `dataset.catalogue`.

    A row with a broken number, without a position, or with a name that occurred before costs
    that row. Raises ValueError naming file, column and key where a column is missing.
    """
    path = str(dataset.catalogue)
    broken: dict[int, str] = {}
    lines, columns, units = _columns(path, broken)
    wanted = _wanted(path, dataset, columns)
    values: dict[str, list[Any]] = {}
    for key, column in wanted.items():
        cells = columns[column]
        if key == "name":
            values[key] = ["" if cell is None else str(cell).strip() for cell in cells]
        else:
            factor = _degrees_per_unit(path, column, units[column]) if key in ("ra", "dec") else 1.0
            values[key] = [
                factor * _number(cell, column, line, broken)
                for line, cell in zip(lines, cells, strict=True)
            ]
    table = _completed(pd.DataFrame(values, index=lines), dataset)
    for line, fault in _faults(table):
        broken.setdefault(line, fault)
    table = table.drop(index=list(broken)).reset_index(drop=True)
    return FieldCatalogue(path, table, sorted(broken.items()))


def _columns(
    path: str, broken: dict[int, str]
) -> tuple[list[int], dict[str, list[Any]], dict[str, Any]]:
    """Lines (of a CSV) or rows from 1 (of other tables), cells by column, units by column.

    Reasons for lines of a CSV with too few or too many values are added to `broken`.
    """
    name = path.lower().removesuffix(".gz").removesuffix(".fz")
    if name.endswith((".fits", ".fit", ".ecsv")):
        kind = "ascii.ecsv" if name.endswith(".ecsv") else "fits"
        table = Table.read(path, format=kind)
        cells = {key: _cells(table[key]) for key in table.colnames if table[key].ndim == 1}
        units = {key: table[key].unit for key in cells}
        return list(range(1, len(table) + 1)), cells, units
    with open(path, newline="", encoding="utf-8-sig") as stream:
        reader = csv.reader(stream, skipinitialspace=True)
        rows = [(reader.line_num, row) for row in reader if row and not row[0].startswith("#")]
    if not rows:
        raise ValueError(f"{path}: no header line and no rows")
    header = [word.strip() for word in rows[0][1]]
    lines = [line for line, _ in rows[1:]]
    for line, row in rows[1:]:
        if len(row) != len(header):
            broken[line] = f"{len(row)} values, but the header names {len(header)} columns"
            row[:] = [""] * len(header)
    cells = {key: [row[k] for _, row in rows[1:]] for k, key in enumerate(header)}
    return lines, cells, dict.fromkeys(header)


def _cells(column: Any) -> list[Any]:
    """Values of an astropy column; masked ones as None, bytes as text."""
    mask = np.ma.getmaskarray(np.ma.asarray(column))
    values = np.ma.getdata(np.ma.asarray(column)).tolist()
    return [
        None if hidden else value.decode() if isinstance(value, bytes) else value
        for value, hidden in zip(values, mask, strict=True)
    ]


def _wanted(path: str, dataset: FieldDataset, columns: dict[str, list[Any]]) -> dict[str, str]:
    """The catalogue's column by our name. Raises ValueError where a needed one is missing."""
    by_case = {name.lower(): name for name in columns}
    wanted: dict[str, str] = {}
    for key in get_args(FieldColumn):
        named = dataset.columns.get(key)
        found = by_case.get((named or key).lower())
        if named and found is None:
            raise ValueError(f"{path}: no column {named!r}, which `columns.{key}` names")
        if found is not None:
            wanted[key] = found
    for name, column in dataset.magnitudes.items():
        if column.lower() not in by_case:
            raise ValueError(f"{path}: no column {column!r}, which `magnitudes.{name}` names")
        wanted[f"{name}_mag"] = by_case[column.lower()]
    if not ({"ra", "dec"} <= wanted.keys() or {"x", "y"} <= wanted.keys()):
        raise ValueError(
            f"{path}: neither columns ra and dec nor x and y; name them under `columns` (found: "
            f"{', '.join(columns)})"
        )
    if dataset.role == "labelled" and "label" not in wanted:
        raise ValueError(f"{path}: no column 'label'; role labelled needs one, see `columns.label`")
    if dataset.magnitude_max is not None and not (dataset.magnitudes or "magnitude" in wanted):
        raise ValueError(
            f"{path}: no column 'magnitude' for magnitude_max; name one under `columns.magnitude` "
            "or `magnitudes`"
        )
    return wanted


def _degrees_per_unit(path: str, column: str, unit: Any) -> float:
    """Degrees per unit of a column that may state one."""
    if unit is None:
        return 1.0
    try:
        return float(unit.to("deg"))
    except (AttributeError, ValueError):
        raise ValueError(f"{path}: column {column} is in {unit}, expected degrees") from None


def _number(cell: Any, column: str, line: int, broken: dict[int, str]) -> float:
    """A cell as a number, NaN where empty; what is no number breaks its row."""
    if cell is None or (isinstance(cell, str) and cell.strip().lower() in ("", "--", "null")):
        return math.nan
    try:
        return float(cell)
    except (TypeError, ValueError):
        broken.setdefault(line, f"{column} is {cell!r}, not a number")
        return math.nan


def _completed(table: pd.DataFrame, dataset: FieldDataset) -> pd.DataFrame:
    """All columns of FieldCatalogue.table, sentinels replaced, pixels counted from 0."""
    if "name" not in table:
        table["name"] = [str(line) for line in table.index]
    for key in ("ra", "dec", "x", "y"):
        if key not in table:
            table[key] = math.nan
    # sentinels such as -99 are no position; x and y may still give one
    on_sky = table["ra"].between(0.0, 360.0) & table["dec"].between(-90.0, 90.0)
    for key in ("ra", "dec"):
        table[key] = table[key].where(on_sky | ~_has_pixel(table))
    table["x"] -= dataset.first_pixel
    table["y"] -= dataset.first_pixel
    filters = [f"{name}_mag" for name in dataset.magnitudes]
    for key in [*filters, *(["magnitude"] if "magnitude" in table else [])]:
        table[key] = table[key].where(table[key].abs() < _MAGNITUDE_SENTINEL)
    if "magnitude" not in table:
        table["magnitude"] = table[filters].min(axis=1) if filters else math.nan
    for key in ("z_phot", "z_spec", "z_err"):
        known = table[key] if key in table else pd.Series(math.nan, index=table.index)
        table[key] = known.where(known.between(0.0, _MAGNITUDE_SENTINEL), -1.0)
    if dataset.role != "labelled":
        table["label"] = 0 if dataset.role == "negatives" else -1
    return table


def _has_pixel(table: pd.DataFrame) -> pd.Series:
    """Bool per row: whether x and y are both known."""
    return table["x"].notna() & table["y"].notna()


def _faults(table: pd.DataFrame) -> Iterator[tuple[int, str]]:
    """(line, reason) of rows without a place or a name of their own, or with a wrong label."""
    first: dict[str, int] = {}
    for line, row in zip(table.index.tolist(), table.to_dict("records"), strict=True):
        name = row["name"]
        on_sky = 0.0 <= row["ra"] <= 360.0 and -90.0 <= row["dec"] <= 90.0
        if not on_sky and not (math.isfinite(row["x"]) and math.isfinite(row["y"])):
            yield line, f"ra {row['ra']}, dec {row['dec']} is not a position in degrees"
        elif not name:
            yield line, "the name is empty"
        elif name in first:
            yield line, f"name {name} occurred before, in line {first[name]}"
        elif row["label"] not in (-1, 0, 1):
            yield line, f"label {row['label']} is none of -1, 0, 1"
        else:
            first[name] = line


LOG = logging.getLogger(__name__)


def _open(dataset: FieldDataset) -> AbstractContextManager[FieldImages]:
    zero_points = {filter_named(f).name: value for f, value in dataset.zero_point_ab.items()}

    def njy(header: Keywords, filter_name: str, path: str) -> float:
        survey = survey_of(dataset.survey, header, path)
        return njy_per_pixel_unit(header, survey, filter_name, path, zero_points.get(filter_name))

    scale = None if dataset.survey == AUTO else survey_named(dataset.survey).pixel_scale_arcsec
    return open_images(
        dataset.images,
        dataset.weights,
        njy,
        weight_kind=dataset.weight_kind,
        default_scale_arcsec=scale,
    )


def _objects(dataset: FieldDataset, images: FieldImages) -> FieldObjects:
    """Objects of the catalogue that the config wants, and the scan."""
    first = images.images[0]
    survey = survey_of(dataset.survey, first.header, first.path)
    parts: list[pd.DataFrame] = []
    broken: list[tuple[int, str]] = []
    text = "no catalogue"
    if dataset.catalogue is not None:
        catalogue = read_field_catalogue(dataset)
        targets, selection = _placed(dataset, catalogue, images)
        broken, text = catalogue.broken, selection.text()
        parts.append(targets[selection.keep])
    if dataset.role == "search" and dataset.scan_step_arcsec:
        grid = scan_grid(images, dataset.scan_step_arcsec / images.pixel_scale_arcsec)
        parts.append(grid.assign(label=-1))
    table = pd.concat(parts, ignore_index=True)
    return FieldObjects(dataset.catalogue or first.path, table, broken, survey, text)


def _placed(
    dataset: FieldDataset, catalogue: FieldCatalogue, images: FieldImages
) -> tuple[pd.DataFrame, Selection]:
    """Catalogue rows with pixel and sky position, and which of them are objects."""
    table = catalogue.table
    ra, dec, x, y = (table[key].to_numpy(float, copy=True) for key in ("ra", "dec", "x", "y"))
    if images.wcs is None and not (np.isfinite(x) & np.isfinite(y)).all():
        images.sky_wcs()
    if images.wcs is not None:
        on_sky = np.isfinite(ra) & np.isfinite(dec)
        x[on_sky], y[on_sky] = images.pixel(ra[on_sky], dec[on_sky])
        off = ~on_sky
        ra[off], dec[off] = images.sky(x[off], y[off]) if off.any() else (ra[off], dec[off])
    table = table.assign(ra=ra, dec=dec, x=x, y=y)
    selection = Selection(np.ones(len(table), bool), {})
    if dataset.magnitude_max is not None:
        rule = f"fainter than {dataset.magnitude_max:g} or without a magnitude"
        selection.require(rule, table["magnitude"].to_numpy() <= dataset.magnitude_max)
    where = dataset.catalogue or "the scan"
    selection.require("not observed", images.observed_of(x, y, where))
    return table, selection


def count(dataset: FieldDataset) -> int:
    """Number of objects, broken rows included; a field that cannot be read counts as one."""
    try:
        with _open(dataset) as images:
            # a PSF that cannot be read makes the field one rejected object, here as in `read`
            _psfs(dataset, images)
            return len(_objects(dataset, images))
    except UNREADABLE:
        return 1


def read(
    name: str, dataset: FieldDataset, start: int, stop: int, manifest: Manifest
) -> Iterator[Cutout | Rejected]:
    """Objects [start, stop): those of the catalogue in its order, the scan, broken rows."""
    try:
        with _open(dataset) as images:
            objects = _objects(dataset, images)
            psfs = _psfs(dataset, images)
            LOG.info("%s: %s", name, objects.text)
            wanted = range(start, min(stop, len(objects)))
            yield from _read_objects(name, dataset, images, objects, psfs, wanted, manifest)
    except UNREADABLE as error:
        path = next(iter(dataset.images.values()))
        # of several chunks one alone has the only object that `count` then knows
        if start < stop:
            yield Rejected(path, 0, reason_of(error, path))


def _psfs(dataset: FieldDataset, images: FieldImages) -> dict[str, np.ndarray]:
    """Shipped PSFs by filter. Raises ValueError where one has another pixel scale."""
    psfs: dict[str, np.ndarray] = {}
    for name, path in dataset.psfs.items():
        with open_fits(path) as hdus:
            planes = [hdu for hdu in image_planes(hdus) if len(hdu.shape) == 2]
            if not planes:
                raise ValueError(f"{path}: no 2-D image in the PSF file")
            scale = pixel_scale_of(keywords(hdus, planes[0]))
            psf = shipped_psf(pixels(planes[0], path), path)
        if scale and abs(scale / images.pixel_scale_arcsec - 1) > 0.01:
            raise ValueError(
                f"{path}: PSF of {scale:.4g} arcsec per pixel, the images have "
                f"{images.pixel_scale_arcsec:.4g}; resample it to their pixels"
            )
        psfs[filter_named(name, path).name] = psf
    return psfs


def _read_objects(
    name: str,
    dataset: FieldDataset,
    images: FieldImages,
    objects: FieldObjects,
    psfs: dict[str, np.ndarray],
    wanted: range,
    manifest: Manifest,
) -> Iterator[Cutout | Rejected]:
    paths = [image.path for image in images.images]
    header = images.images[0].header
    catalogue = [dataset.catalogue] if dataset.catalogue else []
    files = [*images.paths, *catalogue, *dataset.psfs.values()]
    common = {
        "dataset": name,
        "raw_file": join_paths(paths),
        "pixel_scale": images.pixel_scale_arcsec,
        "instrument": images.images[0].instrument or objects.survey.name,
        "survey": objects.survey.name,
        "seeing": seeing_of(header),
    }

    def one(index: int) -> Cutout:
        target = objects.targets.iloc[index]
        identity = f"{name}-{target['name']}"
        x, y = float(target["x"]), float(target["y"])
        arrays, fields = cut_around(
            images, x, y, dataset.size_px, objects.survey, f"{objects.catalogue}: {identity}", psfs
        )
        metadata = Metadata(
            sample_id=identity,
            system_id=identity,
            raw_index=index,
            raw_sha256=raw_digest(files, manifest),
            ra=float(target["ra"]),
            dec=float(target["dec"]),
            **common,
            **_label(dataset, int(target["label"])),
            **_redshifts(target),
            **photometry(
                {f: float(target.get(f"{f}_mag", math.nan)) for f in dataset.magnitudes},
                fields["bands"],
            ),
            **fields,
        )
        return Cutout(metadata=metadata, **arrays)

    yield from objects.read(images, wanted, one)


def _label(dataset: FieldDataset, label: int) -> dict[str, Any]:
    if dataset.role == "search" or label == -1:
        return {"label": -1, "label_source": "unlabelled", "label_confidence": 0.0}
    return {
        "label": label,
        "label_source": dataset.label_source,
        "label_confidence": dataset.label_confidence,
    }


def _redshifts(target: pd.Series) -> dict[str, Any]:
    """Redshift fields of a catalogue object; none of a scan position."""
    known = {key: target.get(key, -1.0) for key in ("z_phot", "z_spec", "z_err")}
    fields: dict[str, Any] = {k: float(v) for k, v in known.items() if pd.notna(v) and v >= 0}
    return fields | ({"z_source": "catalogue"} if fields else {})


def star_field(
    dataset: FieldDataset, raw_file: str, filter_name: str
) -> tuple[np.ndarray, float] | None:
    """Middle of the field in nJy (NaN where unobserved) and its scale."""
    with _open(dataset) as images:
        stars = stars_of(images, filter_name)
        return None if stars is None else (stars, images.pixel_scale_arcsec)
