"""Hosts for injection: made-up galaxies like those of HSC, and the real ones of DES and HST."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from published_surveys import SURVEYS
from raw_samples import common, read_all

from lenshunt.config import CutoutsDataset, HstGalaxiesDataset
from lenshunt.core.moffat import moffat_psf
from lenshunt.scenes.canvas import Canvas
from lenshunt.scenes.population import Selection, draw_population
from lenshunt.scenes.profiles import Sersic, paint_sersic
from lenshunt.schema import Cutout, Metadata, njy_from_magnitude

BANDS = ("HSC-G", "HSC-R", "HSC-I", "", "")
FWHM = (0.8, 0.75, 0.6)
SIGMA = (6.0, 8.0, 11.0)
POPULATION = draw_population(
    np.random.default_rng(1), 1500, SURVEYS["hsc"], Selection(seeing_fraction=1.0)
)


def metadata(name: str) -> Metadata:
    return Metadata(
        sample_id=name, system_id=name, dataset="hosts", raw_file="hosts.fits", raw_index=0,
        raw_sha256="0" * 64, label=-1, label_source="unlabelled", label_confidence=0.0,
        pixel_scale=0.168, instrument="HSC", survey="hsc", bands=BANDS, band_flags=(1, 1, 1, 0, 0),
    )  # fmt: skip


def blank_host(size: int, bright_corner: bool = False) -> Cutout:
    """No galaxy; constant variance. bright_corner : a source 1.7 arcsec from the centre."""
    image = np.zeros((5, size, size), np.float32)
    if bright_corner:
        image[:3, size // 2 + 7, size // 2 + 7] = 500.0
    variance = np.full_like(image, np.inf)
    variance[:3] = 1.0
    return Cutout(image, variance, metadata("blank"), psfs())


@cache
def psfs() -> np.ndarray:
    psf = np.zeros((5, 31, 31), np.float32)
    for band, fwhm in enumerate(FWHM):
        psf[band] = moffat_psf(fwhm, 3.0, 0.168, 31)
    return psf


def host(number: int, q: float = 0.8, angle: float = 0.3, size: int = 48) -> Cutout:
    """A red galaxy of i = 20 with sky noise."""
    rng = np.random.default_rng([77, number])
    canvas = Canvas(size, 0.168, BANDS[:3], oversample=2)
    flux = np.array([float(njy_from_magnitude(m)) for m in (22.4, 21.0, 20.2)])
    paint_sersic(canvas, Sersic(0.0, 0.0, 0.9, 4.0, q, angle), flux)
    image = np.zeros((5, size, size), np.float32)
    variance = np.full_like(image, np.inf)
    image[:3] = canvas.observe(FWHM, (3.0,) * 3)
    for band, sigma in enumerate(SIGMA):
        image[band] += rng.normal(0, sigma, (size, size))
        variance[band] = sigma**2
    return Cutout(image, variance, metadata(f"host-{number}"), psfs())


def des_hosts(real_data: Path, folder: Path) -> list[Cutout]:
    """The ten DES galaxies, with the variance of the sky beside them."""
    dataset = CutoutsDataset(
        reader="cutouts",
        images=[str(real_data / "des_lrg/DES_[0-9]*.fits")],
        bands=["g", "r", "i"],
        psf_pattern=(r"DES_(\d+)", r"DES_PSF\1"),
        **common("des", "search"),
    )
    return [_with_variance(one) for one in read_all(dataset, folder)[0]]


def _with_variance(one: Cutout) -> Cutout:
    variance = one.variance.copy()
    for band in np.flatnonzero(one.metadata.band_flags):
        border = np.concatenate([one.image[band, :8].ravel(), one.image[band, -8:].ravel()])
        spread = 1.4826 * np.median(np.abs(border - np.median(border)))
        variance[band] = spread**2
    return replace(one, variance=variance)


def hst_records(real_data: Path, folder: Path) -> list[Cutout]:
    """The ten COSMOS galaxies in F814W."""
    dataset = HstGalaxiesDataset(
        reader="hst_galaxies",
        catalogues=[str(real_data / "hst_cosmos/real_galaxy_catalog_23.5.fits")],
        **common("hst", "search"),
    )
    return read_all(dataset, folder)[0]
