"""Data sets whose raw files show single objects: a team's own cutouts, and the public ones."""

import glob
import re
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from lenshunt.config.base import Strict
from lenshunt.config.dataset_section import DatasetSection
from lenshunt.core.patterns import existing, plain_names, resolve
from lenshunt.schema import AUTO, metadata


class FitsCutouts(DatasetSection):
    """How one object's bands, variance and PSF lie in FITS files."""

    bands: list[str] = Field(min_length=1)
    """Filters, in the order of extensions (or of planes of a cube), or the values of `{band}`."""
    layout: Literal["extensions", "cube", "files"] = "extensions"
    """Bands as extensions of a file, planes of a cube, or files."""
    variance_suffix: str | None = None
    """Suffix that turns an image path into that of its variance, same layout."""
    psf_pattern: tuple[str, str] | None = None
    """Regular expression and replacement that turn an image path into that of its PSF."""
    zero_point_ab: float | None = None
    """AB zero point; the survey's where none."""
    pixel_scale_arcsec: float | None = Field(None, gt=0)
    """From the WCS, else the survey's, where none."""

    def variance_path(self, image: str) -> str | None:
        """Path of the variance of `image`: its stem with the suffix, or None."""
        if self.variance_suffix is None:
            return None
        path = Path(image)
        return str(path.with_name(path.stem + self.variance_suffix + path.suffix))

    def psf_path(self, image: str) -> str | None:
        """Path of the PSF of `image` by the expression, or None.

        Raises ValueError where it does not match, so that an image never is its own PSF.
        """
        if self.psf_pattern is None:
            return None
        pattern, replacement = self.psf_pattern
        path, changed = re.subn(pattern, replacement, image, count=1)
        if not changed or path == image:
            raise ValueError(
                f"{image}: psf_pattern {pattern!r} does not turn this name into that of a PSF file"
            )
        return path

    def variances_and_psfs(self, images: Iterable[str]) -> set[str]:
        """Paths of the variances and PSFs of `images`, whether they exist or not."""
        found = [path for one in images for path in (self.variance_path(one), self.psf_path(one))]
        return {path for path in found if path}


class CutoutsDataset(FitsCutouts):
    """Any FITS cutouts: one file per object, bands by extension or by file name."""

    tells_survey: ClassVar[bool] = True

    reader: Literal["cutouts"]
    """The raw format."""
    images: list[str] = Field(min_length=1)
    """Glob patterns. With `{band}` in the pattern, one file per object and band."""
    catalogue: str | None = None
    """Table (CSV or ECSV) with column `name` (file stem) and any metadata columns, ra and dec."""
    label: Literal[-1, 0, 1] = -1
    """Label of every object, unless the catalogue has a column `label`."""
    label_source: metadata.LabelSource = "unlabelled"
    """Source of the labels."""

    def key_files(self) -> list[str]:
        catalogue = [self.catalogue] if self.catalogue else []
        return [*catalogue, *plain_names(self.images)]

    def found_files(self) -> list[str]:
        images = [path for pair in self.image_files() for path in pair[1]]
        return [*images, *existing(self.variances_and_psfs(images))]

    def image_files(self) -> list[tuple[tuple[str, str], list[str]]]:
        """Image files by (pattern, band), the band "" where one file holds all bands.

        Without the variance and PSF files that such a wide pattern also matches.
        """
        if self.layout == "files":
            return [
                ((pattern, band), resolve([pattern.replace("{band}", band)]))
                for pattern in self.images
                for band in self.bands
            ]
        files = resolve(self.images)
        beside = self.variances_and_psfs(files)
        return [(("", ""), [path for path in files if path not in beside])]

    @model_validator(mode="after")
    def _band_is_in_the_pattern(self) -> Self:
        for pattern in self.images:
            if (self.layout == "files") != ("{band}" in pattern):
                raise ValueError(f"images: {pattern}: {{band}} and layout files need each other")
            if pattern.rpartition("/")[2].count("{band}") > 1:
                raise ValueError(f"images: {pattern}: a file name holds {{band}} once")
        return self


class CastlesDataset(DatasetSection):
    """CASTLES FITS files per system and filter, with the table of systems. Positives only."""

    lenses_only: ClassVar[bool] = True
    tells_survey: ClassVar[bool] = True

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

    @property
    def telescope(self) -> str:
        """CASTLES is HST's, also where headers tell the survey."""
        return "hst" if self.survey == AUTO else super().telescope

    def key_files(self) -> list[str]:
        return [self.table, *plain_names(self.images)]

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


class VoteColumns(Strict):
    """Columns of a Galaxy Zoo table; without a column of votes its fraction is missing."""

    id: str
    """Name of the galaxy, unique in the table."""
    ra: str | None = None
    """Right ascension, ICRS degrees; else the WCS, else a J name in `id` tells."""
    dec: str | None = None
    """Declination, ICRS degrees."""
    featured: str | None = None
    """Fraction of votes for features or a disk."""
    spiral: str | None = None
    """Fraction of votes for spiral arms."""
    no_spiral: str | None = None
    """Fraction of votes against spiral arms, where the table has only these."""
    ring: str | None = None
    """Fraction of votes for a ring, or 1 and 0."""
    image: str | None = None
    """Path of the image."""

    @model_validator(mode="after")
    def _one_column_of_spirals(self) -> Self:
        if self.spiral is not None and self.no_spiral is not None:
            raise ValueError("spiral and no_spiral: name one of them")
        return self


class GalaxyZooDataset(FitsCutouts):
    """Galaxy Zoo table and FITS images: weak morphology votes, for pretraining only."""

    tables_name_files: ClassVar[bool] = True

    tells_survey: ClassVar[bool] = True

    reader: Literal["galaxy_zoo"]
    """The raw format."""
    role: Literal["pretrain"]
    """Always pretrain: votes on shapes are no lens labels."""
    table: str
    """CSV, also as .csv.gz."""
    columns: Literal["gz2", "zoobot_rings"] | VoteColumns = "gz2"
    """gz2 (Hart et al. 2016), zoobot_rings (zoobot's ring catalogue), or the columns by name."""
    images: str | None = None
    """Path of the image with `{id}` (and `{band}` for layout files); none takes the column."""
    image_prefix: tuple[str, str] | None = None
    """Beginning of the paths in the column, and what replaces it."""
    only_present: bool = False
    """Take only the rows of the table whose images are there."""
    label_confidence: float = Field(0.3, ge=0, lt=0.5)
    """Confidence in the votes; below 0.5, as of every weak source."""

    def key_files(self) -> list[str]:
        return [self.table]

    @model_validator(mode="after")
    def _images_are_named(self) -> Self:
        column = self.columns == "zoobot_rings" or getattr(self.columns, "image", None)
        if self.images is None and not column:
            raise ValueError("images: give a path with {id}; the table has no column of images")
        if self.images is not None and "{id}" not in self.images:
            raise ValueError("images: the path must hold {id}")
        if self.layout == "files" and "{band}" not in (self.images or ""):
            raise ValueError("images: layout files needs a path with {id} and {band}")
        return self


class BolognaDataset(DatasetSection):
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

    def key_files(self) -> list[str]:
        return [self.labels]

    def found_files(self) -> list[str]:
        return [path for band in self.present().values() for path in band.values()]

    def band_files(self) -> dict[str, str]:
        """Official path by band, in the official order, with {id} for the object."""
        stems = {
            "ground": ("SDSS_R", "SDSS_I", "SDSS_G", "SDSS_U"),
            "space": ("EUC_VIS",),
        }[self.variant]
        return {
            stem: str(Path(self.images) / f"Band{k}" / f"image{stem}-{{id}}.fits")
            for k, stem in enumerate(stems, start=1)
        }

    def present(self) -> dict[str, dict[str, str]]:
        """Files that lie in the band folders: band -> object ID -> path."""
        return {band: _present(path) for band, path in self.band_files().items()}


class Bologna2Dataset(DatasetSection):
    """Lens Finding Challenge 2.0 FITS files and their catalogue; labels by a rule, not a column."""

    reader: Literal["bologna2"]
    """The raw format."""
    catalogue: str
    """The catalogue as shipped: image_catalog2.0train.csv, with its # lines."""
    images: str
    """Folder that holds EUC_VIS, EUC_Y, ... (official: datapack2.0train/Public)."""
    pattern: str = "{band}/image{band}-{id}.fits"
    """Path of one image below `images`, of a band and an ID of the catalogue."""
    bands: list[Literal["EUC_VIS", "EUC_Y", "EUC_J", "EUC_H"]] = Field(
        default=["EUC_VIS", "EUC_Y", "EUC_J", "EUC_H"], min_length=1
    )
    """Bands to read. An object without the file of one of them is rejected."""
    n_source_im_min: float = Field(0, ge=0)
    """A lens has more images of the source than this (n_source_im)."""
    mag_eff_min: float = Field(1.6, ge=0)
    """A lens magnifies its source more than this (mag_eff)."""
    n_pix_source_min: float = Field(20, ge=0)
    """A lens has more pixels of lensed light than this (n_pix_source)."""
    negatives: Literal["no_source", "no_image"] = "no_source"
    """Label 0: no source behind the galaxy (n_sources 0), or none with an image in the frame too
    (n_source_im and n_pix_source 0). What is neither that nor a lens has no label and stays out of
    classifiers."""
    only_present: bool = False
    """Take only the rows of the catalogue with an image (samples; some rows never had one)."""
    label_source: metadata.LabelSource = "sim:bologna"
    """Source of the labels."""

    @field_validator("pattern")
    @classmethod
    def _names_band_and_id(cls, pattern: str) -> str:
        if "{band}" not in pattern or pattern.count("{id}") != 1:
            raise ValueError("the pattern must hold {band}, and {id} once")
        return pattern

    @field_validator("bands")
    @classmethod
    def _no_band_twice(cls, bands: list[str]) -> list[str]:
        if len(set(bands)) < len(bands):
            raise ValueError("a band is listed twice")
        return bands

    def key_files(self) -> list[str]:
        return [self.catalogue]

    def found_files(self) -> list[str]:
        return [path for band in self.present().values() for path in band.values()]

    def band_files(self) -> dict[str, str]:
        """Path by band, with {id} for the object."""
        folder = Path(self.images)
        return {band: str(folder / self.pattern.replace("{band}", band)) for band in self.bands}

    def present(self) -> dict[str, dict[str, str]]:
        """Files that are there: band -> object ID -> path."""
        return {band: _present(path) for band, path in self.band_files().items()}


def _present(path: str) -> dict[str, str]:
    """Files by object ID that a path with {id} leads to."""
    before, _, after = path.partition("{id}")
    found = sorted(glob.glob(f"{glob.escape(before)}*{glob.escape(after)}"))
    return {name[len(before) : len(name) - len(after)]: name for name in found}
