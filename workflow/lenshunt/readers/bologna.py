"""Lens Finding Challenge 1 (Metcalf et al. 2019): FITS per band and object, and the label table."""

import csv
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from lenshunt.config import BolognaDataset
from lenshunt.core import Manifest
from lenshunt.core.robust import difference_sigma
from lenshunt.readers.fits_image import open_fits, pixels
from lenshunt.readers.planes import Plane, fill_slots, plane
from lenshunt.readers.reader import attempt, join_paths, raw_digest
from lenshunt.readers.zero_points import unusable_counts
from lenshunt.schema import SLOTS, Cutout, Metadata, Rejected, Survey, njy_per_count, survey_named

_COLUMNS = (
    "ID",
    "is_lens",
    "Einstein_area",
    "numb_pix_lensed_image",
    "flux_lensed_image_in_sigma",
)
_SHAPE = (101, 101)
_ARCSEC = math.degrees(1.0) * 3600.0
_APERTURE_DIAMETER_ARCSEC = 3.0


def _rows(dataset: BolognaDataset) -> list[dict[str, str]]:
    """Rows of the label table in its order; with only_present, those with an image."""
    rows = _csv_rows(dataset.labels)
    missing = [column for column in _COLUMNS if not rows or column not in rows[0]]
    if missing:
        raise ValueError(f"{dataset.labels}: no column {missing[0]}; is this the label table?")
    if dataset.only_present:
        present = set().union(*dataset.present().values())
        rows = [row for row in rows if row["ID"].strip() in present]
    return rows


def _csv_rows(path: str) -> list[dict[str, str]]:
    """Rows of a CSV, keys stripped of spaces and quotes (both header styles exist)."""
    with open(path, newline="", encoding="utf-8-sig") as stream:
        rows = csv.DictReader(stream, skipinitialspace=True)
        return [{(key or "").strip().strip('"'): value for key, value in r.items()} for r in rows]


def count(dataset: BolognaDataset) -> int:
    """Number of objects."""
    return len(_rows(dataset))


def read(
    name: str, dataset: BolognaDataset, start: int, stop: int, manifest: Manifest
) -> Iterator[Cutout | Rejected]:
    """Objects [start, stop) in the order of the label table. All official bands must be there."""
    survey = survey_named(dataset.survey, name)
    rows = _rows(dataset)
    files = [(index, join_paths(_paths(dataset, rows[index]))) for index in range(start, stop)]
    yield from attempt(
        files,
        lambda index: _cutout(name, dataset, index, rows[index], survey, manifest),
        [row["ID"].strip() for row in rows],
    )


def _paths(dataset: BolognaDataset, row: dict[str, str]) -> list[str]:
    identity = row["ID"].strip()
    return [path.replace("{id}", identity) for path in dataset.band_files().values()]


def _cutout(
    name: str,
    dataset: BolognaDataset,
    index: int,
    row: dict[str, str],
    survey: Survey,
    manifest: Manifest,
) -> Cutout:
    paths = _paths(dataset, row)
    bands = zip(paths, dataset.band_files(), strict=True)
    planes = [_plane(path, band, survey) for path, band in bands]
    where = f"{dataset.labels}: ID {row['ID']}"
    arrays, fields = fill_slots(planes, where)
    label = number_in(row, "is_lens", where)
    if label not in (0, 1):
        raise ValueError(f"{where}: is_lens is {row['is_lens']!r}, not 0 or 1; correct the table")
    flags, lensing = _lensing(
        row, int(label), arrays["image"], arrays["variance"], fields, survey, where
    )
    fields["flags"] = ";".join(part for part in (fields["flags"], flags) if part)
    metadata = Metadata(
        sample_id=f"{name}-{row['ID'].strip()}",
        system_id=f"{name}-{row['ID'].strip()}",
        dataset=name,
        raw_file=join_paths(paths),
        raw_index=index,
        raw_sha256=raw_digest(paths, manifest),
        label=int(label),
        label_source=dataset.label_source,
        label_confidence=1.0,
        pixel_scale=survey.pixel_scale_arcsec,
        instrument=dataset.survey,
        survey=dataset.survey,
        **lensing,
        **fields,
    )
    return Cutout(metadata=metadata, **arrays)


def read_image(path: str, shape: tuple[int, int], survey: Survey) -> tuple[np.ndarray, np.ndarray]:
    """Counts [y, x] of an official image and its unusable pixels, bool [y, x].

    Raises ValueError for another shape, and where no pixel is usable.
    """
    with open_fits(path) as hdus:
        # the official files have one HDU; asking for more would cost half of the time
        hdu = hdus[0]
        counts = pixels(hdu, path)
        if counts.shape != shape:
            raise ValueError(f"{path}: image has shape {counts.shape}, expected {shape}")
        bad = unusable_counts(counts, hdu.header, survey)
    if bad.all():
        raise ValueError(f"{path}: no usable pixel (all masked or NaN)")
    return counts, bad


def number_in(row: dict[str, str], column: str, where: str) -> float:
    """Value of a cell. Raises ValueError naming row and column where it is no finite number."""
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{where}: {column} is {row[column]!r}, not a number; correct the table")
    return value


def einstein_radius(area_sr: float) -> float:
    """Radius in arcsec of the circle whose area is that inside the critical curve, steradian."""
    return math.sqrt(area_sr / math.pi) * _ARCSEC


def _plane(path: str, band: str, survey: Survey) -> Plane:
    counts, bad = read_image(path, _SHAPE, survey)
    return plane(band, counts, njy_per_count(survey.zero_point(band, path)), unusable=bad)


def _lensing(
    row: dict[str, str],
    label: int,
    image: np.ndarray,
    variance: np.ndarray,
    fields: dict[str, Any],
    survey: Survey,
    where: str,
) -> tuple[str, dict[str, float]]:
    """Flags and lensing fields; none for negatives, whose Einstein area is of an unused lens.

    The table gives the lensed flux in units of the pixel sigma, hence
    flux_ratio = flux_in_sigma * sigma / flux in an aperture of 3 arcsec diameter, in i or the
    nearest band, and arc_snr = flux_in_sigma / sqrt(pixels of the arc).
    """
    if label != 1:
        return "", {}
    area_sr = number_in(row, "Einstein_area", where)
    arc_pixels = number_in(row, "numb_pix_lensed_image", where)
    flux_in_sigma = number_in(row, "flux_lensed_image_in_sigma", where)
    slot = _reference_slot(fields["band_flags"])
    usable = ~np.isposinf(variance[slot])
    sigma, total = _sigma_and_aperture_flux(image[slot], usable, survey.pixel_scale_arcsec)
    ratio = flux_in_sigma * sigma / total if total > 0 else math.nan
    flags = ["undetectable"] if arc_pixels == 0 else []
    # rings wider than the aperture hold more flux than it does
    flags += ["flux_ratio_capped"] if ratio > 1 else []
    lensing = {
        "einstein_radius": einstein_radius(area_sr),
        "flux_ratio": 1.0 if ratio > 1 else ratio,
        "arc_snr": flux_in_sigma / math.sqrt(arc_pixels) if arc_pixels > 0 else 0.0,
    }
    return ";".join(flags), lensing


def _reference_slot(band_flags: tuple[int, ...]) -> int:
    """Slot of i, or of the nearest band with data."""
    i = SLOTS.index("i")
    return min((k for k, flag in enumerate(band_flags) if flag), key=lambda k: abs(k - i))


def _sigma_and_aperture_flux(
    image: np.ndarray, usable: np.ndarray, scale_arcsec: float
) -> tuple[float, float]:
    """(background sigma per pixel, background-free flux within 3 arcsec diameter), nJy.

    The background is the median of the border. The sigma is from differences of neighbouring
    pixels (`difference_sigma`), which arcs that reach the border leave alone.
    """
    height, width = image.shape
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)
    border = usable & (radius > 0.4 * min(height, width))
    pairs = usable[:, 1:] & usable[:, :-1]
    if not border.any() or not pairs.any():
        return math.nan, math.nan
    background = float(np.median(image[border]))
    sigma = difference_sigma(np.diff(image, axis=1)[pairs], order=1)
    aperture = usable & (radius * scale_arcsec <= _APERTURE_DIAMETER_ARCSEC / 2)
    return sigma, float((image[aperture] - background).sum())
