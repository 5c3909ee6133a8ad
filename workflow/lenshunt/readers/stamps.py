"""HSC stamps as NPZ (scarlet's layout): images, variance, mask and psfs in g r i z y."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lenshunt.config import StampsDataset
from lenshunt.core import Manifest
from lenshunt.core.patterns import resolve
from lenshunt.readers.crop import crop
from lenshunt.readers.planes import fill_slots, plane
from lenshunt.readers.psfs import shipped_psf
from lenshunt.readers.reader import attempt, raw_digest
from lenshunt.schema import SLOTS, Cutout, Metadata, Rejected, Survey, njy_per_count, survey_named

#: Mask planes of LSST afw in their default order (afw MaskedImage). The files name no planes; the
#: order is confirmed by their use: bit 5 covers the objects, bits 2 and 3 the same cosmic rays.
_AFW_BITS = {"BAD": 0, "SAT": 1, "INTRP": 2, "CR": 3, "EDGE": 4, "DETECTED": 5, "NO_DATA": 8}
#: INTRP and CR pixels hold interpolated flux and stay in use.
_UNUSABLE = sum(1 << _AFW_BITS[plane] for plane in ("BAD", "SAT", "EDGE", "NO_DATA"))
_KEYS = ("images", "variance", "mask", "psfs")


def count(dataset: StampsDataset) -> int:
    """Number of stamps."""
    return len(resolve(dataset.images))


def read(
    name: str, dataset: StampsDataset, start: int, stop: int, manifest: Manifest
) -> Iterator[Cutout | Rejected]:
    """Stamps [start, stop) in the order of their file names."""
    survey = survey_named(dataset.survey, name)
    files = resolve(dataset.images)
    yield from attempt(
        [(index, files[index]) for index in range(start, stop)],
        lambda index: _cutout(name, dataset, index, files[index], survey, manifest),
        [Path(path).stem for path in files],
    )


def _cutout(
    name: str, dataset: StampsDataset, index: int, path: str, survey: Survey, manifest: Manifest
) -> Cutout:
    arrays_in = _checked(path)
    planes = []
    for band, filter_name in enumerate(SLOTS):
        counts, variance = arrays_in["images"][band], arrays_in["variance"][band]
        bad = (arrays_in["mask"] & _UNUSABLE) != 0
        bad = bad if bad.ndim == 2 else bad[band]
        if dataset.size_px is not None:
            height, width = counts.shape
            centre = ((width - 1) / 2, (height - 1) / 2)
            counts, outside = crop(counts, *centre, dataset.size_px)
            variance, _ = crop(variance, *centre, dataset.size_px)
            bad = (crop(bad, *centre, dataset.size_px)[0] != 0) | outside
        planes.append(
            plane(
                filter_name,
                counts,
                njy_per_count(survey.zero_point(filter_name, path)),
                variance=variance,
                unusable=bad,
                psf=shipped_psf(arrays_in["psfs"][band], path),
            )
        )
    arrays, fields = fill_slots(planes, path)
    metadata = Metadata(
        sample_id=f"{name}-{Path(path).stem}",
        system_id=f"hsc-{Path(path).stem}",
        dataset=name,
        raw_file=path,
        raw_index=index,
        raw_sha256=raw_digest([path], manifest),
        label=dataset.label,
        label_source=dataset.label_source,
        label_confidence=1.0 if dataset.label == 0 else 0.0,
        pixel_scale=survey.pixel_scale_arcsec,
        instrument="HSC",
        survey=dataset.survey,
        **fields,
    )
    return Cutout(metadata=metadata, **arrays)


def _checked(path: str) -> dict[str, np.ndarray]:
    """Arrays of a stamp by name. Raises ValueError naming the file and what is wrong with it."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {key: file[key] for key in _KEYS if key in file}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: no whole NPZ file ({error}); get it again") from error
    missing = [key for key in _KEYS if key not in found]
    if missing:
        raise ValueError(f"{path}: no array {missing[0]!r}, expected {', '.join(_KEYS)}")
    return _with_checked_shapes(found, path)


def _with_checked_shapes(arrays: dict[str, np.ndarray], path: str) -> dict[str, np.ndarray]:
    """The same arrays. Raises ValueError where their shapes do not fit together."""
    shape = arrays["images"].shape
    if len(shape) != 3 or shape[0] != len(SLOTS):
        raise ValueError(f"{path}: images have shape {shape}, expected [5, y, x] in g r i z y")
    if arrays["variance"].shape != shape or arrays["mask"].shape not in (shape, shape[1:]):
        raise ValueError(f"{path}: variance or mask does not have the shape of the images {shape}")
    if len(arrays["psfs"]) != len(SLOTS):
        raise ValueError(f"{path}: {len(arrays['psfs'])} PSFs, expected 5")
    return arrays
