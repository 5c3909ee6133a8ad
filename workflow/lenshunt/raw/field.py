"""A survey team's own field: images and weights by filter, and a catalogue of objects."""

import logging
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pandas as pd

from lenshunt.config import FieldDataset
from lenshunt.core import Manifest
from lenshunt.raw.calibration import njy_per_pixel_unit
from lenshunt.raw.field_catalogue import FieldCatalogue, read_field_catalogue
from lenshunt.raw.field_images import FieldImages, open_images
from lenshunt.raw.field_objects import (
    FieldObjects,
    Selection,
    cut_around,
    photometry,
    scan_grid,
    stars_of,
)
from lenshunt.raw.fits_image import (
    Keywords,
    image_planes,
    keywords,
    open_fits,
    pixel_scale_of,
    pixels,
    seeing_of,
)
from lenshunt.raw.psfs import shipped_psf
from lenshunt.raw.reader import UNREADABLE, join_paths, raw_digest, reason_of
from lenshunt.records import Cutout, Metadata, Rejected, filter_named
from lenshunt.surveys import AUTO, survey_named, survey_of

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
