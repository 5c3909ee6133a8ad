"""HST cutouts of lenses as HDF5 (dolphin's layout), with PSF files beside. Positives only."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from lenshunt.config import HstLensesDataset
from lenshunt.core import Manifest
from lenshunt.core.patterns import existing, resolve
from lenshunt.readers.planes import Plane, fill_slots, plane
from lenshunt.readers.psfs import shipped_psf
from lenshunt.readers.reader import UNREADABLE, attempt, join_paths, raw_digest
from lenshunt.schema import Cutout, Metadata, Rejected, Survey, njy_per_count, survey_named

#: Filters of a system share one grid where origin and orientation agree within this many pixels.
_SAME_GRID_PX = 0.1


_KEYS = (
    "image_data",
    "background_rms",
    "exposure_time",
    "ra_at_xy_0",
    "dec_at_xy_0",
    "transform_pix2angle",
)


@dataclass(frozen=True)
class _Grid:
    """Pixel grid of one image: shape, arcsec of pixel (0, 0), arcsec per pixel matrix."""

    shape: tuple[int, ...]
    origin: np.ndarray
    matrix: np.ndarray

    @property
    def pixel_scale_arcsec(self) -> float:
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    def same_as(self, other: "_Grid") -> bool:
        """Whether the corners of both grids fall together."""
        if self.shape != other.shape:
            return False
        corners = np.array([[0, 0], [self.shape[1], 0], [0, self.shape[0]], self.shape[::-1]])
        apart = (corners @ (self.matrix - other.matrix).T) + (self.origin - other.origin)
        return bool(np.abs(apart).max() < _SAME_GRID_PX * self.pixel_scale_arcsec)


def _name_parts(path: str) -> tuple[str, str]:
    """(system, filter) of image_SYSTEM_FILTER.h5."""
    system, _, filter_name = Path(path).stem.removeprefix("image_").rpartition("_")
    return system, filter_name


def _grid(path: str) -> _Grid | None:
    """Grid of an image, or None where the file cannot be read."""
    try:
        with h5py.File(path) as file:
            origin = np.array([file["ra_at_xy_0"][()], file["dec_at_xy_0"][()]], dtype=float)
            return _Grid(file["image_data"].shape, origin, file["transform_pix2angle"][()])
    except UNREADABLE:
        return None


def _objects(dataset: HstLensesDataset) -> list[list[str]]:
    """Files per object: filters of one system on one grid together, all else alone."""
    objects: list[list[str]] = []
    grids: dict[str, list[tuple[_Grid, list[str]]]] = {}
    for path in resolve(dataset.images):
        system, grid = _name_parts(path)[0], _grid(path)
        matches = [files for known, files in grids.get(system, []) if grid and known.same_as(grid)]
        if matches:
            matches[0].append(path)
            continue
        objects.append([path])
        if grid is not None:
            grids.setdefault(system, []).append((grid, objects[-1]))
    return objects


def count(dataset: HstLensesDataset) -> int:
    """Number of cutouts."""
    return len(_objects(dataset))


def read(
    name: str, dataset: HstLensesDataset, start: int, stop: int, manifest: Manifest
) -> Iterator[Cutout | Rejected]:
    """Cutouts [start, stop) in the order of their file names."""
    survey = survey_named(dataset.survey, name)
    objects = _objects(dataset)
    yield from attempt(
        [(index, join_paths(objects[index])) for index in range(start, stop)],
        lambda index: _cutout(name, dataset, index, objects, survey, manifest),
        ["+".join(Path(path).stem for path in paths) for paths in objects],
    )


def _cutout(
    name: str,
    dataset: HstLensesDataset,
    index: int,
    objects: list[list[str]],
    survey: Survey,
    manifest: Manifest,
) -> Cutout:
    images = objects[index]
    system = _name_parts(images[0])[0]
    planes = [_plane(path, dataset.psf_beside(path), survey) for path in images]
    arrays, fields = fill_slots(planes, images[0])
    several = sum(_name_parts(files[0])[0] == system for files in objects) > 1
    suffix = "-" + "-".join(_name_parts(path)[1] for path in images) if several else ""
    files = [*images, *existing(map(dataset.psf_beside, images))]
    grid = _grid(images[0])
    if grid is None:
        raise ValueError(f"{images[0]}: ra_at_xy_0, dec_at_xy_0 or transform_pix2angle is no array")
    metadata = Metadata(
        sample_id=f"{name}-{system}{suffix}",
        system_id=dataset.same_system.get(system, system),
        dataset=name,
        raw_file=join_paths(images),
        raw_index=index,
        raw_sha256=raw_digest(files, manifest),
        label=1,
        label_source="obs:lens",
        label_confidence=1.0,
        pixel_scale=grid.pixel_scale_arcsec,
        instrument="HST",
        survey=dataset.survey,
        **fields,
    )
    return Cutout(metadata=metadata, **arrays)


def _plane(path: str, psf_file: str, survey: Survey) -> Plane:
    """One filter in nJy; variance = background_rms^2 + Poisson noise of the positive flux."""
    _, filter_name = _name_parts(path)
    with h5py.File(path) as file:
        missing = [key for key in _KEYS if key not in file]
        if missing:
            raise ValueError(f"{path}: no data set {missing[0]!r}")
        rate = np.asarray(file["image_data"][()], dtype=np.float64)
        if rate.ndim != 2:
            raise ValueError(f"{path}: image_data has shape {rate.shape}, expected 2 axes")
        rms = float(file["background_rms"][()])
        exposure_s = np.asarray(file["exposure_time"][()], dtype=np.float64)
    unexposed = np.broadcast_to(exposure_s <= 0, rate.shape)
    poisson = np.clip(rate, 0.0, None) / np.where(exposure_s > 0, exposure_s, np.inf)
    psf = None
    if Path(psf_file).is_file():
        with h5py.File(psf_file) as file:
            psf = shipped_psf(file["kernel_point_source"][()], psf_file)
    return plane(
        filter_name,
        rate,
        njy_per_count(survey.zero_point(filter_name, path)),
        variance=rms**2 + poisson,
        unusable=unexposed,
        psf=psf,
        psf_missing=psf is None,
    )
