"""Data sets of FITS cutouts, one object each: a team's own, and those of Galaxy Zoo's tables."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from lenshunt.config.base import Strict
from lenshunt.config.section import DatasetSection
from lenshunt.core.patterns import existing, plain_names, resolve
from lenshunt.records import metadata


class FitsCutouts(DatasetSection):
    """How one object's bands, variance and PSF lie in FITS files."""

    headers_tell_survey: ClassVar[bool] = True

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

    def companions(self, images: Iterable[str]) -> set[str]:
        """Paths of the variances and PSFs of `images`, whether they exist or not."""
        found = [path for one in images for path in (self.variance_path(one), self.psf_path(one))]
        return {path for path in found if path}


class CutoutsDataset(FitsCutouts):
    """Any FITS cutouts: one file per object, bands by extension or by file name.

    `survey` may be auto.
    """

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
        return [*images, *existing(self.companions(images))]

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
        companions = self.companions(files)
        return [(("", ""), [path for path in files if path not in companions])]

    @model_validator(mode="after")
    def _band_is_in_the_pattern(self) -> Self:
        for pattern in self.images:
            if (self.layout == "files") != ("{band}" in pattern):
                raise ValueError(f"images: {pattern}: {{band}} and layout files need each other")
            if pattern.rpartition("/")[2].count("{band}") > 1:
                raise ValueError(f"images: {pattern}: a file name holds {{band}} once")
        return self


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
    """Galaxy Zoo table and FITS images: weak morphology votes, for pretraining only.

    `survey` may be auto.
    """

    tables_name_files: ClassVar[bool] = True

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
