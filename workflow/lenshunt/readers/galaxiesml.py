"""GalaxiesML HDF5 files (arXiv:2410.00271): HSC galaxies in g r i z y, no lens labels."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lenshunt.config import GalaxiesMLDataset
from lenshunt.core import Manifest
from lenshunt.readers.planes import fill_slots, plane
from lenshunt.readers.reader import (
    UNREADABLE,
    attempt,
    raw_digest,
    reason_of,
)
from lenshunt.readers.zero_points import unusable_counts
from lenshunt.schema import (
    SLOTS,
    WHOLE_FILE,
    Cutout,
    Metadata,
    Rejected,
    Survey,
    njy_from_magnitude,
    njy_per_count,
    survey_named,
)

#: Galaxies read at once; a file has 17-90 GB and is never read whole.
_SLICE = 64
#: Side of the images of the first release, whose samples are named by object_id alone.
_SIDE_PX = 64
_SPLITS = ("training", "validation", "testing")
#: Band whose shape is kept: i, else the next that SExtractor measured.
_SHAPE_BANDS = ("i", "r", "z", "g", "y")
_SCALARS = ("object_id", "ra", "dec", "specz_name", "specz_redshift", "specz_redshift_err")
_PER_BAND = ("cmodel_mag", "sersic_index", "half_light_radius", "ellipticity", "pos_angle")


@dataclass(frozen=True)
class _File:
    """One file: galaxies it holds, side of its images, or why it cannot be read."""

    path: str
    size: int
    side_px: int
    object_ids: np.ndarray
    reason: str = ""


def count(dataset: GalaxiesMLDataset) -> int:
    """Number of galaxies; a file that cannot be opened counts as one (rejected) object."""
    return sum(_checked(path).size for path in dataset.files)


def _checked(path: str, with_ids: bool = False) -> _File:
    """Size of one file with the layout that is expected; size 1 with a reason for another."""
    try:
        with h5py.File(path) as file:
            size, side_px = _checked_shape(file, path)
            ids = _object_ids(file, 0, size, path) if with_ids else np.empty(0, np.int64)
            return _File(path, size, side_px, ids)
    except UNREADABLE as error:
        return _File(path, 1, 0, np.empty(0, np.int64), reason_of(error, path))


def _checked_shape(file: h5py.File, path: str) -> tuple[int, int]:
    """(galaxies, side in pixels) of a file with the layout that is expected."""
    # without a position nothing could be kept from lying in two splits
    for key in ("image", "object_id", "ra", "dec"):
        if key not in file:
            raise ValueError(f"{path}: no data set {key!r}; is this a GalaxiesML file?")
    shape = file["image"].shape
    if len(shape) != 4 or shape[1] != len(SLOTS):
        raise ValueError(f"{path}: image has shape {shape}, expected (N, 5, y, x)")
    for key in _columns(file):
        if file[key].shape not in ((shape[0],), (shape[0], 1)):
            raise ValueError(
                f"{path}: {key} has shape {file[key].shape}, expected ({shape[0]},) or "
                f"({shape[0]}, 1), as there are images"
            )
    return int(shape[0]), int(shape[3])


def _object_ids(file: h5py.File, start: int, stop: int, path: str) -> np.ndarray:
    """HSC object_id [n] as int64. ValueError where the file stores them as floats."""
    ids = file["object_id"][start:stop].reshape(stop - start)
    if np.issubdtype(ids.dtype, np.floating):
        raise ValueError(
            f"{path}: object_id is {ids.dtype}, which cannot hold the 17 digits of HSC; store it "
            "as int64 or text"
        )
    return (
        np.array([int(one) for one in ids], np.int64)
        if ids.dtype.kind in "OSU"
        else (ids.astype(np.int64))
    )


def _repeated(files: list[_File]) -> list[np.ndarray]:
    """Bool per file and galaxy: whether an earlier one has its object_id and image size.

    The two releases show the same galaxies: one object in 64 and in 127 pixels is two samples of
    one system, but twice in one size would be one sample twice.
    """
    repeated = [np.zeros(len(one.object_ids), dtype=bool) for one in files]
    for side in {one.side_px for one in files}:
        of_side = [k for k, one in enumerate(files) if one.side_px == side]
        ids = np.concatenate([files[k].object_ids for k in of_side])
        again = np.ones(len(ids), dtype=bool)
        again[np.unique(ids, return_index=True)[1]] = False
        edges = np.cumsum([len(files[k].object_ids) for k in of_side])[:-1]
        for k, part in zip(of_side, np.split(again, edges), strict=True):
            repeated[k] = part
    return repeated


def read(
    name: str, dataset: GalaxiesMLDataset, start: int, stop: int, manifest: Manifest
) -> Iterator[Cutout | Rejected]:
    """Galaxies [start, stop) of all files in their order.

    A galaxy whose object_id has come before in the same image size is rejected; one that comes
    in both sizes is two samples, `NAME-ID` and `NAME-ID-127px`, of one system.
    """
    survey = survey_named(dataset.survey, name)
    files = [_checked(path, with_ids=True) for path in dataset.files]
    first = 0
    for file, repeated in zip(files, _repeated(files), strict=True):
        low, high = max(start - first, 0), min(stop - first, file.size)
        if low < high and file.reason:
            yield Rejected(file.path, WHOLE_FILE, file.reason)
        elif low < high:
            sha256 = raw_digest([file.path], manifest)
            source = _Source(name, dataset, survey, file.path, sha256, file.side_px)
            yield from _read_file(source, low, high, repeated)
        first += file.size


@dataclass(frozen=True)
class _Source:
    """What the galaxies of one file share."""

    name: str
    dataset: GalaxiesMLDataset
    survey: Survey
    path: str
    sha256: str
    side_px: int


def _read_file(
    source: _Source, start: int, stop: int, repeated: np.ndarray
) -> Iterator[Cutout | Rejected]:
    path = source.path
    with h5py.File(path) as file:
        for low in range(start, stop, _SLICE):
            high = min(low + _SLICE, stop)
            images: np.ndarray | None
            try:
                images = file["image"][low:high]
                scalars = _scalars(file, low, high, path)
            except UNREADABLE as error:
                # a damaged HDF5 chunk costs its slice, not the file
                reason = reason_of(error, path)
                yield from (Rejected(path, index, reason) for index in range(low, high))
                continue

            def one(
                index: int, low: int = low, images: np.ndarray = images, scalars: dict = scalars
            ) -> Cutout:
                row = {key: values[index - low] for key, values in scalars.items()}
                if repeated[index]:
                    raise ValueError(
                        f"{path}: object_id {row['object_id']} came before with images of this "
                        "size; list each file once"
                    )
                return _cutout(source, index, images[index - low], row)

            yield from attempt([(index, path) for index in range(low, high)], one)


def _columns(file: h5py.File) -> list[str]:
    """Scalar columns that are read, of those that the release has."""
    names = [*_SCALARS, *(f"{band}_{column}" for band in SLOTS for column in _PER_BAND)]
    return [key for key in names if key in file]


def _scalars(file: h5py.File, start: int, stop: int, path: str) -> dict[str, np.ndarray]:
    """Scalar columns of a slice as [n]; releases store them as (N,) or (N, 1)."""
    columns = {key: file[key][start:stop].reshape(stop - start) for key in _columns(file)}
    return columns | {"object_id": _object_ids(file, start, stop, path)}


def _cutout(source: _Source, index: int, image: np.ndarray, row: dict[str, Any]) -> Cutout:
    survey, where = source.survey, f"{source.path}[{index}]"
    ra, dec = _number(row, "ra"), _number(row, "dec")
    # sentinels such as -99 are no position, and NaN would keep the galaxy out of every group
    if not (0 <= ra <= 360 and -90 <= dec <= 90):
        raise ValueError(f"{where}: no position on the sky (ra {ra}, dec {dec})")
    planes = [
        plane(
            band,
            counts,
            njy_per_count(survey.zero_point(band, where)),
            unusable=unusable_counts(counts, {}, survey),
        )
        for band, counts in zip(SLOTS, image, strict=True)
    ]
    arrays, fields = fill_slots(planes, where)
    object_id = int(row["object_id"])
    size = "" if source.side_px == _SIDE_PX else f"-{source.side_px}px"
    metadata = Metadata(
        sample_id=f"{source.name}-{object_id}{size}",
        system_id=f"hsc-{object_id}",
        dataset=source.name,
        raw_file=source.path,
        raw_index=index,
        raw_sha256=source.sha256,
        official_split=next((part for part in _SPLITS if part in Path(source.path).name), ""),
        label=-1,
        label_source="pretrain:galaxiesml",
        label_confidence=0.0,
        pixel_scale=survey.pixel_scale_arcsec,
        instrument="HSC",
        survey=source.dataset.survey,
        ra=ra,
        dec=dec,
        **_redshift(row),
        **_photometry(row),
        **_shape(row, source.dataset, survey.pixel_scale_arcsec),
        **fields,
    )
    return Cutout(metadata=metadata, **arrays)


def _number(row: dict[str, Any], key: str) -> float:
    return float(row[key]) if key in row else math.nan


def _redshift(row: dict[str, Any]) -> dict[str, Any]:
    z, error = _number(row, "specz_redshift"), _number(row, "specz_redshift_err")
    if not (math.isfinite(z) and z >= 0):
        return {}
    source = row.get("specz_name", b"")
    text = source.decode(errors="replace") if isinstance(source, bytes) else str(source)
    return {
        "z_spec": z,
        "z_err": error if math.isfinite(error) and error >= 0 else -1.0,
        "z_source": text.strip(" \0"),
    }


def _photometry(row: dict[str, Any]) -> dict[str, Any]:
    """CModel magnitudes and fluxes; magnitudes outside 0..40 are sentinels."""
    magnitude = [_number(row, f"{band}_cmodel_mag") for band in SLOTS]
    magnitude = [mag if 0 < mag < 40 else math.nan for mag in magnitude]
    return {
        "magnitude": tuple(magnitude),
        "flux": tuple(float(njy_from_magnitude(mag)) for mag in magnitude),
    }


def _shape(row: dict[str, Any], dataset: GalaxiesMLDataset, scale_arcsec: float) -> dict[str, Any]:
    """Shape in i or the nearest measured band; a missing SExtractor value is 0.0.

    pos_angle is taken as SExtractor's THETA_IMAGE, counter-clockwise from +x; with East to the
    left that is a position angle (East of North) of theta - 90 degrees.
    """
    measured = (
        band for band in _SHAPE_BANDS if 0 < _number(row, f"{band}_half_light_radius") < math.inf
    )
    band = next(measured, None)
    if band is None:
        return {}
    to_arcsec = scale_arcsec if dataset.half_light_radius_unit == "pixel" else 1.0
    sersic, ellipticity, theta = (
        _number(row, f"{band}_{key}") for key in ("sersic_index", "ellipticity", "pos_angle")
    )
    # 0.0 and -99 mean missing; SExtractor's angles lie in -90..90
    return {
        "sersic_index": sersic if 0 < sersic < math.inf else math.nan,
        "half_light_radius": _number(row, f"{band}_half_light_radius") * to_arcsec,
        "axis_ratio": 1.0 - ellipticity if 0 < ellipticity < 1 else math.nan,
        "position_angle": (theta - 90.0) % 180.0 if 0 < abs(theta) <= 90 else math.nan,
    }
