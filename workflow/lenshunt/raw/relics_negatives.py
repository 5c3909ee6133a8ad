"""Which cluster members are safe negatives: away from known arcs, and hardly magnified."""

import numpy as np
import pandas as pd
from astropy.table import Table

from lenshunt.config import RelicsDataset
from lenshunt.core.cosmology import distance_ratio
from lenshunt.raw.crop import first_pixel
from lenshunt.raw.deflection_maps import magnification, magnification_around, read_deflection_maps
from lenshunt.raw.field_images import FieldImages, separation_arcsec
from lenshunt.raw.field_objects import Selection
from lenshunt.raw.relics_catalogue import Catalogue

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
