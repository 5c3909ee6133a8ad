"""Lens Finding Challenge 2.0: FITS per band and object, the catalogue, and the rule for labels.

Layout (portal http://metcalf1.difa.unibo.it/blf-portal/gg_challenge.html; names as in the readers
of participants, for example github.com/dforero0896/gravitational_lens_ml): the archive
datapack2.0train holds Public/EUC_VIS/imageEUC_VIS-ID.fits and the same for EUC_Y, EUC_J, EUC_H;
image_catalog2.0train.csv has 28 lines that begin with #, then a header whose first name is empty
(a running number) and 26 columns. Cells are empty where a galaxy has no source; some rows have no
images. ein_area is in steradian: participants take sqrt(ein_area / pi) * 206265 arcsec.
"""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from lenshunt.config import Bologna2Dataset
from lenshunt.core import Manifest
from lenshunt.core.robust import difference_sigma
from lenshunt.readers.bologna import einstein_radius, read_image
from lenshunt.readers.planes import Plane, fill_slots, plane
from lenshunt.readers.reader import attempt, join_paths, raw_digest
from lenshunt.schema import (
    Cutout,
    Metadata,
    Rejected,
    Survey,
    njy_per_count,
    survey_named,
    survey_psf,
)

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


#: Side of the official images, and side of one of their pixels in pixels of VIS (0.1 arcsec).
_SIDE = {"EUC_VIS": 200, "EUC_Y": 66, "EUC_J": 66, "EUC_H": 66}
_PIXELS_OF_VIS = {"EUC_VIS": 1, "EUC_Y": 3, "EUC_J": 3, "EUC_H": 3}


def count(dataset: Bologna2Dataset) -> int:
    """Number of objects."""
    return len(read_rows(dataset))


def read(
    name: str, dataset: Bologna2Dataset, start: int, stop: int, manifest: Manifest
) -> Iterator[Cutout | Rejected]:
    """Objects [start, stop) in the order of the catalogue; each needs all bands of the config."""
    survey = survey_named(dataset.survey, name)
    rows = read_rows(dataset)
    files = [(index, join_paths(_paths(dataset, rows[index]))) for index in range(start, stop)]
    yield from attempt(
        files, lambda index: _cutout(name, dataset, index, rows[index], survey, manifest)
    )


def _paths(dataset: Bologna2Dataset, row: Row) -> list[str]:
    return [path.replace("{id}", row.identity) for path in dataset.band_files().values()]


def _cutout(
    name: str,
    dataset: Bologna2Dataset,
    index: int,
    row: Row,
    survey: Survey,
    manifest: Manifest,
) -> Cutout:
    if row.fault:
        raise ValueError(row.fault)
    label, flags = label_of(row, dataset)
    paths = _paths(dataset, row)
    side = _common_side(dataset)
    planes = [_plane(p, band, side, survey) for p, band in zip(paths, dataset.bands, strict=True)]
    arrays, fields = fill_slots(planes, row.where)
    # the planes carry the survey's PSF, broadened, and a sky variance; neither is shipped
    fields["psf_source"] = "survey"
    fields["variance_available"] = False
    fields["flags"] = ";".join(part for part in (fields["flags"], *flags) if part)
    metadata = Metadata(
        sample_id=f"{name}-{row.identity}",
        system_id=f"{name}-{row.identity}",
        dataset=name,
        raw_file=join_paths(paths),
        raw_index=index,
        raw_sha256=raw_digest(paths, manifest),
        label=label,
        label_source="unlabelled" if label == -1 else dataset.label_source,
        label_confidence=0.0 if label == -1 else 1.0,
        pixel_scale=survey.pixel_scale_arcsec,
        instrument=dataset.survey,
        survey=dataset.survey,
        **_deflector(row, fields["bands"]),
        **(_lensing(row) if label == 1 else {}),
        **fields,
    )
    return Cutout(metadata=metadata, noise_corr=_noise_corr(fields["bands"]), **arrays)


def _lensing(row: Row) -> dict[str, float]:
    """Lensing fields of a lens; flux_ratio = source_flux / (source_flux + lens_flux)."""
    area, source, lens = (row.number(key) for key in ("ein_area", "source_flux", "lens_flux"))
    measured = source >= 0 and lens >= 0 and source + lens > 0
    return {
        "einstein_radius": einstein_radius(area) if area > 0 else math.nan,
        "flux_ratio": source / (source + lens) if measured else math.nan,
    }


def _deflector(row: Row, bands: tuple[str, ...]) -> dict[str, Any]:
    """Redshift and magnitude of the galaxy in front; mag_lens is taken as its magnitude in VIS."""
    fields: dict[str, Any] = {}
    redshift, magnitude = row.number("z_lens"), row.number("mag_lens")
    if math.isfinite(redshift) and redshift >= 0:
        fields |= {"z_spec": redshift, "z_source": "simulation"}
    if 0 < magnitude < 40:
        vis = (magnitude if band == "EUC_VIS" else math.nan for band in bands)
        fields["magnitude"] = tuple(vis)
    return fields


def _common_side(dataset: Bologna2Dataset) -> int:
    """Side in pixels of VIS that all bands cover: 198 (19.8 arcsec) with a NISP band, else 200."""
    return min(_SIDE[band] * _PIXELS_OF_VIS[band] for band in dataset.bands)


def _plane(path: str, band: str, side: int, survey: Survey) -> Plane:
    """One band on the pixel grid of VIS, its middle kept."""
    counts, bad = read_image(path, (_SIDE[band], _SIDE[band]), survey)
    parts = _PIXELS_OF_VIS[band]
    margin = (_SIDE[band] * parts - side) // 2
    inside = slice(margin, margin + side)
    split = split_pixels(counts, parts)[inside, inside] / parts**2
    variance = None
    if parts > 1:
        variance = np.full(split.shape, (sky_sigma(counts, bad, path) / parts**2) ** 2)
    return plane(
        band,
        split,
        njy_per_count(survey.zero_point(band, path)),
        variance=variance,
        unusable=split_pixels(bad, parts)[inside, inside],
        psf=_psf(survey.name, band),
    )


def sky_sigma(image: np.ndarray, unusable: np.ndarray, where: str) -> float:
    """Sky noise per pixel of [y, x], from second differences, which smooth light leaves alone.

    See `difference_sigma`. It is measured before pixels are split, since among equal neighbours a
    search for sources takes the extremes of the noise for sources. Raises ValueError where there
    is no scatter.
    """
    known = np.where(unusable, np.nan, image)
    both = [np.diff(known, 2, axis=axis).ravel() for axis in (0, 1)]
    steps = np.concatenate(both)
    steps = steps[np.isfinite(steps)]
    sigma = difference_sigma(steps, order=2) if steps.size else 0.0
    if not sigma > 0:
        raise ValueError(f"{where}: the sky has no scatter, so its noise cannot be estimated")
    return sigma


def split_pixels(image: np.ndarray, parts: int) -> np.ndarray:
    """Every pixel of [y, x] as parts x parts equal ones, [y * parts, x * parts]."""
    return image.repeat(parts, axis=0).repeat(parts, axis=1)


def _noise_corr(bands: tuple[str, ...]) -> np.ndarray:
    """noise_corr [band]: 9 for pixels split into nine.

    A pixel of variance s^2 becomes nine of s^2 / 81, whose sum has s^2 again: nine times the sum
    of their variances.
    """
    parts = [_PIXELS_OF_VIS.get(band, 1) for band in bands]
    return np.array(parts, np.float32) ** 2


@lru_cache(maxsize=64)
def _psf(survey_name: str, band: str) -> np.ndarray:
    """Effective PSF [h, w] of a band on the pixels of VIS, float32, unit sum.

    The survey's PSF integrated over a pixel of the band, seen through the splitting of that pixel:
    the flux that belongs to its middle is spread evenly over its parts. At 0.1 arcsec sampling
    both are sums over 3 x 3 pixels. Averaged over where in its pixel a source lies, this is
    exact (a single source has its light off by up to 0.1 arcsec).
    """
    survey = survey_named(survey_name)
    psf = survey_psf(survey, band, survey.pixel_scale_arcsec).astype(float)
    parts = _PIXELS_OF_VIS[band]
    padded = np.pad(psf, parts - 1)
    for _ in range(2 if parts > 1 else 0):
        padded = _box_sum(padded, parts)
    return (padded / padded.sum()).astype(np.float32)


def _box_sum(image: np.ndarray, parts: int) -> np.ndarray:
    """Sum over parts x parts neighbours (odd), the middle kept; zeros come in from outside."""
    reach = range(-(parts // 2), parts // 2 + 1)
    rows = sum(np.roll(image, step, axis=0) for step in reach)
    return np.sum([np.roll(rows, step, axis=1) for step in reach], axis=0)
