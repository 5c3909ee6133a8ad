"""Data sets of the Lens Finding Challenges: simulated images, Bologna Lens Factory."""

import glob
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from lenshunt.config.section import DatasetSection
from lenshunt.records import metadata


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
