"""Every real PSF at hand: matched to its grid, at what price, and why where it is not."""

import h5py
import numpy as np
import pytest
from astropy.io import fits

from lenshunt.config import Grid
from lenshunt.images import kernel_for
from lenshunt.readers.psfs import shipped_psf

GROUND = Grid(psf_fwhm_arcsec=1.0, pixel_scale_arcsec=0.168, size_px=64)
SPACE = Grid(psf_fwhm_arcsec=0.2, pixel_scale_arcsec=0.06, size_px=128)
pytestmark = pytest.mark.real


def _planes(path):
    with fits.open(path) as hdus:
        return [np.atleast_3d(h.data.T).T for h in hdus if h.data is not None and h.is_image]


def _fits_psfs(paths):
    return [shipped_psf(p, str(path)) for path in paths for part in _planes(path) for p in part]


def des(folder):
    return _fits_psfs(sorted((folder / "des_lrg").glob("DES_PSF*.fits")))


def hsc_cosmos(folder):
    here = folder / "hsc_cosmos"
    psfs = _fits_psfs([here / "PSF_HSC.fits"])
    for name in ("hsc_cosmos.npz", "hsc_cosmos_35.npz"):
        with np.load(here / name) as file:
            psfs += [shipped_psf(psf, name) for psf in file["psfs"]]
    return psfs


def hst_aegis(folder):
    return _fits_psfs(sorted((folder / "hst_galaxies").glob("AEGIS_*_PSF_images_*.fits")))


def hst_cosmos(folder):
    names = ("hsc_cosmos/PSF_HST.fits", "hst_galaxies/147246.0_150.416558_1.998697.psf.fits")
    return _fits_psfs([folder / name for name in names])


def hst_lenses(folder):
    psfs = []
    for path in sorted((folder / "hst_lenses").glob("psf_*.h5")):
        with h5py.File(path) as file:
            psfs.append(shipped_psf(file["kernel_point_source"][()], str(path)))
    return psfs


@pytest.mark.parametrize(
    "psfs, scale, grid, number, residual_max, peak_gain_max",
    [
        (des, 0.263, GROUND, 30, 0.0065, 2.0),
        (hsc_cosmos, 0.168, GROUND, 15, 0.001, 1.01),
        (hst_aegis, 0.03, SPACE, 10, 0.001, 1.05),
        (hst_cosmos, 0.03, SPACE, 2, 0.001, 1.05),
        (hst_cosmos, 0.03, GROUND, 2, 0.001, 1.01),
        (hst_lenses, 0.04, SPACE, 7, 0.004, 1.06),
    ],
    ids=["DES", "HSC COSMOS", "HST AEGIS", "HST COSMOS", "HST COSMOS to ground", "HST lenses"],
)
def test_real_psfs_reach_the_gate_with_bounded_noise(
    real_data, psfs, scale, grid, number, residual_max, peak_gain_max
):
    results = [kernel_for(psf, scale, grid) for psf in psfs(real_data)]
    assert len(results) == number
    assert all(result.matched for result in results)
    assert max(result.residual for result in results) <= residual_max
    assert max(result.match.peak_gain for result in results) <= peak_gain_max
    # Matching smooths: the noise of a pixel shrinks, never grows.
    assert max(result.noise_gain for result in results) < 0.7
    assert all(result.residual < result.residual_before for result in results)


def test_des_psfs_broader_than_the_target_are_matched_by_mild_sharpening_that_is_told(real_data):
    results = [kernel_for(psf, 0.263, GROUND) for psf in des(real_data)]
    broader = [result for result in results if result.fwhm_arcsec > 1.0]
    assert len(broader) == 10
    sharpened = [result for result in results if result.explanation]
    assert all("sharpened" in result.explanation for result in sharpened)
    assert max(result.fwhm_arcsec for result in sharpened) == pytest.approx(1.146, abs=0.005)
    # A broader target needs none of it.
    wide = Grid(psf_fwhm_arcsec=1.25, pixel_scale_arcsec=0.168, size_px=64)
    at_ease = [kernel_for(psf, 0.263, wide) for psf in des(real_data)]
    assert max(result.residual for result in at_ease) < 0.005
    assert max(result.match.peak_gain for result in at_ease) < 1.25


def test_psfs_far_broader_than_the_target_are_left_alone_and_say_why(real_data):
    sharp = Grid(psf_fwhm_arcsec=0.6, pixel_scale_arcsec=0.168, size_px=64)
    for psf in des(real_data)[::6]:
        result = kernel_for(psf, 0.263, sharp)
        assert not result.matched
        assert result.noise_gain == 1.0
        assert np.count_nonzero(result.match.kernel) == 1
        assert "broader than the target 0.6" in result.explanation


def test_a_psf_stamp_that_is_cut_short_says_so(real_data):
    psf = des(real_data)[0]
    middle = psf.shape[0] // 2
    stub = psf[middle - 2 : middle + 3, middle - 2 : middle + 3]
    result = kernel_for(stub / stub.sum(), 0.263, GROUND.model_copy(
        update={"psf_fwhm_arcsec": 1.0, "psf_residual_max": 1e-4}
    ))  # fmt: skip
    assert not result.matched
    assert "cut short" in result.explanation
