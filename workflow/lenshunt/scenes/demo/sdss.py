"""Demo of SDSS cutouts: one FITS file per object with extensions g r i z in nanomaggies."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from astropy.io import fits
from tqdm import tqdm

from lenshunt.config import Demo, SeeingRange
from lenshunt.core import write_rows
from lenshunt.scenes.canvas import Canvas, Exposure
from lenshunt.scenes.demo.files import remove_stale, tan_header, write_fits
from lenshunt.scenes.demo.look_alikes import FRACTIONS, paint_scene
from lenshunt.scenes.lens_scene import Scene
from lenshunt.schema import filter_named, njy_per_count, survey_named

FILTERS = ("SDSS_G", "SDSS_R", "SDSS_I", "SDSS_Z")
SIZE_PX = 61
COLUMNS = (
    "name",
    "label",
    "label_source",
    "label_confidence",
    "ra",
    "dec",
    "z_phot",
    "einstein_radius",
    "flux_ratio",
)
#: Typical frames: sky noise 0.019, 0.028, 0.043, 0.13 nanomaggies per pixel; 54 s exposures.
_SKY_NANOMAGGIES = (0.019, 0.028, 0.043, 0.130)
_ELECTRONS_PER_NANOMAGGY = (1100.0, 1000.0, 750.0, 180.0)
#: Central galaxies are those of a spectroscopic sample: i < 19.9 as BOSS's CMASS (Dawson et al.
#: 2013, AJ 145, 10); SDSS images show little of fainter ones.
MAGNITUDE_MAX = 19.9
#: Mean and scatter of the i magnitude of arcs that SDSS shows (`tests/bench/demo_population.py`).
ARC_MAGNITUDE = (21.2, 0.6)
#: Unless a range is asked for, seeing scatters by this factor around the survey's median.
_SEEING_SCATTER = 0.07
#: Finer than two PSFs of a grid can be told apart, and few enough of them to be kept in memory.
_SEEING_STEP_ARCSEC = 0.05


def exposures(added: int = 1) -> list[Exposure]:
    """Depth of each of FILTERS, the mean of so many exposures."""
    njy = njy_per_count(survey_named("sdss").zero_point(FILTERS[0]))
    return [
        Exposure(sky * njy / added**0.5, electrons * added / njy)
        for sky, electrons in zip(_SKY_NANOMAGGIES, _ELECTRONS_PER_NANOMAGGY, strict=True)
    ]


def draw_seeing(rng: np.random.Generator, within: SeeingRange | None = None) -> tuple[float, ...]:
    """FWHM of each of FILTERS in arcsec, to 0.01: the survey's, all times one random factor.

    within : range of the seeing in r, drawn log-uniformly in steps of _SEEING_STEP_ARCSEC; where
        None it scatters by _SEEING_SCATTER around the survey's median
    """
    survey = survey_named("sdss")
    if within is None:
        factor = float(np.exp(rng.normal(0.0, _SEEING_SCATTER)))
    else:
        ends = np.log([within.best_arcsec, within.worst_arcsec])
        drawn = float(np.exp(rng.uniform(*ends)))
        steps = round(drawn / _SEEING_STEP_ARCSEC)
        factor = steps * _SEEING_STEP_ARCSEC / survey.psf_fwhm("SDSS_R")
    return tuple(round(survey.psf_fwhm(name) * factor, 2) for name in FILTERS)


def simulate_object(
    rng: np.random.Generator,
    label: int,
    fractions: Mapping[str, float] = FRACTIONS,
    seeing_within: SeeingRange | None = None,
    added: int = 1,
) -> tuple[Scene, np.ndarray, tuple[float, ...]]:
    """One object: its scene, noisy images [band, y, x] in nJy, seeing per band in arcsec."""
    survey = survey_named("sdss")
    canvas = Canvas(SIZE_PX, survey.pixel_scale_arcsec, FILTERS, oversample=4)
    scene = paint_scene(canvas, rng, label, fractions, MAGNITUDE_MAX, ARC_MAGNITUDE)
    seeing = draw_seeing(rng, seeing_within)
    clean = canvas.observe(seeing, (survey.moffat_beta,) * len(FILTERS))
    noisy = [e.noisy(image, rng) for e, image in zip(exposures(added), clean, strict=True)]
    return scene, np.stack(noisy), seeing


def write_sdss(folder: Path, demo: Demo, seed: int) -> None:
    """Write the demo's objects below `folder`, half of them lenses; the catalogue comes last.

    The sky is simulated: positions stay empty, so that no false match arises.
    """
    fractions = demo.impostors.model_dump()
    remove_stale(folder, ("catalogue.csv", "images/*.fits"))
    rows = []
    for index in tqdm(range(demo.sdss), desc="demo sdss", disable=None):
        rng = np.random.default_rng([seed, 3, index])
        scene, images, seeing = simulate_object(
            rng, int(rng.random() < 0.5), fractions, demo.sdss_seeing, demo.sdss_exposures
        )
        name = f"sdss{index:05d}"
        write_fits(folder / "images" / f"{name}.fits", _hdus(images, seeing))
        lens = scene.deflector
        z_phot = max(0.01, lens.z_lens + (1 + lens.z_lens) * float(rng.normal(0, 0.02)))
        lensing = ("", "")
        if scene.label:
            ratio = scene.flux_ratio(FILTERS.index("SDSS_I"))
            lensing = (f"{lens.theta_e:.4f}", f"{ratio:.5f}")
        rows.append((name, scene.label, "sim:demo", 1.0, "", "", f"{z_phot:.4f}", *lensing))
    write_rows(COLUMNS, rows, folder / "catalogue.csv", line_end="\n")


def _hdus(images_njy: np.ndarray, seeing: tuple[float, ...]) -> list[fits.ImageHDU]:
    survey = survey_named("sdss")
    header = tan_header(0.0, 0.0, survey.pixel_scale_arcsec, (SIZE_PX, SIZE_PX))
    hdus: list[fits.ImageHDU] = [fits.PrimaryHDU(header=fits.Header({"TELESCOP": "2.5m"}))]
    for name, image, fwhm in zip(FILTERS, images_njy, seeing, strict=True):
        band = filter_named(name).name.removeprefix("SDSS_").lower()
        counts = image / njy_per_count(survey.zero_point(name))
        hdu = fits.ImageHDU(counts.astype(np.float32), header=header, name=band)
        hdu.header["BUNIT"] = "nanomaggy"
        hdu.header["FILTER"] = band
        hdu.header["SEEING"] = (fwhm, "FWHM, arcsec")
        hdus.append(hdu)
    return hdus
