"""GalaxiesML HDF5 files (arXiv:2410.00271): HSC galaxies in g r i z y, no lens labels."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lenshunt.config import GalaxiesMLDataset
from lenshunt.provenance import Manifest
from lenshunt.raw.calibration import unusable_counts
from lenshunt.raw.planes import fill_slots, plane
from lenshunt.raw.reader import UNREADABLE, attempt, no_star_field, raw_digest, reason_of
from lenshunt.records import SLOTS, Cutout, Metadata, Rejected, njy_from_magnitude, njy_per_count
from lenshunt.surveys import survey_named

star_field = no_star_field

#: Galaxies read at once; a file has 17-90 GB and is never read whole.
_SLICE = 256
_SPLITS = ("training", "validation", "testing")
#: Band whose shape is kept: i, else the next that SExtractor measured.
_SHAPE_BANDS = ("i", "r", "z", "g", "y")
_SCALARS = ("object_id", "ra", "dec", "specz_name", "specz_redshift", "specz_redshift_err")
_PER_BAND = ("cmodel_mag", "sersic_index", "half_light_radius", "ellipticity", "pos_angle")


def count(dataset: GalaxiesMLDataset) -> int:
    """Number of galaxies; a file that cannot be opened counts as one (rejected) object."""
    return sum(size for _, size, _ in _sizes(dataset))


def _sizes(dataset: GalaxiesMLDataset) -> list[tuple[str, int, str]]:
    """(path, number of galaxies, "") per file; (path, 1, reason) where it cannot be read."""
    sizes = []
    for path in dataset.files:
        try:
            with h5py.File(path) as file:
                sizes.append((path, _checked_length(file, path), ""))
        except UNREADABLE as error:
            sizes.append((path, 1, reason_of(error, path)))
    return sizes


def _checked_length(file: h5py.File, path: str) -> int:
    """Number of galaxies of a file with the layout that is expected."""
    # without a position nothing could be kept from lying in two splits
    for key in ("image", "object_id", "ra", "dec"):
        if key not in file:
            raise ValueError(f"{path}: no data set {key!r}; is this a GalaxiesML file?")
    shape = file["image"].shape
    if len(shape) != 4 or shape[1] != len(SLOTS):
        raise ValueError(f"{path}: image has shape {shape}, expected (N, 5, y, x)")
    return int(shape[0])


def read(
    name: str, dataset: GalaxiesMLDataset, start: int, stop: int, manifest: Manifest
) -> Iterator[Cutout | Rejected]:
    """Galaxies [start, stop) of all files in their order."""
    first = 0
    for path, size, reason in _sizes(dataset):
        low, high = max(start - first, 0), min(stop - first, size)
        if low < high and reason:
            yield Rejected(path, 0, reason)
        elif low < high:
            yield from _read_file(name, dataset, path, low, high, manifest)
        first += size


def _read_file(
    name: str, dataset: GalaxiesMLDataset, path: str, start: int, stop: int, manifest: Manifest
) -> Iterator[Cutout | Rejected]:
    sha256 = raw_digest([path], manifest)
    with h5py.File(path) as file:
        for low in range(start, stop, _SLICE):
            high = min(low + _SLICE, stop)
            images: np.ndarray | None
            try:
                images = file["image"][low:high]
                scalars = _scalars(file, low, high)
            except UNREADABLE as error:
                # a damaged HDF5 chunk costs its slice, not the file
                reason = reason_of(error, path)
                yield from (Rejected(path, index, reason) for index in range(low, high))
                continue

            def one(
                index: int, low: int = low, images: np.ndarray = images, scalars: dict = scalars
            ) -> Cutout:
                row = {key: values[index - low] for key, values in scalars.items()}
                return _cutout(name, dataset, path, index, sha256, images[index - low], row)

            yield from attempt([(index, path) for index in range(low, high)], one)


def _scalars(file: h5py.File, start: int, stop: int) -> dict[str, np.ndarray]:
    """Scalar columns of a slice as [n]; releases store them as (N,) or (N, 1)."""
    names = [*_SCALARS, *(f"{band}_{column}" for band in SLOTS for column in _PER_BAND)]
    return {key: file[key][start:stop].reshape(stop - start) for key in names if key in file}


def _cutout(
    name: str,
    dataset: GalaxiesMLDataset,
    path: str,
    index: int,
    sha256: str,
    image: np.ndarray,
    row: dict[str, Any],
) -> Cutout:
    survey = survey_named(dataset.survey, name)
    where = f"{path}[{index}]"
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
    metadata = Metadata(
        sample_id=f"{name}-{object_id}",
        system_id=f"hsc-{object_id}",
        dataset=name,
        raw_file=path,
        raw_index=index,
        raw_sha256=sha256,
        official_split=next((split for split in _SPLITS if split in Path(path).name), ""),
        label=-1,
        label_source="pretrain:galaxiesml",
        label_confidence=0.0,
        pixel_scale=survey.pixel_scale_arcsec,
        instrument="HSC",
        survey=dataset.survey,
        ra=_number(row, "ra"),
        dec=_number(row, "dec"),
        **_redshift(row),
        **_photometry(row),
        **_shape(row, dataset, survey.pixel_scale_arcsec),
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
    return {
        "z_spec": z,
        "z_err": error if math.isfinite(error) and error >= 0 else -1.0,
        "z_source": source.decode() if isinstance(source, bytes) else str(source),
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
    measured = (band for band in _SHAPE_BANDS if _number(row, f"{band}_half_light_radius") > 0)
    band = next(measured, None)
    if band is None:
        return {}
    to_arcsec = scale_arcsec if dataset.half_light_radius_unit == "pixel" else 1.0
    sersic, ellipticity, theta = (
        _number(row, f"{band}_{key}") or math.nan
        for key in ("sersic_index", "ellipticity", "pos_angle")
    )
    return {
        "sersic_index": sersic,
        "half_light_radius": _number(row, f"{band}_half_light_radius") * to_arcsec,
        "axis_ratio": 1.0 - ellipticity,
        "position_angle": (theta - 90.0) % 180.0,
    }
