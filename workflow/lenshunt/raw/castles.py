"""CASTLES: HST images of known lenses, one file per system and filter. Positives only."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from lenshunt.config import CastlesDataset
from lenshunt.provenance import Manifest
from lenshunt.raw.calibration import njy_per_hst_count, unusable_counts
from lenshunt.raw.castles_table import System, find_system, normal_name, read_systems
from lenshunt.raw.crop import crop
from lenshunt.raw.files import resolve
from lenshunt.raw.fits_image import (
    Keywords,
    celestial_wcs,
    centre_of,
    filter_of,
    image_planes,
    keywords,
    open_fits,
    pixel_scale_of,
    pixels,
    seeing_of,
)
from lenshunt.raw.planes import Plane, fill_slots, plane
from lenshunt.raw.reader import UNREADABLE, attempt, join_paths, no_star_field, raw_digest
from lenshunt.records import Cutout, Metadata, Rejected
from lenshunt.surveys import Survey, survey_named

star_field = no_star_field

#: Files of one system share a grid where their corners fall together within this many pixels.
_SAME_GRID_PX = 0.1


@dataclass(frozen=True)
class _File:
    """What grouping needs to know of one file; grid is None where it cannot be read."""

    path: str
    system: str
    filter_name: str
    grid: tuple[Any, ...] | None


def _filter(dataset: CastlesDataset, path: str, header: Keywords) -> str:
    given = dataset.filters.get(Path(path).name)
    return given or filter_of(
        header, path, f"name it under filters of this data set in the config ({Path(path).name})"
    )


def _science(hdus: fits.HDUList, path: str) -> fits.ImageHDU:
    """The SCI extension, else the first image."""
    images = image_planes(hdus)
    if not images:
        raise ValueError(f"{path}: no image in the file")
    return next((hdu for hdu in images if hdu.name == "SCI"), images[0])


def _inspect(dataset: CastlesDataset, path: str) -> _File:
    try:
        with open_fits(path) as hdus:
            science = _science(hdus, path)
            header = keywords(hdus, science)
            filter_name = _filter(dataset, path, header)
            shape = science.shape[-2:]
    except UNREADABLE:
        return _File(path, _system_name(path, None, ""), "", None)
    grid = (shape, str(header.get("INSTRUME", "")).strip(), _corners(header, shape))
    return _File(path, _system_name(path, header, filter_name), filter_name, grid)


def _system_name(path: str, header: Keywords | None, filter_name: str) -> str:
    """TARGNAME, else the file name up to its filter, else up to the last underscore."""
    target = "" if header is None else str(header.get("TARGNAME", "")).strip()
    if target:
        return target
    stem = Path(path).stem
    position = stem.upper().find("_" + filter_name.upper()) if filter_name else -1
    return stem[:position] if position > 0 else stem.rsplit("_", 1)[0]


def _corners(header: Keywords, shape: tuple[int, int]) -> tuple[float, ...] | None:
    """Sky position of two opposite corners in units of the pixel; None without a WCS."""
    wcs = celestial_wcs(header)
    scale = pixel_scale_of(header)
    if wcs is None or scale is None:
        return None
    sky = wcs.pixel_to_world([0, shape[1] - 1], [0, shape[0] - 1]).icrs
    degrees = np.concatenate([sky.ra.deg * np.cos(sky.dec.rad), sky.dec.deg])
    return tuple(degrees * 3600.0 / scale)


def _same_grid(one: _File, other: _File) -> bool:
    """Whether two files of a system show the same pixels, with the same instrument."""
    if one.grid is None or other.grid is None or one.grid[:2] != other.grid[:2]:
        return False
    corners = one.grid[2], other.grid[2]
    if corners[0] is None or corners[1] is None:
        return False
    return bool(np.abs(np.subtract(*corners)).max() < _SAME_GRID_PX)


def _objects(dataset: CastlesDataset) -> list[list[_File]]:
    """Files per cutout: filters of one system on one grid of one instrument together."""
    objects: list[list[_File]] = []
    for path in resolve(dataset.images):
        file = _inspect(dataset, path)
        for known in objects:
            filters = [one.filter_name for one in known]
            if (
                normal_name(known[0].system) == normal_name(file.system)
                and file.filter_name not in filters
                and _same_grid(known[0], file)
            ):
                known.append(file)
                break
        else:
            objects.append([file])
    return objects


def count(dataset: CastlesDataset) -> int:
    """Number of cutouts."""
    return len(_objects(dataset))


def read(
    name: str, dataset: CastlesDataset, start: int, stop: int, manifest: Manifest
) -> Iterator[Cutout | Rejected]:
    """Cutouts [start, stop) in the order of their file names."""
    survey = survey_named(dataset.survey, name)
    systems = read_systems(dataset.table)
    objects = _objects(dataset)
    yield from attempt(
        [(index, join_paths([f.path for f in objects[index]])) for index in range(start, stop)],
        lambda index: _cutout(name, dataset, index, objects[index], systems, survey, manifest),
    )


def _cutout(
    name: str,
    dataset: CastlesDataset,
    index: int,
    files: list[_File],
    systems: dict[str, System],
    survey: Survey,
    manifest: Manifest,
) -> Cutout:
    paths = [file.path for file in files]
    system = find_system(systems, files[0].system)
    pairs = [_plane(dataset, path, survey, system) for path in paths]
    header = pairs[0][1]
    arrays, fields = fill_slots([one for one, _ in pairs], paths[0])
    if system is None:
        fields["flags"] = ";".join(filter(None, (fields["flags"], "not_in_table")))
    wcs = celestial_wcs(header)
    scale = pixel_scale_of(header)
    if scale is None:
        raise KeyError(f"{paths[0]}: no WCS, D001SCAL or CD matrix; add D001SCAL to the header")
    metadata = Metadata(
        sample_id=f"{name}-{Path(paths[0]).stem}",
        system_id=normal_name(system.name if system else files[0].system),
        dataset=name,
        raw_file=join_paths(paths),
        raw_index=index,
        raw_sha256=raw_digest(paths, manifest),
        label=1,
        label_source=dataset.label_source,
        pixel_scale=scale,
        instrument=str(header.get("INSTRUME", "")).strip() or "HST",
        survey=dataset.survey,
        seeing=seeing_of(header),
        **_facts(system, wcs, arrays["image"].shape[1:]),
        **fields,
    )
    return Cutout(metadata=metadata, **arrays)


def _facts(system: System | None, wcs: WCS | None, shape: tuple[int, ...]) -> dict[str, Any]:
    """Position, lens redshift and half the image separation, from the table where it has them."""
    if system is None:
        ra, dec = centre_of(wcs, (shape[0], shape[1]))
        return {"ra": ra, "dec": dec, "label_confidence": 0.9}
    facts: dict[str, Any] = {
        "ra": system.ra,
        "dec": system.dec,
        "label_confidence": system.confidence,
        # of an isothermal lens the images are two Einstein radii apart
        "einstein_radius": system.separation_arcsec / 2,
    }
    if system.z_lens >= 0:
        facts |= {"z_spec": system.z_lens, "z_source": "castles"}
    return facts


def _plane(
    dataset: CastlesDataset, path: str, survey: Survey, system: System | None
) -> tuple[Plane, Keywords]:
    """One filter in nJy with variance from ERR or WHT, and the header it came with."""
    with open_fits(path) as hdus:
        science = _science(hdus, path)
        header = keywords(hdus, science)
        counts = pixels(science, path)
        if counts.ndim != 2:
            raise ValueError(f"{path}: image has {counts.ndim} axes, expected 2")
        variance = _variance(hdus, path, counts.shape)
    bad = unusable_counts(counts, header, survey)
    # drizzled images are exactly 0 where no exposure contributes
    bad |= counts == 0
    if dataset.size_px is not None:
        x, y = _centre_pixel(header, counts.shape, system)
        counts, outside = crop(counts, x, y, dataset.size_px)
        bad = (crop(bad, x, y, dataset.size_px)[0] != 0) | outside
        if variance is not None:
            variance = crop(variance, x, y, dataset.size_px)[0]
    njy = njy_per_hst_count(header, path)
    filter_name = _filter(dataset, path, header)
    return plane(filter_name, counts, njy, variance=variance, unusable=bad), header


def _variance(hdus: fits.HDUList, path: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """Variance in (image unit)^2: ERR squared, else the inverse of WHT; None where neither is."""
    by_name = {hdu.name: hdu for hdu in image_planes(hdus)}
    if "ERR" in by_name:
        variance = pixels(by_name["ERR"], path) ** 2
    elif "WHT" in by_name:
        weight = pixels(by_name["WHT"], path)
        variance = np.divide(1.0, weight, out=np.full(weight.shape, np.inf), where=weight > 0)
    else:
        return None
    if variance.shape != shape:
        raise ValueError(f"{path}: ERR or WHT has shape {variance.shape}, the image {shape}")
    return variance


def _centre_pixel(
    header: Keywords, shape: tuple[int, ...], system: System | None
) -> tuple[float, float]:
    """Pixel of the system where the WCS and the table tell and it lies inside; else the middle."""
    wcs: WCS | None = celestial_wcs(header)
    if wcs is not None and system is not None and math.isfinite(system.ra + system.dec):
        x, y = map(float, wcs.all_world2pix(system.ra, system.dec, 0))
        if 0 <= x < shape[1] and 0 <= y < shape[0]:
            return x, y
    return (shape[1] - 1) / 2, (shape[0] - 1) / 2
