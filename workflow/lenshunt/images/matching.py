"""The kernel that turns one PSF into another, and what it does to the noise."""

from dataclasses import dataclass

import numpy as np
from photutils.psf_matching import make_wiener_kernel
from scipy.signal import fftconvolve

from lenshunt.images.psf import centred_stamp, psf_residual

#: Weights of the Laplacian penalty that are tried, strongest first (pypher's default is 1e-4).
REGULARISATIONS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
#: The strongest regularisation that leaves no more than this growth-curve residual is taken.
RESIDUAL_AIM = 1e-3


@dataclass(frozen=True)
class Match:
    """Kernel from one PSF to another.

    kernel : float64 [k, k], unit sum
    matched : float64 [h, w], the source PSF convolved with the kernel
    residual : largest growth-curve difference to the target
    regularisation : weight of the Laplacian penalty; 0 where the image is left as it is
    """

    kernel: np.ndarray
    matched: np.ndarray
    residual: float
    regularisation: float


def matching_kernel(
    source: np.ndarray, target: np.ndarray, target_fwhm_px: float, kernel_size: int | None = None
) -> Match:
    """Wiener kernel with Laplacian penalty that matches `source` to `target`.

    source, target : [h, w], unit sum, odd, one pixel scale
    kernel_size : odd side of the kernel; that of the larger PSF where none
    Method: Boucaud et al. 2016, A&A 596, A63 (pypher), as in photutils. The penalty is the
    strongest of REGULARISATIONS that reaches RESIDUAL_AIM, else the one with the least residual:
    more would be inaccurate, less would ring.
    """
    size = max(*source.shape, *target.shape)
    # A margin of one target radius keeps the kernel from wrapping around the Fourier box.
    box = 2 * (size // 2 + target.shape[0] // 4) + 1
    padded_source, padded_target = centred_stamp(source, box), centred_stamp(target, box)
    best: Match | None = None
    for regularisation in REGULARISATIONS:
        wide = make_wiener_kernel(
            padded_source, padded_target, regularization=regularisation, penalty="laplacian"
        )
        kernel = centred_stamp(wide, kernel_size or size)
        kernel /= kernel.sum()
        matched = fftconvolve(padded_source, kernel, mode="same")
        residual = psf_residual(matched, padded_target, target_fwhm_px)
        if best is None or residual < best.residual:
            best = Match(kernel, matched, residual, regularisation)
        if residual <= RESIDUAL_AIM:
            break
    assert best is not None
    return best


def identity_match(source: np.ndarray, target: np.ndarray, target_fwhm_px: float, k: int) -> Match:
    """No convolution: for a source that is broader than the target."""
    kernel = np.zeros((k, k))
    kernel[k // 2, k // 2] = 1.0
    residual = psf_residual(source, target, target_fwhm_px)
    return Match(kernel, np.asarray(source, dtype=float), residual, 0.0)


def noise_correlation(kernel: np.ndarray) -> float:
    """(sum k)^2 / sum k^2: variance of a sum over a large box / sum of the variances.

    White noise convolved with `kernel` has this value; divide every chi2 and squared S/N by it.
    """
    return float(kernel.sum(dtype=float) ** 2 / np.square(kernel, dtype=float).sum())
