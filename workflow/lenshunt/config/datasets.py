"""Data sets: one section per raw format, told apart by its key `reader`."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from lenshunt.config.base import Strict
from lenshunt.config.challenges import Bologna2Dataset, BolognaDataset
from lenshunt.config.cutouts import CutoutsDataset, GalaxyZooDataset
from lenshunt.config.injection import InjectionDataset
from lenshunt.config.section import DatasetSection
from lenshunt.core.patterns import existing, plain_names, resolve
from lenshunt.records import metadata


class GalaxiesMLDataset(DatasetSection):
    """GalaxiesML HDF5 files (arXiv:2410.00271); no lens labels."""

    reader: Literal["galaxiesml"]
    """The raw format."""
    files: list[str] = Field(min_length=1)
    """HDF5 files, read in this order; the file name tells the official split."""
    half_light_radius_unit: Literal["pixel", "arcsec"] = "pixel"
    """Unit of the *_half_light_radius columns."""

    def key_files(self) -> list[str]:
        return list(self.files)

    def files_of_many(self) -> list[str]:
        return list(self.files)


class CastlesDataset(DatasetSection):
    """CASTLES FITS files per system and filter, with the table of systems. Positives only.

    `survey` may be auto.
    """

    lenses_only: ClassVar[bool] = True
    headers_tell_survey: ClassVar[bool] = True
    telescope: ClassVar[str | None] = "hst"

    reader: Literal["castles"]
    """The raw format."""
    images: list[str] = Field(min_length=1)
    """Glob patterns of FITS files, named SYSTEM_FILTER*.fits or with TARGNAME in the header."""
    table: str
    """TAB separated table of systems: lens name, z_s, z_l, RA, Dec, separation."""
    header: dict[str, dict[str, str | int | float]] = {}
    """Header values by glob pattern of file names, for example {"*_F814W.fits": {BUNIT: COUNTS}};
    they go before those of the files. For what a file lacks or has wrong: FILTER, BUNIT, EXPTIME,
    PHOTFLAM, PHOTPLAM, PHOTUNIT (DN or ELECTRONS: what PHOTFLAM counts), ATODGAIN, D001SCAL
    (arcsec), TARGNAME, WHTTYPE; and EXTVER, which chooses among several images: the extension of
    that EXTVER, or the plane of a cube counted from 1."""
    weight_kind: Literal["auto", "inverse_variance", "exposure", "rms"] = "auto"
    """What WHT holds. auto: by header key WHTTYPE, else exposure times where they reach EXPTIME,
    else inverse variances where they agree with the measured sky noise; weights that are neither
    are scaled to the sky noise, as exposure times are, and flagged weight_relative."""
    size_px: int | None = Field(None, ge=16)
    """Side of the cutout around the system; the whole image where none."""
    label_source: metadata.LabelSource = "obs:castles"
    """Source of the labels."""

    def key_files(self) -> list[str]:
        return [self.table, *plain_names(self.images)]

    def found_files(self) -> list[str]:
        return resolve(self.images)


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
    """RELICS cluster fields (DOI 10.17909/T9SP45): hard negatives, or a field to be searched."""

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
    grid. FITS may be compressed in tiles; images are read piece by piece. `survey` may be auto.
    """

    headers_tell_survey: ClassVar[bool] = True

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

    def key_files(self) -> list[str]:
        catalogue = [self.catalogue] if self.catalogue else []
        parts = (self.images, self.weights, self.psfs)
        return list(dict.fromkeys(catalogue + [f for part in parts for f in part.values()]))


class StampsDataset(DatasetSection):
    """HSC stamps as NPZ: images, variance, mask and psfs in g r i z y (scarlet's layout)."""

    reader: Literal["stamps"]
    """The raw format."""
    images: list[str] = Field(min_length=1)
    """Glob patterns of .npz files."""
    label: Literal[-1, 0] = -1
    """0 where the stamps are known to show no lens."""
    label_source: metadata.LabelSource = "unlabelled"
    """Source of the labels."""
    size_px: int | None = Field(None, ge=16)
    """Side of the central cutout; the whole stamp where none."""

    def key_files(self) -> list[str]:
        return plain_names(self.images)

    def found_files(self) -> list[str]:
        return resolve(self.images)


class HstLensesDataset(DatasetSection):
    """HST cutouts of lenses as HDF5, image and PSF files (dolphin's layout). Positives only."""

    lenses_only: ClassVar[bool] = True

    reader: Literal["hst_lenses"]
    """The raw format."""
    images: list[str] = Field(min_length=1)
    """Glob patterns of image_SYSTEM_FILTER.h5; the PSF is psf_SYSTEM_FILTER.h5 beside it."""
    same_system: dict[str, str] = {}
    """System that another name belongs to, for files that show one object twice."""

    def key_files(self) -> list[str]:
        return plain_names(self.images)

    def found_files(self) -> list[str]:
        images = resolve(self.images)
        return [*images, *existing(map(self.psf_beside, images))]

    @staticmethod
    def psf_beside(image: str) -> str:
        """Path of the PSF file beside an image_SYSTEM_FILTER.h5."""
        path = Path(image)
        return str(path.with_name("psf_" + path.name.removeprefix("image_")))


class HstGalaxiesDataset(DatasetSection):
    """HST galaxies in GalSim's format: catalogue, image and PSF files. No lens labels."""

    tables_name_files: ClassVar[bool] = True

    reader: Literal["hst_galaxies"]
    """The raw format."""
    catalogues: list[str] = Field(min_length=1)
    """Catalogues with IDENT, RA, DEC, MAG, BAND, GAL_FILENAME, PSF_FILENAME, GAL_HDU, PSF_HDU."""
    label: Literal[-1, 0] = -1
    """0 where the galaxies are known to be no lenses."""
    label_source: metadata.LabelSource = "unlabelled"
    """Source of the labels."""
    label_confidence: float = Field(0.99, ge=0, le=1)
    """Weight of the labels in the loss."""
    zero_point_ab: dict[str, float] = {"F606W": 26.486, "F814W": 25.937}
    """AB zero point by filter, of images in electrons per second."""

    def key_files(self) -> list[str]:
        return list(self.catalogues)

    def files_of_many(self) -> list[str]:
        return list(self.catalogues)


Dataset = Annotated[
    GalaxiesMLDataset
    | BolognaDataset
    | Bologna2Dataset
    | CutoutsDataset
    | CastlesDataset
    | RelicsDataset
    | FieldDataset
    | GalaxyZooDataset
    | StampsDataset
    | HstLensesDataset
    | HstGalaxiesDataset
    | InjectionDataset,
    Field(discriminator="reader"),
]

#: The section of every format, in the order of `Dataset`.
SECTIONS: tuple[type[DatasetSection], ...] = get_args(get_args(Dataset)[0])
