"""CASTLES: HST images of known lenses, one file per system and filter. Positives only."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.wcs import WCS

from lenshunt.config import CastlesDataset
from lenshunt.core import Manifest
from lenshunt.core.patterns import resolve
from lenshunt.readers.castles_images import (
    Chip,
    chips_of,
    choose_chip,
    config_header,
    scale_of,
    unusable_pixels,
    variance_of,
)
from lenshunt.readers.castles_table import System, find_system, normal_name, read_systems
from lenshunt.readers.crop import crop
from lenshunt.readers.fits_image import (
    Keywords,
    celestial_wcs,
    centre_of,
    filter_of,
    open_fits,
    seeing_of,
)
from lenshunt.readers.planes import Plane, fill_slots, plane
from lenshunt.readers.reader import UNREADABLE, attempt, join_paths, raw_digest
from lenshunt.readers.zero_points import njy_per_hst_count, unusable_counts
from lenshunt.schema import AUTO, Cutout, Metadata, Rejected, survey_of

#: Files of one system share a grid where their corners fall together within this many pixels.
_SAME_GRID_PX = 0.1


@dataclass(frozen=True)
class _File:
    """What grouping needs to know of one file; grid is None where it cannot be read."""

    path: str
    system: str
    filter_name: str
    grid: tuple[Any, ...] | None


@dataclass(frozen=True)
class _Reading:
    """One filter of one system, with what the metadata need of its header."""

    plane: Plane
    flag: str
    survey: str
    instrument: str
    scale: float
    seeing: float
    wcs: WCS | None


def _filter(path: str, header: Keywords) -> str:
    remedy = f'give it under `header` of this data set: {{"{Path(path).name}": {{FILTER: ...}}}}'
    return filter_of(header, path, remedy)


def _inspect(dataset: CastlesDataset, systems: dict[str, System], path: str) -> _File:
    # what is known of a file that cannot be read to its end names its rejection
    name, filter_name, grid = _system_name(path, None, ""), "", None
    try:
        with open_fits(path) as hdus:
            chips = chips_of(hdus, path, config_header(dataset.header, path))
            header = chips[0].header
            name = _system_name(path, header, "")
            filter_name = _filter(path, header)
            name = _system_name(path, header, filter_name)
            chip = choose_chip(chips, *_position(find_system(systems, name)))
            camera = [str(header.get(key, "")).strip() for key in ("TELESCOP", "INSTRUME")]
            grid = (chip.shape, *camera, _corners(chip))
    except UNREADABLE:
        return _File(path, name, filter_name, None)
    return _File(path, name, filter_name, grid)


def _position(system: System | None) -> tuple[float, float]:
    """ICRS degrees of a system; NaN where the table has none."""
    return (np.nan, np.nan) if system is None else (system.ra, system.dec)


def _system_name(path: str, header: Keywords | None, filter_name: str) -> str:
    """TARGNAME, else the file name up to its filter, else up to the last underscore."""
    target = "" if header is None else str(header.get("TARGNAME", "")).strip()
    if target:
        return target
    stem = Path(path).stem
    position = stem.upper().find("_" + filter_name.upper()) if filter_name else -1
    return stem[:position] if position > 0 else stem.rsplit("_", 1)[0]


def _corners(chip: Chip) -> tuple[float, ...] | None:
    """Sky position of two opposite corners in units of the pixel; None without a WCS."""
    wcs = celestial_wcs(chip.header)
    if wcs is None:
        return None
    rows, columns = chip.shape
    sky = wcs.pixel_to_world([0, columns - 1], [0, rows - 1]).icrs
    degrees = np.concatenate([sky.ra.deg * np.cos(sky.dec.rad), sky.dec.deg])
    return tuple(degrees * 3600.0 / scale_of(chip))


def _same_grid(one: _File, other: _File) -> bool:
    """Whether two files of a system show the same pixels, with the same instrument."""
    if one.grid is None or other.grid is None or one.grid[:-1] != other.grid[:-1]:
        return False
    corners = one.grid[-1], other.grid[-1]
    if corners[0] is None or corners[1] is None:
        return False
    return bool(np.abs(np.subtract(*corners)).max() < _SAME_GRID_PX)


def _objects(dataset: CastlesDataset) -> list[list[_File]]:
    """Files per cutout: filters of one system on one grid of one instrument together."""
    objects: list[list[_File]] = []
    systems = read_systems(dataset.table)
    for path in resolve(dataset.images):
        file = _inspect(dataset, systems, path)
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
    systems = read_systems(dataset.table)
    objects = _objects(dataset)
    yield from attempt(
        [(index, join_paths([f.path for f in objects[index]])) for index in range(start, stop)],
        lambda index: _cutout(name, dataset, index, objects[index], systems, manifest),
        # the sample_id is made of them
        [Path(files[0].path).stem for files in objects],
    )


def _cutout(
    name: str,
    dataset: CastlesDataset,
    index: int,
    files: list[_File],
    systems: dict[str, System],
    manifest: Manifest,
) -> Cutout:
    paths = [file.path for file in files]
    system = find_system(systems, files[0].system)
    readings = [_read_file(dataset, path, system) for path in paths]
    first = readings[0]
    arrays, fields = fill_slots([one.plane for one in readings], paths[0])
    words = [f"{one.flag}:{one.plane.filter_name}" for one in readings if one.flag]
    words += [] if system else ["not_in_table"]
    fields["flags"] = ";".join(filter(None, (fields["flags"], *words)))
    metadata = Metadata(
        sample_id=f"{name}-{Path(paths[0]).stem}",
        system_id=normal_name(system.name if system else files[0].system),
        dataset=name,
        raw_file=join_paths(paths),
        raw_index=index,
        raw_sha256=raw_digest(paths, manifest),
        label=1,
        label_source=dataset.label_source,
        pixel_scale=first.scale,
        instrument=first.instrument,
        survey=first.survey,
        seeing=first.seeing,
        **_facts(system, first.wcs, arrays["image"].shape[1:]),
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


def _read_file(dataset: CastlesDataset, path: str, system: System | None) -> _Reading:
    """One filter in nJy with variance from ERR or WHT."""
    with open_fits(path) as hdus:
        chips = chips_of(hdus, path, config_header(dataset.header, path))
        chip = choose_chip(chips, *_position(system))
        header = chip.header
        survey = survey_of(dataset.survey, header, path)
        counts = chip.counts()
        x, y = _centre_pixel(chip, system)
        bad = unusable_pixels(chip, counts) | unusable_counts(counts, header, survey)
        variance, flag = variance_of(chip, counts, bad, dataset.weight_kind)
        scale, wcs = scale_of(chip), celestial_wcs(chip.header)
        njy = njy_per_hst_count(header, path)
        filter_name = _filter(path, header)
    if dataset.size_px is not None:
        counts, outside = crop(counts, x, y, dataset.size_px)
        bad = (crop(bad, x, y, dataset.size_px)[0] != 0) | outside
        if variance is not None:
            variance = crop(variance, x, y, dataset.size_px)[0]
    return _Reading(
        plane(filter_name, counts, njy, variance=variance, unusable=bad),
        flag,
        dataset.survey if dataset.survey != AUTO else survey.name,
        str(header.get("INSTRUME", "")).strip() or "HST",
        scale,
        seeing_of(header),
        wcs,
    )


def _centre_pixel(chip: Chip, system: System | None) -> tuple[float, float]:
    """Pixel of the system; the middle of the image without a position or a WCS.

    Raises ValueError where the system lies outside: the image would show no lens.
    """
    middle = (chip.shape[1] - 1) / 2, (chip.shape[0] - 1) / 2
    ra, dec = _position(system)
    if not np.isfinite(ra + dec) or celestial_wcs(chip.header) is None:
        return middle
    place = chip.pixel_of(ra, dec)
    if place is None:
        name = system.name if system else "the system"
        raise ValueError(f"{chip.path}: {name} at {ra:.5f} {dec:+.5f} lies outside the image")
    return place
