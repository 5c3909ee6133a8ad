"""RELICS cluster fields: negatives around cluster members, or a whole field to be searched."""

import logging
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pandas as pd
from astropy.table import Table

from lenshunt.config import RelicsDataset, RelicsField
from lenshunt.core import Manifest
from lenshunt.core.cosmology import distance_ratio
from lenshunt.readers.crop import first_pixel
from lenshunt.readers.deflection_maps import (
    magnification,
    magnification_around,
    read_deflection_maps,
)
from lenshunt.readers.field_images import FieldImages, open_images, separation_arcsec
from lenshunt.readers.field_objects import (
    FieldObjects,
    Selection,
    cut_around,
    photometry,
    scan_grid,
    stars_of,
)
from lenshunt.readers.reader import UNREADABLE, join_paths, raw_digest, reason_of
from lenshunt.readers.relics_catalogue import Catalogue, read_catalogue
from lenshunt.readers.zero_points import njy_per_hst_count
from lenshunt.schema import WHOLE_FILE, Cutout, Metadata, Rejected, survey_of

#: Half-width in redshift within which a source counts as a cluster member.
_MEMBER_DZ = 0.1
#: SExtractor stellarity from which a source is taken to be a star.
_STELLARITY_STAR = 0.8


def require_negative(
    selection: Selection,
    dataset: RelicsDataset,
    cluster: str,
    catalogue: Catalogue,
    images: FieldImages,
) -> None:
    """Keep cluster members that show no lensed image.

    With an arc list: no known arc within arc_radius_arcsec of the cutout's centre, nor anywhere
    in the cutout, whose corners may lie farther out: a negative that shows an arc is a wrong
    label. With deflection maps: |mu| below magnification_max. With both, both. Raises ValueError
    naming the key where the field has neither, or no redshift.
    """
    field, table = dataset.fields[cluster], catalogue.table
    if field.arcs is None and field.deflection_x is None:
        raise ValueError(
            f"{field.catalogue}: field {cluster} has neither an arc list nor deflection maps, so "
            f"its members may be lensed; name them under fields.{cluster}.arcs or "
            f"fields.{cluster}.deflection_x and deflection_y, or leave the field out"
        )
    if cluster not in dataset.z_cluster:
        raise ValueError(
            f"{field.catalogue}: no redshift of cluster {cluster}; name it under "
            f"z_cluster.{cluster}"
        )
    if "z_phot" not in catalogue.columns:
        raise ValueError(
            f"{catalogue.path}: no column 'zb' (nor z_b, zphot), so members cannot be told"
        )
    near = np.abs(table["z_phot"].to_numpy() - dataset.z_cluster[cluster]) < _MEMBER_DZ
    selection.require(f"not within {_MEMBER_DZ} of the cluster's redshift", near)
    # a missing stellarity compares as False: not known to be a star
    selection.require("stars", ~(table["stellarity"].to_numpy() >= _STELLARITY_STAR))
    if field.arcs is not None:
        _require_no_arc(selection, dataset, field.arcs, table, images)
    if field.deflection_x is not None:
        _require_faint_lensing(selection, dataset, cluster, table, images)


def _require_no_arc(
    selection: Selection,
    dataset: RelicsDataset,
    arcs_path: str,
    table: pd.DataFrame,
    images: FieldImages,
) -> None:
    arc_ra, arc_dec = read_arcs(arcs_path)
    ra, dec = table["ra"].to_numpy()[:, None], table["dec"].to_numpy()[:, None]
    distance = separation_arcsec(ra, dec, arc_ra, arc_dec).min(axis=1, initial=np.inf)
    rule = f"within {dataset.arc_radius_arcsec:g} arcsec of a known arc"
    selection.require(rule, distance > dataset.arc_radius_arcsec)
    if dataset.arcs_inside_cutout:
        return
    x, y = images.pixel(table["ra"].to_numpy(), table["dec"].to_numpy())
    arc_x, arc_y = images.pixel(arc_ra, arc_dec)
    shown = _in_cutout(x, arc_x, dataset.size_px) & _in_cutout(y, arc_y, dataset.size_px)
    selection.require("with a known arc in the cutout", ~shown.any(axis=1))


def _in_cutout(centre: np.ndarray, other: np.ndarray, size_px: int) -> np.ndarray:
    """Bool [n, m]: pixel coordinate `other` lies on the cutout around `centre`, along one axis."""
    first = np.array([first_pixel(c, size_px) if np.isfinite(c) else np.nan for c in centre])
    offset = other[None, :] - first[:, None]
    return (offset >= -0.5) & (offset <= size_px - 0.5)


def read_arcs(path: str) -> tuple[np.ndarray, np.ndarray]:
    """(ra, dec) in degrees of known arcs and multiple images from ECSV."""
    arcs = Table.read(path, format="ascii.ecsv")
    missing = [name for name in ("ra", "dec") if name not in arcs.colnames]
    if missing:
        raise ValueError(f"{path}: no column {missing[0]!r}, expected ra and dec in degrees")
    cells: list[np.ndarray] = [np.ma.asarray(arcs[key], dtype=float) for key in ("ra", "dec")]
    ra, dec = (np.asarray(np.ma.filled(cell, np.nan)) for cell in cells)
    lost = np.flatnonzero(~np.isfinite(ra + dec))
    if len(lost):
        raise ValueError(f"{path}: row {lost[0] + 1} has no position; complete it or take it out")
    return ra, dec


def _require_faint_lensing(
    selection: Selection,
    dataset: RelicsDataset,
    cluster: str,
    table: pd.DataFrame,
    images: FieldImages,
) -> None:
    side_arcsec = dataset.size_px * images.pixel_scale_arcsec
    field = dataset.fields[cluster]
    maps = read_deflection_maps(str(field.deflection_x), str(field.deflection_y), field.kappa)
    ratio = distance_ratio(dataset.z_cluster[cluster], dataset.z_source_max)
    position = table["ra"].to_numpy(), table["dec"].to_numpy()
    mu = magnification_around(maps, magnification(maps, ratio), *position, side_arcsec)
    selection.require("off the deflection maps", np.isfinite(mu))
    rule = f"magnified {dataset.magnification_max:g} times or more at z = {dataset.z_source_max:g}"
    # what lies off the maps is out already; NaN compares as False
    selection.require(rule, mu < dataset.magnification_max)


LOG = logging.getLogger(__name__)


def _open(field: RelicsField) -> AbstractContextManager[FieldImages]:
    return open_images(
        field.images, field.weights, lambda header, _, path: njy_per_hst_count(header, path)
    )


def _objects(dataset: RelicsDataset, cluster: str, images: FieldImages) -> FieldObjects:
    """Sources of one field that the config wants, and the scan.

    Those whose centre lies off the images, or where no filter was observed, are not objects.
    """
    catalogue = read_catalogue(dataset.fields[cluster].catalogue)
    selection = _selection(dataset, cluster, catalogue, images)
    table = catalogue.table[selection.keep].reset_index(drop=True)
    x, y = images.pixel(table["ra"].to_numpy(), table["dec"].to_numpy())
    sources = table.assign(name=[f"{k}" for k in table["id"]], x=x, y=y)
    if dataset.role == "search" and dataset.scan_step_arcsec:
        grid = scan_grid(images, dataset.scan_step_arcsec / images.pixel_scale_arcsec)
        sources = pd.concat([sources, grid], ignore_index=True)
    first = images.images[0]
    survey = survey_of(dataset.survey, first.header, first.path)
    text = f"field {cluster}: {selection.text()}"
    return FieldObjects(catalogue.path, sources, catalogue.broken, survey, text)


def _selection(
    dataset: RelicsDataset, cluster: str, catalogue: Catalogue, images: FieldImages
) -> Selection:
    table = catalogue.table
    selection = Selection(np.ones(len(table), bool), {})
    bright = table["bright_mag"].to_numpy() <= dataset.magnitude_max
    selection.require(f"fainter than {dataset.magnitude_max:g} or without a magnitude", bright)
    if dataset.role == "negatives":
        require_negative(selection, dataset, cluster, catalogue, images)
    x, y = images.pixel(table["ra"].to_numpy(), table["dec"].to_numpy())
    selection.require("not observed", images.observed_of(x, y, catalogue.path))
    return selection


def count(dataset: RelicsDataset) -> int:
    """Number of objects, broken rows included; a field that cannot be read counts as one."""
    return sum(_count_field(dataset, cluster) for cluster in dataset.fields)


def _count_field(dataset: RelicsDataset, cluster: str) -> int:
    try:
        with _open(dataset.fields[cluster]) as images:
            return len(_objects(dataset, cluster, images))
    except UNREADABLE:
        return 1


def read(
    name: str, dataset: RelicsDataset, start: int, stop: int, manifest: Manifest
) -> Iterator[Cutout | Rejected]:
    """Objects [start, stop), field by field: sources in the order of the catalogue, the scan,
    then the rows of the catalogue that are broken, as rejections."""
    first = 0
    for cluster, field in dataset.fields.items():
        try:
            with _open(field) as images:
                objects = _objects(dataset, cluster, images)
                size = len(objects)
                wanted = range(max(start - first, 0), min(stop - first, size))
                if wanted:
                    LOG.info("%s: %s", name, objects.text)
                yield from _read_field(name, dataset, cluster, images, objects, wanted, manifest)
        except UNREADABLE as error:
            size = 1
            if start <= first < stop:
                yield Rejected(field.catalogue, WHOLE_FILE, reason_of(error, field.catalogue))
        first += size


def _read_field(
    name: str,
    dataset: RelicsDataset,
    cluster: str,
    images: FieldImages,
    objects: FieldObjects,
    wanted: range,
    manifest: Manifest,
) -> Iterator[Cutout | Rejected]:
    field, targets = dataset.fields[cluster], objects.targets
    paths = [image.path for image in images.images]
    common = {
        "dataset": name,
        "raw_file": join_paths(paths),
        "pixel_scale": images.pixel_scale_arcsec,
        "instrument": images.images[0].instrument or "HST",
        "survey": objects.survey.name,
        **_label(dataset),
    }

    def one(index: int) -> Cutout:
        target = targets.iloc[index]
        identity = f"{cluster}-{target['name']}"
        where = f"{field.catalogue}: {identity}"
        x, y = float(target["x"]), float(target["y"])
        arrays, fields = cut_around(images, x, y, dataset.size_px, objects.survey, where)
        metadata = Metadata(
            sample_id=f"{name}-{identity}",
            system_id=identity,
            raw_index=index,
            raw_sha256=raw_digest([*images.paths, field.catalogue], manifest),
            ra=float(target["ra"]),
            dec=float(target["dec"]),
            **common,
            **_catalogue_facts(target, fields["bands"]),
            **fields,
        )
        return Cutout(metadata=metadata, **arrays)

    yield from objects.read(images, wanted, one)


def _label(dataset: RelicsDataset) -> dict[str, Any]:
    if dataset.role == "negatives":
        return {"label": 0, "label_source": dataset.label_source, "label_confidence": 0.99}
    return {"label": -1, "label_source": "unlabelled", "label_confidence": 0.0}


def _catalogue_facts(target: pd.Series, bands: tuple[str, ...]) -> dict[str, Any]:
    """Photometric redshift, magnitudes, axis ratio of a catalogue source; none of a grid point.

    bands : filter whose image fills each slot
    Catalogue magnitudes are corrected for Galactic extinction, the pixels are not.
    """
    if pd.isna(target.get("id", math.nan)):
        return {}
    facts: dict[str, Any] = {}
    if target["z_phot"] >= 0:
        facts |= {"z_phot": float(target["z_phot"]), "z_source": "bpz"}
        width = float(target["z_max"] - target["z_min"])
        # z_min and z_max bound 95 %, that is +-1.96 sigma
        facts |= {"z_err": width / 3.92} if math.isfinite(width) and width >= 0 else {}
    magnitudes = {
        str(key).removesuffix("_mag"): float(target[key])
        for key in target.index
        if str(key).endswith("_mag") and key != "bright_mag"
    }
    facts |= photometry(magnitudes, bands)
    if 0 <= target["ellipticity"] < 1:
        facts["axis_ratio"] = 1.0 - float(target["ellipticity"])
    return facts


def star_field(
    dataset: RelicsDataset, raw_file: str, filter_name: str
) -> tuple[np.ndarray, float] | None:
    """Middle of the field in nJy (NaN where unobserved) and its scale, for the files given."""
    paths = set(raw_file.split(";"))
    for field in dataset.fields.values():
        if paths <= set(field.images.values()):
            with _open(field) as images:
                stars = stars_of(images, filter_name)
                return None if stars is None else (stars, images.pixel_scale_arcsec)
    return None
