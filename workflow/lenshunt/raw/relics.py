"""RELICS cluster fields: hard negatives around cluster members, or a whole field to be searched."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from lenshunt.config import RelicsDataset
from lenshunt.config.datasets import RelicsField
from lenshunt.provenance import Manifest
from lenshunt.raw.calibration import unusable_counts
from lenshunt.raw.crop import crop, first_pixel
from lenshunt.raw.planes import Plane, fill_slots, plane
from lenshunt.raw.reader import UNREADABLE, attempt, join_paths, raw_digest, reason_of
from lenshunt.raw.relics_catalogue import (
    away_from,
    brightest_magnitude,
    is_member,
    observed_magnitude,
    read_catalogue,
)
from lenshunt.raw.relics_field import FieldImage, FieldImages, open_field
from lenshunt.records import SLOTS, Cutout, Metadata, Rejected, filter_named, njy_from_magnitude
from lenshunt.surveys import Survey, survey_named


def _targets(dataset: RelicsDataset, cluster: str, images: FieldImages) -> pd.DataFrame:
    """Objects of one field: name, ra, dec, x, y (0-based) and catalogue values where it has them.

    Those whose centre lies off the images, or where no filter was observed, are not objects.
    """
    field = dataset.fields[cluster]
    table = read_catalogue(field.catalogue)
    keep = brightest_magnitude(table) <= dataset.magnitude_max
    if dataset.role == "negatives":
        keep &= _is_negative(dataset, cluster, table)
    table = table[keep].reset_index(drop=True)
    ra, dec = table["RA"].to_numpy(dtype=float), table["Dec"].to_numpy(dtype=float)
    x, y = images.pixel(ra, dec)
    sources = table.assign(name=[f"{k}" for k in table["id"]], ra=ra, dec=dec, x=x, y=y)
    if dataset.role == "search" and dataset.scan_step_arcsec:
        sources = pd.concat([sources, _grid(images, dataset.scan_step_arcsec)], ignore_index=True)
    observed = images.observed(sources["x"].to_numpy(), sources["y"].to_numpy())
    return sources[observed].reset_index(drop=True)


def _is_negative(dataset: RelicsDataset, cluster: str, table: pd.DataFrame) -> np.ndarray:
    """Cluster members away from known arcs; without an arc list no negative can be told."""
    field: RelicsField = dataset.fields[cluster]
    if field.arcs is None:
        raise ValueError(
            f"{field.catalogue}: field {cluster} has no arc list, so its members may be lensed; "
            f"name one under fields.{cluster}.arcs or leave the field out"
        )
    if cluster not in dataset.z_cluster:
        raise ValueError(
            f"{field.catalogue}: no redshift of cluster {cluster}; name it under "
            f"z_cluster.{cluster}"
        )
    ra, dec = table["RA"].to_numpy(dtype=float), table["Dec"].to_numpy(dtype=float)
    member = is_member(table, dataset.z_cluster[cluster], field.catalogue)
    return member & away_from(ra, dec, field.arcs, dataset.arc_radius_arcsec)


def _grid(images: FieldImages, step_arcsec: float) -> pd.DataFrame:
    """Regular grid of positions over the image, `step_arcsec` apart."""
    height, width = images.shape
    step_px = step_arcsec / images.pixel_scale_arcsec
    rows = np.arange(step_px / 2, height, step_px)
    columns = np.arange(step_px / 2, width, step_px)
    y, x = (part.ravel() for part in np.meshgrid(rows, columns, indexing="ij"))
    row, column = np.divmod(np.arange(len(x)), len(columns))
    ra, dec = images.sky(x, y)
    names = [f"grid-{j}-{i}" for j, i in zip(row, column, strict=True)]
    return pd.DataFrame({"name": names, "ra": ra, "dec": dec, "x": x, "y": y})


def count(dataset: RelicsDataset) -> int:
    """Number of objects; a field that cannot be read counts as one (rejected) object."""
    survey_named(dataset.survey)
    return sum(_count_field(dataset, cluster) for cluster in dataset.fields)


def _count_field(dataset: RelicsDataset, cluster: str) -> int:
    try:
        with open_field(dataset.fields[cluster]) as images:
            return len(_targets(dataset, cluster, images))
    except UNREADABLE:
        return 1


def read(
    name: str, dataset: RelicsDataset, start: int, stop: int, manifest: Manifest
) -> Iterator[Cutout | Rejected]:
    """Objects [start, stop), field by field, sources in the order of the catalogue, then grid."""
    survey = survey_named(dataset.survey, name)
    first = 0
    for cluster, field in dataset.fields.items():
        try:
            with open_field(field) as images:
                targets = _targets(dataset, cluster, images)
                size = len(targets)
                low, high = max(start - first, 0), min(stop - first, size)
                yield from _read_field(
                    name, dataset, cluster, images, targets, range(low, high), survey, manifest
                )
        except UNREADABLE as error:
            size = 1
            if start <= first < stop:
                yield Rejected(field.catalogue, 0, reason_of(error, field.catalogue))
        first += size


def _read_field(
    name: str,
    dataset: RelicsDataset,
    cluster: str,
    images: FieldImages,
    targets: pd.DataFrame,
    wanted: range,
    survey: Survey,
    manifest: Manifest,
) -> Iterator[Cutout | Rejected]:
    field = dataset.fields[cluster]
    paths = [image.path for image in images.images]
    files = [*paths, *(image.weight_path for image in images.images if image.weight_path)]
    common = {
        "dataset": name,
        "raw_file": join_paths(paths),
        "raw_sha256": raw_digest([*files, field.catalogue], manifest) if len(wanted) else "",
        "pixel_scale": images.pixel_scale_arcsec,
        "instrument": images.images[0].instrument,
        "survey": dataset.survey,
        **_label(dataset),
    }

    def one(index: int) -> Cutout:
        target = targets.iloc[index]
        identity = f"{cluster}-{target['name']}"
        planes = [_plane(image, target, dataset.size_px, survey) for image in images.images]
        arrays, fields = fill_slots(planes, f"{field.catalogue}: {identity}")
        if _reaches_out(target, images, dataset.size_px):
            fields["flags"] = ";".join(filter(None, (fields["flags"], "partly_outside")))
        metadata = Metadata(
            sample_id=f"{name}-{identity}",
            system_id=identity,
            raw_index=index,
            ra=float(target["ra"]),
            dec=float(target["dec"]),
            **common,
            **_catalogue_facts(target, fields["bands"]),
            **fields,
        )
        return Cutout(metadata=metadata, **arrays)

    yield from attempt([(index, join_paths(paths)) for index in wanted], one)


def _label(dataset: RelicsDataset) -> dict[str, Any]:
    if dataset.role == "negatives":
        return {"label": 0, "label_source": dataset.label_source, "label_confidence": 0.99}
    return {"label": -1, "label_source": "unlabelled", "label_confidence": 0.0}


def _reaches_out(target: pd.Series, images: FieldImages, size_px: int) -> bool:
    height, width = images.shape
    left, bottom = first_pixel(target["x"], size_px), first_pixel(target["y"], size_px)
    return bool(left < 0 or bottom < 0 or left + size_px > width or bottom + size_px > height)


def _plane(image: FieldImage, target: pd.Series, size_px: int, survey: Survey) -> Plane:
    """One filter around a target, in nJy; variance from the inverse-variance weights."""
    counts, outside = crop(image.pixels, target["x"], target["y"], size_px)
    bad = unusable_counts(counts, image.header, survey) | outside
    variance = None
    if image.weight is not None:
        weight, _ = crop(image.weight, target["x"], target["y"], size_px)
        bad |= ~(weight > 0)
        variance = np.divide(1.0, weight, out=np.full(weight.shape, np.inf), where=weight > 0)
    else:
        # drizzled images are exactly 0 where no exposure contributes
        bad |= counts == 0
    return plane(image.filter_name, counts, image.njy, variance=variance, unusable=bad)


def _catalogue_facts(target: pd.Series, bands: tuple[str, ...]) -> dict[str, Any]:
    """Photometric redshift, magnitudes, axis ratio of a catalogue source; none of a grid point.

    bands : filter whose image fills each slot; where it is "", any filter of the slot will do
    Catalogue magnitudes are corrected for Galactic extinction, the pixels are not.
    """
    if pd.isna(target.get("id", math.nan)):
        return {}
    facts: dict[str, Any] = {}
    z = float(target.get("zb", -1.0))
    if z >= 0:
        width = float(target.get("zbmax", math.nan)) - float(target.get("zbmin", math.nan))
        # zbmin and zbmax bound 95 %, that is +-1.96 sigma
        facts |= {"z_phot": z, "z_source": "bpz"}
        facts |= {"z_err": width / 3.92} if math.isfinite(width) and width >= 0 else {}
    magnitude = [math.nan] * len(SLOTS)
    for key in target.index:
        if key.endswith("_mag") and key != "bright_mag":
            known = filter_named(key.removesuffix("_mag"))
            slot = SLOTS.index(known.slot)
            value = float(observed_magnitude(pd.Series([target[key]]))[0])
            if math.isnan(magnitude[slot]) and bands[slot] in ("", known.name):
                magnitude[slot] = value
    facts["magnitude"] = tuple(magnitude)
    facts["flux"] = tuple(float(njy_from_magnitude(value)) for value in magnitude)
    if 0 <= float(target.get("ell", math.nan)) < 1:
        facts["axis_ratio"] = 1.0 - float(target["ell"])
    return facts


def star_field(
    dataset: RelicsDataset, raw_file: str, filter_name: str
) -> tuple[np.ndarray, float] | None:
    """Whole field in nJy (NaN where unobserved) and its scale, for the files of `raw_file`."""
    paths = set(raw_file.split(";"))
    for field in dataset.fields.values():
        if not paths <= set(field.images.values()):
            continue
        with open_field(field) as images:
            for image in images.images:
                if image.filter_name.upper() == filter_name.upper():
                    pixels = np.asarray(image.pixels, dtype=np.float64) * image.njy
                    unobserved = pixels == 0
                    if image.weight is not None:
                        unobserved = ~(np.asarray(image.weight) > 0)
                    return np.where(unobserved, np.nan, pixels), images.pixel_scale_arcsec
    return None
