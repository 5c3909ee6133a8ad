"""The PSF of a field from its own stars: fields of real PSFs, noise and galaxies."""

from functools import cache

import numpy as np
import pytest
from astropy.io import fits
from scipy.signal import fftconvolve

from lenshunt.images import fwhm, psf_from_stars, psf_residual
from lenshunt.images.source_psf import PsfFinder
from lenshunt.readers.psfs import shipped_psf
from lenshunt.schema import Metadata, survey_named, survey_psf

SIDE, MARGIN = 900, 130


def _moved(image, dy, dx):
    """`image` moved by a fraction of a pixel: PSFs are band limited."""
    ky, kx = np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])
    phase = np.exp(-2j * np.pi * (ky * dy + kx * dx))
    return np.fft.irfft2(np.fft.rfft2(image) * phase, image.shape)


def star_field(psf, seed, stars=40, galaxies=120, snr=(200, 5000)):
    """Field [SIDE, SIDE] of unit noise: stars and exponential disks at random places.

    snr : range of the stars' peaks in sigma; the galaxies' fluxes go four times fainter. Disks
    have half-light radii of 0.4 to 3 FWHM of the PSF.
    """
    rng = np.random.default_rng(seed)
    field = np.zeros((SIDE + 2 * MARGIN,) * 2)
    psf = np.pad(psf, 4)
    half, width = len(psf) // 2, fwhm(psf, 1.0)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]

    def put(shape, flux):
        at = rng.uniform(0, SIDE - 1, 2)
        row, column = np.rint(at).astype(int) + MARGIN - half
        moved = _moved(shape, *(at - np.rint(at)))
        field[row : row + len(psf), column : column + len(psf)] += flux * moved

    for _ in range(stars):
        put(psf, np.exp(rng.uniform(*np.log(snr))) / psf.max())
    for _ in range(galaxies):
        radius = width * np.exp(rng.uniform(*np.log([0.4, 3])))
        ratio, angle = rng.uniform(0.4, 1), rng.uniform(0, np.pi)
        along = x * np.cos(angle) + y * np.sin(angle)
        across = (-x * np.sin(angle) + y * np.cos(angle)) / ratio
        disk = fftconvolve(np.exp(-1.68 * np.hypot(along, across) / radius), psf, "same")
        put(disk / disk.sum(), np.exp(rng.uniform(*np.log([snr[0] / 4, snr[1]]))) / psf.max())
    inner = slice(MARGIN, -MARGIN)
    return field[inner, inner] + rng.normal(size=(SIDE, SIDE))


def hst(folder):
    return fits.getdata(folder / "hsc_cosmos" / "PSF_HST.fits")


def hsc(folder):
    return np.load(folder / "hsc_cosmos" / "hsc_cosmos.npz")["psfs"][2]


def des(folder):
    return fits.getdata(folder / "des_lrg" / "DES_PSF11406730.fits", 1)


@cache
def true_and_found(telescope, folder, guess=1.0):
    """A real PSF, and what is found of it in a crowded field made with it."""
    true = shipped_psf(telescope(folder), telescope.__name__)
    return true, psf_from_stars(star_field(true, seed=0), guess * fwhm(true, 1.0))


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize(
    "telescope, guess, residual", [(hst, 1.0, 0.02), (hsc, 1.0, 0.01), (des, 0.85, 0.01)]
)
def test_a_real_psf_is_found_again_in_its_own_field(real_data, telescope, guess, residual):
    true, found = true_and_found(telescope, real_data, guess)
    width = fwhm(true, 1.0)
    assert found is not None
    assert found.sum() == pytest.approx(1, abs=1e-5)
    # Of HST it is the wings beyond the stamps that are not known better.
    assert psf_residual(found, true, width) < residual
    assert fwhm(found, 1.0) == pytest.approx(width, rel=0.01)
    # The core lies on the middle pixel: no half pixel of the oversampled PSF is left over.
    middle = len(found) // 2
    assert np.unravel_index(found.argmax(), found.shape) == (middle, middle)
    near = found[middle - 2 : middle + 3, middle - 2 : middle + 3].astype(float)
    offset = np.arange(-2, 3)
    assert abs((near.sum(axis=0) * offset).sum() / near.sum()) < 0.05
    assert abs((near.sum(axis=1) * offset).sum() / near.sum()) < 0.05


@pytest.mark.slow
@pytest.mark.real
def test_the_light_of_hst_stars_outside_their_stamps_is_kept(real_data):
    true, found = true_and_found(hst, real_data)
    inside = 6.5 * fwhm(true, 1.0)
    outside = [
        1 - psf[np.hypot(*(np.indices(psf.shape) - len(psf) // 2)) < inside].sum()
        for psf in (found, true)
    ]
    assert outside[1] > 0.04
    assert outside[0] == pytest.approx(outside[1], abs=0.025)


@pytest.mark.real
def test_the_wing_of_a_ground_psf_ends_with_its_stamp(real_data):
    _, found = true_and_found(des, real_data, 0.85)
    assert len(found) < 60


@pytest.mark.parametrize("stars", [0, 5])
def test_too_few_stars_make_no_psf(stars):
    true = survey_psf(survey_named("des"), "i", 0.263)
    field = star_field(true.astype(float), seed=2, stars=stars, galaxies=3)
    assert psf_from_stars(field, fwhm(true, 1.0)) is None


@pytest.mark.parametrize("stars, source", [(3, "survey"), (40, "stars")])
def test_the_source_of_the_psf_is_recorded_and_found_once_per_field(stars, source):
    survey = survey_named("des")
    true = survey_psf(survey, "i", survey.pixel_scale_arcsec)
    field = star_field(true.astype(float), 3, stars, galaxies=5)
    calls = []

    def field_of(raw_file, filter_name):
        calls.append((raw_file, filter_name))
        return field, survey.pixel_scale_arcsec

    finder = PsfFinder(field_of)
    metadata = Metadata(
        sample_id="a",
        system_id="a",
        dataset="d",
        raw_file="field.fits",
        raw_index=0,
        raw_sha256="0" * 64,
        label=-1,
        label_source="unlabelled",
        label_confidence=0.0,
        pixel_scale=survey.pixel_scale_arcsec,
        instrument="DECam",
        survey="des",
        bands=("", "", "i", "", ""),
        band_flags=(0, 0, 1, 0, 0),
    )
    cutout = type("Cutout", (), {"psf": None, "metadata": metadata})
    for _ in range(2):
        psf, said = finder.psf_of(cutout)
        assert said == source
    assert calls == [("field.fits", "i")]
    assert psf_residual(psf[2].astype(float), true.astype(float), fwhm(true, 1.0)) < 0.02
