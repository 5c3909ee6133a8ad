"""A small survey's FITS cutouts of stars with known fluxes, to test the images room."""

from pathlib import Path

import numpy as np
from astropy.io import fits

from lenshunt.config import CutoutsDataset, Grid
from lenshunt.provenance import raw_manifest
from lenshunt.raw import raw_files
from lenshunt.records import njy_per_count
from lenshunt.surveys import survey_named, survey_psf

GROUND = Grid(psf_fwhm_arcsec=1.0, pixel_scale_arcsec=0.168, size_px=64)
BANDS = ("g", "r", "i")
SCALE = 0.168


def star_counts(band: str, flux_njy: float, side: int) -> np.ndarray:
    """Counts [side, side] of a point source in the middle of an HSC cutout, odd side."""
    survey = survey_named("hsc")
    psf = survey_psf(survey, band, SCALE).astype(float)
    margin = (psf.shape[0] - side) // 2
    stamp = psf[margin : margin + side, margin : margin + side] if margin > 0 else psf
    if margin < 0:
        stamp = np.pad(psf, -margin)
    return stamp * flux_njy / njy_per_count(survey.zero_point(band))


def write_cutouts(
    folder: Path, fluxes_njy: np.ndarray, sigma_njy: float = 1.0, sky: float = 0.3, side: int = 81
) -> CutoutsDataset:
    """One multi-extension FITS file per flux; the same flux in every band.

    sigma_njy : noise per pixel; sky : level in counts, to be removed
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    count = njy_per_count(survey_named("hsc").zero_point("i"))
    for index, flux in enumerate(fluxes_njy):
        planes = [fits.PrimaryHDU()]
        for band in BANDS:
            noise = rng.normal(0, sigma_njy / count, (side, side))
            data = (star_counts(band, flux, side) + noise + sky).astype(np.float32)
            planes.append(fits.ImageHDU(data, name=band))
        fits.HDUList(planes).writeto(folder / f"star{index:03d}.fits", overwrite=True)
    return CutoutsDataset(
        reader="cutouts",
        images=[str(folder / "*.fits")],
        bands=list(BANDS),
        pixel_scale_arcsec=SCALE,
        survey="hsc",
        role="search",
        grids=["ground"],
    )


def write_manifest(dataset: CutoutsDataset, folder: Path) -> str:
    """Manifest CSV of the data set's raw files."""
    path = folder / "manifest.csv"
    raw_manifest(raw_files(dataset), folder / "cache.json").write(path)
    return str(path)
