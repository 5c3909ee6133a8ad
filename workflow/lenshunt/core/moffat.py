"""The Moffat profile of PSFs, (1 + r^2 / alpha^2)^-beta: Moffat 1969, A&A 3, 455.

alpha and radii in one unit, any; beta above 1, else the profile holds infinite flux.
"""

import math

import numpy as np

#: Flux fraction of the infinite profile that a PSF image must hold.
_ENCLOSED = 0.999


def moffat_alpha(fwhm: float, beta: float) -> float:
    """Scale radius of the profile that is `fwhm` wide at half its maximum, in the same unit."""
    return fwhm / (2.0 * math.sqrt(2.0 ** (1.0 / beta) - 1.0))


def moffat_profile(radius_squared: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """Brightness at radii given in square, in units of that at the centre."""
    return (1.0 + radius_squared / alpha**2) ** -beta


def moffat_radius_holding(fraction: float, alpha: float, beta: float) -> float:
    """Radius that encloses `fraction` of the flux, 1 - (1 + r^2 / alpha^2)^(1 - beta)."""
    return alpha * math.sqrt((1.0 - fraction) ** (1.0 / (1.0 - beta)) - 1.0)


def moffat_psf(
    fwhm_arcsec: float,
    beta: float,
    pixel_scale_arcsec: float,
    size_px: int | None = None,
    oversample: int = 7,
) -> np.ndarray:
    """Pixel-integrated circular Moffat profile, float32 [h, w], unit sum.

    size_px : odd side; None takes the smallest that holds 99.9 % of the infinite profile
    oversample : Gauss-Legendre nodes per pixel and axis
    The centre is at (size - 1) / 2.
    Raises ValueError for an even size, beta <= 1 or a FWHM or scale that is not positive.
    """
    if beta <= 1 or fwhm_arcsec <= 0 or pixel_scale_arcsec <= 0:
        raise ValueError(
            f"Moffat PSF with FWHM {fwhm_arcsec} arcsec, beta {beta}, {pixel_scale_arcsec} "
            "arcsec/px: FWHM and scale must be positive, beta above 1"
        )
    alpha_px = moffat_alpha(fwhm_arcsec / pixel_scale_arcsec, beta)
    if size_px is None:
        size_px = 2 * math.ceil(moffat_radius_holding(_ENCLOSED, alpha_px, beta)) + 1
    if size_px % 2 == 0:
        raise ValueError(f"a PSF image needs an odd size to have a central pixel, not {size_px}")
    nodes, weights = np.polynomial.legendre.leggauss(oversample)
    half = size_px // 2
    edge = np.arange(half + 1)
    x = (edge[:, None] + 0.5 * nodes[None, :]).ravel()
    # one quadrant is enough: the profile is symmetric about the central pixel
    profile = moffat_profile(x[:, None] ** 2 + x[None, :] ** 2, alpha_px, beta)
    cells = profile.reshape(half + 1, oversample, half + 1, oversample)
    quadrant = np.einsum("iajb,a,b->ij", cells, weights, weights)
    mirrored = np.abs(np.arange(size_px) - half)
    psf = quadrant[np.ix_(mirrored, mirrored)]
    return (psf / psf.sum()).astype(np.float32)
