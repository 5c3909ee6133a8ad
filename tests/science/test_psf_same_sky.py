"""One piece of sky seen by HST and by HSC: HST matched to HSC must look like HSC."""

from dataclasses import dataclass

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter, shift
from scipy.optimize import least_squares
from scipy.signal import fftconvolve

from lenshunt.images import fwhm, matching_kernel

HSC_SCALE, HST_SCALE = 0.168, 0.03
#: Pixels whose kernel reaches beyond the HST image are no comparison.
MARGIN_ARCSEC = 1.5


@dataclass(frozen=True)
class Comparison:
    """hsc - scales * model in units of sigma, [y, x], where the two are compared.

    scales : fitted flux scale of each layer; moved : fitted shift in HSC pixels
    source : bool [y, x], model above 5 sigma; peak : brightest pixel in sigma
    """

    residual: np.ndarray
    scales: np.ndarray
    moved: np.ndarray
    source: np.ndarray
    peak: float

    @property
    def chi2(self) -> float:
        """Reduced chi2 over the source pixels."""
        return float(np.mean(self.residual[self.source] ** 2))


def _layers(folder, name, kernel=None):
    """HSC i image, HST galaxy by galaxy as HSC would see it, and the pixels that are compared."""
    hst, header = fits.getdata(folder / f"Cut_HST{name}.fits", header=True)
    cube, hsc_header = fits.getdata(folder / f"Cut_HSC{name}.fits", header=True)
    hsc = cube[2].astype(float)  # i, the band nearest to F814W
    kernel = _kernel_to_hsc(folder) if kernel is None else kernel
    pixels = np.indices(hsc.shape)
    sky = WCS(hsc_header).celestial.all_pix2world(pixels[1], pixels[0], 0)
    x, y = WCS(header).celestial.all_world2pix(*sky, 0)
    hst = hst.astype(float)
    smooth = gaussian_filter(hst, 8)
    noise = 1.4826 * np.median(np.abs(smooth - np.median(smooth)))
    peaks = np.argwhere((maximum_filter(smooth, 25) == smooth) & (smooth > 6 * noise))
    distance = [np.hypot(*(np.indices(hst.shape) - peak[:, None, None])) for peak in peaks]
    owner = np.argmin(distance, axis=0)
    galaxies = [
        map_coordinates(fftconvolve(np.where(owner == k, hst, 0), kernel, "same"), [y, x], order=3)
        for k in range(len(peaks))
    ]
    margin = MARGIN_ARCSEC / HST_SCALE
    seen = (np.minimum(x, y) > margin) & (np.maximum(x, y) < len(hst) - margin)
    return hsc, galaxies, seen


def _kernel_to_hsc(folder):
    """Kernel from the PSF of HST to that of HSC, on HST pixels."""
    hst_psf = fits.getdata(folder / "PSF_HST.fits").astype(float)
    hsc_psf = fits.getdata(folder / "PSF_HSC.fits")[2].astype(float)
    ratio = HST_SCALE / HSC_SCALE
    side = 2 * int(len(hsc_psf) // 2 / ratio) + 1
    at = (np.arange(side) - side // 2) * ratio + len(hsc_psf) // 2
    wanted = map_coordinates(hsc_psf, np.meshgrid(at, at, indexing="ij"), order=5)
    match = matching_kernel(hst_psf / hst_psf.sum(), wanted / wanted.sum(), fwhm(wanted, 1.0), side)
    assert match.residual < 0.005
    assert match.peak_gain < 1.1
    return match.kernel


def _compare(hsc, layers, seen) -> Comparison:
    """Fit shift, sky and one flux scale per layer; sigma from the pixels without a source."""

    def columns(moved):
        parts = [shift(layer, moved, order=3, mode="nearest") for layer in layers]
        return np.stack([*parts, np.ones(hsc.shape)])

    def left(moved):
        design = columns(moved)[:, seen].T
        return hsc[seen] - design @ np.linalg.lstsq(design, hsc[seen], rcond=None)[0]

    moved = least_squares(left, [0.3, 0.3], x_scale=0.1, diff_step=0.05).x
    parts = columns(moved)
    scales = np.linalg.lstsq(parts[:, seen].T, hsc[seen], rcond=None)[0]
    model = np.tensordot(scales[:-1], parts[:-1], 1)
    residual = hsc - model - scales[-1]
    faint = residual[seen & (model < np.percentile(model[seen], 40))]
    sigma = 1.4826 * np.median(np.abs(faint - np.median(faint)))
    source = seen & (model > 5 * sigma)
    return Comparison(residual / sigma, scales[:-1], moved, source, hsc[seen].max() / sigma)


@pytest.mark.real
@pytest.mark.parametrize("name, chi2_max", [("", 2.5), ("1", 3.7)])
def test_hst_matched_to_hsc_is_hsc_within_the_noise_and_the_colours(real_data, name, chi2_max):
    hsc, galaxies, seen = _layers(real_data / "hsc_cosmos", name)
    one = _compare(hsc, [sum(galaxies)], seen)
    assert np.abs(one.moved).max() < 1.0
    assert one.source.sum() > 300
    # Images whose brightest pixel has 53 and 332 sigma agree to 1.5 and 1.9 sigma rms.
    assert one.chi2 < chi2_max
    assert np.sqrt(np.mean(one.residual[one.source] ** 2)) < 0.03 * max(one.peak, 60)
    assert np.mean(np.abs(one.residual[seen]) < 3) > 0.9


@pytest.mark.real
@pytest.mark.parametrize("name, chi2_max", [("", 1.2), ("1", 1.9)])
def test_most_of_what_remains_is_the_colour_of_each_galaxy(real_data, name, chi2_max):
    hsc, galaxies, seen = _layers(real_data / "hsc_cosmos", name)
    one, each = _compare(hsc, [sum(galaxies)], seen), _compare(hsc, galaxies, seen)
    assert each.chi2 < chi2_max
    assert (each.chi2 - 1) < 0.4 * (one.chi2 - 1)
    # F814W reaches beyond i: i - F814W of galaxies differs by less than 0.2 mag.
    assert np.ptp(-2.5 * np.log10(each.scales)) < 0.2


@pytest.mark.real
@pytest.mark.parametrize("name", ["", "1"])
def test_a_gaussian_of_the_quadrature_difference_agrees_less(real_data, name):
    folder = real_data / "hsc_cosmos"
    ours = _compare(*_merged(_layers(folder, name)))
    hst = fwhm(fits.getdata(folder / "PSF_HST.fits").astype(float), HST_SCALE)
    hsc = fwhm(fits.getdata(folder / "PSF_HSC.fits")[2], HSC_SCALE)
    x = np.arange(263) - 131
    width = np.sqrt(hsc**2 - hst**2) / HST_SCALE / 2.3548
    gaussian = np.exp(-(x[:, None] ** 2 + x**2) / (2 * width**2))
    peer = _compare(*_merged(_layers(folder, name, gaussian / gaussian.sum())))
    assert np.var(peer.residual[peer.source] / peer.peak) > 1.1 * np.var(
        ours.residual[ours.source] / ours.peak
    )


def _merged(layers):
    hsc, galaxies, seen = layers
    return hsc, [sum(galaxies)], seen
