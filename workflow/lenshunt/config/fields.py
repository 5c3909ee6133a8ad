"""Data sets of whole fields (readers relics and field), and that no scored field trains."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Literal

from pydantic import Field

from lenshunt.config.base import Strict
from lenshunt.config.dataset_section import DatasetSection
from lenshunt.schema import metadata


class RelicsField(Strict):
    """One RELICS cluster field."""

    images: dict[str, str]
    """Drizzled science image by filter, for example F814W: PATH_drc.fits."""
    weights: dict[str, str] = {}
    """Inverse-variance image by filter (the _wht files)."""
    catalogue: str
    """Source catalogue of the field (the _cat.txt file)."""
    arcs: str | None = None
    """Known arcs and multiple images: ECSV with columns ra, dec in degrees."""
    deflection_x: str | None = None
    """Deflection map of a lens model, x in arcsec at D_LS/D_S = 1 (x-arcsec-deflect.fits)."""
    deflection_y: str | None = None
    """Deflection map of the same model, y in arcsec (y-arcsec-deflect.fits)."""
    kappa: str | None = None
    """Convergence map of the same model; the deflections are checked against it."""

    def key_files(self) -> list[str]:
        """All files of the field."""
        maps = (self.deflection_x, self.deflection_y, self.kappa)
        named = [path for path in (self.arcs, *maps) if path]
        return [self.catalogue, *self.images.values(), *self.weights.values(), *named]


class RelicsDataset(DatasetSection):
    """RELICS cluster fields (DOI 10.17909/T9SP45): negatives, or a field to be searched."""

    reader: Literal["relics"]
    """The raw format."""
    fields: dict[str, RelicsField] = Field(min_length=1)
    """Fields by cluster name."""
    z_cluster: dict[str, float] = {}
    """Cluster redshift by name, for the choice of members (within 0.1 in zb)."""
    arc_radius_arcsec: float = Field(3.0, ge=0)
    """Negatives keep this distance, from the cutout's centre, to every known arc."""
    arcs_inside_cutout: bool = False
    """Take negatives that show a known arc in a corner of the cutout, beyond arc_radius_arcsec."""
    magnification_max: float = Field(3.0, gt=1)
    """Where a field has deflection maps: negatives are magnified less than this, as the median
    over the cutout. A field without an arc list needs the maps."""
    z_source_max: float = Field(9.0, gt=0)
    """Source redshift of that magnification."""
    size_px: int = Field(64, ge=16)
    """Side of the cutouts in pixels of the image."""
    magnitude_max: float = 24.0
    """Faintest source taken, AB, in the brightest filter of the catalogue."""
    scan_step_arcsec: float | None = Field(None, gt=0)
    """For role search: cutouts on a regular grid of this step too."""
    label_source: metadata.LabelSource = "obs:relics"
    """Of the negatives; a field of role search is always unlabelled."""

    def image_files(self) -> list[str]:
        """Paths of all science images."""
        return [path for field in self.fields.values() for path in field.images.values()]

    def problems(self, key: str, datasets: Mapping[str, DatasetSection]) -> Iterator[str]:
        """Sentences about this section; as of every data set, and what its fields lack."""
        yield from super().problems(key, datasets)
        if self.role not in ("negatives", "search"):
            yield f"{key}.role: {self.role}, but reader relics has roles negatives and search"
        for cluster, field in self.fields.items():
            here = f"{key}.fields.{cluster}"
            yield from _named_filters(here, "weights", field.weights, field.images)
            if not field.images:
                yield f"{here}.images: names no image"
            if (field.deflection_x is None) != (field.deflection_y is None):
                yield f"{here}.deflection_x and deflection_y: one is missing; name both or none"
            if field.kappa and field.deflection_x is None:
                yield f"{here}.kappa: of no use without deflection_x and deflection_y; name them"
            if self.role != "negatives":
                continue
            if field.arcs is None and field.deflection_x is None:
                yield (
                    f"{here}.arcs: neither an arc list nor deflection_x and deflection_y, so "
                    "members may be lensed; name one of them, or leave the field out"
                )
            z_cluster = self.z_cluster.get(cluster)
            if z_cluster is None:
                yield f"{key}.z_cluster.{cluster}: missing; its members are told by their redshift"
            elif field.deflection_x and self.z_source_max <= z_cluster:
                yield (
                    f"{key}.z_source_max: {self.z_source_max} is not behind {cluster} at "
                    f"{z_cluster}"
                )

    def key_files(self) -> list[str]:
        return [path for field in self.fields.values() for path in field.key_files()]

    def files_of_many(self) -> list[str]:
        return [field.catalogue for field in self.fields.values()]


FieldColumn = Literal[
    "name", "ra", "dec", "x", "y", "magnitude", "z_phot", "z_spec", "z_err", "label"
]


class FieldDataset(DatasetSection):
    """A survey team's own field: images and weights by filter, and a catalogue of objects.

    Roles search, negatives, and labelled (with a column `label`). All images lie on one pixel
    grid. FITS may be compressed in tiles; images are read piece by piece.
    """

    tells_survey: ClassVar[bool] = True

    reader: Literal["field"]
    """The raw format."""
    images: dict[str, str] = Field(min_length=1)
    """Image by filter, for example i: PATH.fits."""
    weights: dict[str, str] = {}
    """Weight image by filter; may be the image's own file (extensions WHT, VAR or ERR)."""
    weight_kind: Literal["inverse_variance", "variance", "rms"] = "inverse_variance"
    """What the weight images hold, in units of the image."""
    psfs: dict[str, str] = {}
    """PSF image by filter, pixels of the image; from stars in the field where none are given."""
    catalogue: str | None = None
    """Objects: CSV, ECSV or FITS table with ra and dec in degrees, or x and y in pixels."""
    columns: dict[FieldColumn, str] = {}
    """Name of a column in the catalogue where it differs, for example ra: ALPHA_J2000."""
    magnitudes: dict[str, str] = {}
    """Column with the AB magnitude by filter, for example i: MAG_AUTO_I."""
    first_pixel: Literal[0, 1] = 1
    """Coordinate of the first pixel in x and y: 1 in FITS and SExtractor, 0 in Python."""
    size_px: int = Field(64, ge=16)
    """Side of the cutouts in pixels of the image."""
    magnitude_max: float | None = None
    """Faintest object taken: column `magnitude`, else the brightest of `magnitudes`."""
    scan_step_arcsec: float | None = Field(None, gt=0)
    """For role search: cutouts on a regular grid of this step too, or instead of a catalogue."""
    label_source: metadata.LabelSource = "unlabelled"
    """Source of the labels, for roles negatives and labelled."""
    label_confidence: float = Field(0.99, ge=0, le=1)
    """Weight of the labels in the loss."""
    zero_point_ab: dict[str, float] = {}
    """AB zero point by filter; the survey's or the header's where none."""

    def image_files(self) -> list[str]:
        """Paths of all science images."""
        return list(self.images.values())

    def problems(self, key: str, datasets: Mapping[str, DatasetSection]) -> Iterator[str]:
        """Sentences about this section; as of every data set, and what its fields lack."""
        yield from super().problems(key, datasets)
        if self.role == "pretrain":
            yield f"{key}.role: pretrain, but reader field has roles search, negatives and labelled"
        if self.role in ("negatives", "labelled") and self.label_source == "unlabelled":
            yield f"{key}.label_source: unlabelled, but role {self.role} gives labels; name theirs"
        if self.catalogue is None and (self.role != "search" or self.scan_step_arcsec is None):
            yield (
                f"{key}.catalogue: missing; only role search can do without one, with a "
                "scan_step_arcsec"
            )
        yield from _named_filters(key, "weights", self.weights, self.images)
        yield from _named_filters(key, "zero_point_ab", self.zero_point_ab, self.images)
        yield from _named_filters(key, "psfs", self.psfs, self.images)
        without = [name for name in self.images if self.psfs and name not in self.psfs]
        if without:
            yield f"{key}.psfs: no PSF of {', '.join(without)}; name one for every filter, or none"

    def key_files(self) -> list[str]:
        catalogue = [self.catalogue] if self.catalogue else []
        parts = (self.images, self.weights, self.psfs)
        return list(dict.fromkeys(catalogue + [f for part in parts for f in part.values()]))


def _named_filters(
    key: str, part: str, named: dict[str, str] | dict[str, float], images: dict[str, str]
) -> Iterator[str]:
    for name in named:
        if name not in images:
            yield f"{key}.{part}: {name} is not among its images ({', '.join(images)})"


def scored_fields(datasets: Mapping[str, DatasetSection], clusters: Iterable[str]) -> Iterator[str]:
    """Fields that are scored and give training samples, by name or by image.

    clusters : names of the overlays, whose fields are scored too
    """
    fields = {n: d for n, d in datasets.items() if isinstance(d, (RelicsDataset, FieldDataset))}
    yield from _of_one_name(
        {name: d for name, d in fields.items() if isinstance(d, RelicsDataset)}, clusters
    )
    yield from _of_one_image(fields)


def _field_key(name: str) -> str:
    """A field's name without spelling variants: SMACS J0723.3-7327 = smacs0723m73 = smacs0723."""
    digits = re.search(r"([a-z]+?)j?(\d{4})", re.sub(r"[^a-z0-9]", "", name.lower()))
    return "".join(digits.groups()) if digits else name.lower()


def _of_one_name(datasets: Mapping[str, RelicsDataset], clusters: Iterable[str]) -> Iterator[str]:
    scored = {_field_key(name): f"clusters.{name}" for name in clusters}
    for name, dataset in datasets.items():
        if dataset.role == "search":
            scored.update({_field_key(f): f"datasets.{name}.fields.{f}" for f in dataset.fields})
    for name, dataset in datasets.items():
        for field in dataset.fields if dataset.role != "search" else ():
            if _field_key(field) in scored:
                yield (
                    f"datasets.{name}.fields.{field}: a field that is scored "
                    f"({scored[_field_key(field)]}) must not give training samples; remove it here"
                )


def _of_one_image(fields: Mapping[str, RelicsDataset | FieldDataset]) -> Iterator[str]:
    """A field that is scored never gives training samples, under whatever name and reader."""
    scored = {
        path: name
        for name, dataset in fields.items()
        if dataset.role == "search"
        for path in dataset.image_files()
    }
    for name, dataset in fields.items():
        shared = [path for path in dataset.image_files() if path in scored]
        if dataset.role != "search" and shared:
            yield (
                f"datasets.{name}: {shared[0]} is scored by {scored[shared[0]]}; a field that is "
                "scored must not give training samples"
            )
