"""Data sets: one section per raw format, told apart by its key `reader`."""

from typing import Annotated, Literal

from pydantic import Field

from lenshunt.config.base import Strict
from lenshunt.records import metadata

Role = Literal["pretrain", "labelled", "negatives", "search"]


class _Dataset(Strict):
    survey: str
    """Name of the survey in resources/surveys.yaml: zero points, PSF, saturation."""
    role: Role
    """pretrain (no labels), labelled, negatives (all label 0) or search (no labels, scored)."""
    grids: list[str] = Field(min_length=1)
    """Grids on which this data set is made; keys of `grids`."""
    chunks: int = Field(1, ge=1)
    """Number of parallel jobs per stage."""
    rejected_fraction_max: float = Field(0.01, ge=0, le=1)
    """The run stops when more than this fraction of the raw objects cannot be read."""
    made_by: Literal["demo", "fetch"] | None = None
    """The rule that makes or downloads the raw files; none for files that lie there already."""


class GalaxiesMLDataset(_Dataset):
    """GalaxiesML HDF5 files (arXiv:2410.00271); no lens labels."""

    reader: Literal["galaxiesml"]
    """The raw format."""
    files: list[str] = Field(min_length=1)
    """HDF5 files, read in this order; the file name tells the official split."""
    half_light_radius_unit: Literal["pixel", "arcsec"] = "pixel"
    """Unit of the *_half_light_radius and *_petro_rad columns."""


class BolognaDataset(_Dataset):
    """Lens Finding Challenge 1 FITS files and their label table (arXiv:1802.03609)."""

    reader: Literal["bologna"]
    """The raw format."""
    labels: str
    """CSV with ID, is_lens, Einstein_area, numb_pix_lensed_image, flux_lensed_image_in_sigma."""
    images: str
    """Folder that holds Band1, Band2, ... (official: Public)."""
    variant: Literal["ground", "space"]
    """ground: bands R I G U of 0.2 arcsec/px; space: VIS of 0.1 arcsec/px."""
    only_present: bool = False
    """Take only the rows of the table whose images are there (samples of the full set)."""
    label_source: metadata.LabelSource = "sim:bologna"
    """Source of the labels."""


class CastlesDataset(_Dataset):
    """CASTLES FITS files per system and filter, with the table of systems. Positives only."""

    reader: Literal["castles"]
    """The raw format."""
    images: list[str] = Field(min_length=1)
    """Glob patterns of FITS files, named SYSTEM_FILTER*.fits or with TARGNAME in the header."""
    table: str
    """TAB separated table of systems: lens name, z_s, z_l, RA, Dec, separation."""
    filters: dict[str, str] = {}
    """Filter by file name, for files whose header names none."""
    size_px: int | None = Field(None, ge=16)
    """Side of the cutout around the system; the whole image where none."""
    label_source: metadata.LabelSource = "obs:castles"
    """Source of the labels."""


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


class RelicsDataset(_Dataset):
    """RELICS cluster fields (DOI 10.17909/T9SP45): hard negatives, or a field to be searched."""

    reader: Literal["relics"]
    """The raw format."""
    fields: dict[str, RelicsField] = Field(min_length=1)
    """Fields by cluster name."""
    z_cluster: dict[str, float] = {}
    """Cluster redshift by name, for the choice of members (within 0.1 in zb)."""
    arc_radius_arcsec: float = Field(3.0, ge=0)
    """Negatives keep this distance from every known arc."""
    size_px: int = Field(64, ge=16)
    """Side of the cutouts in pixels of the image."""
    magnitude_max: float = 24.0
    """Faintest source taken, AB, in the brightest filter of the catalogue."""
    scan_step_arcsec: float | None = Field(None, gt=0)
    """For role search: cutouts on a regular grid of this step too."""
    label_source: metadata.LabelSource = "obs:relics"
    """Of the negatives; a field of role search is always unlabelled."""


class CutoutsDataset(_Dataset):
    """Any FITS cutouts: one file per object, bands by extension or by file name."""

    reader: Literal["cutouts"]
    """The raw format."""
    images: list[str] = Field(min_length=1)
    """Glob patterns. With `{band}` in the pattern, one file per object and band."""
    bands: list[str] = Field(min_length=1)
    """Filters, in the order of extensions (or of planes of a cube), or the values of `{band}`."""
    layout: Literal["extensions", "cube", "files"] = "extensions"
    """Bands as extensions of a file, planes of a cube, or files."""
    variance_suffix: str | None = None
    """Suffix that turns an image path into that of its variance, same layout."""
    psf_pattern: tuple[str, str] | None = None
    """Regular expression and replacement that turn an image path into that of its PSF."""
    catalogue: str | None = None
    """Table (CSV or ECSV) with column `name` (file stem) and any metadata columns, ra and dec."""
    label: Literal[-1, 0, 1] = -1
    """Label of every object, unless the catalogue has a column `label`."""
    label_source: metadata.LabelSource = "unlabelled"
    """Source of the labels."""
    zero_point_ab: float | None = None
    """AB zero point; the survey's where none."""
    pixel_scale_arcsec: float | None = Field(None, gt=0)
    """From the WCS, else the survey's, where none."""


class StampsDataset(_Dataset):
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


class HstLensesDataset(_Dataset):
    """HST cutouts of lenses as HDF5, image and PSF files (dolphin's layout). Positives only."""

    reader: Literal["hst_lenses"]
    """The raw format."""
    images: list[str] = Field(min_length=1)
    """Glob patterns of image_SYSTEM_FILTER.h5; the PSF is psf_SYSTEM_FILTER.h5 beside it."""
    same_system: dict[str, str] = {}
    """System that another name belongs to, for files that show one object twice."""


class HstGalaxiesDataset(_Dataset):
    """HST galaxies in GalSim's format: catalogue, image and PSF files. No lens labels."""

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


Dataset = Annotated[
    GalaxiesMLDataset
    | BolognaDataset
    | CastlesDataset
    | RelicsDataset
    | CutoutsDataset
    | StampsDataset
    | HstLensesDataset
    | HstGalaxiesDataset,
    Field(discriminator="reader"),
]
