"""PSF images where none is shipped: pixel-integrated Moffat profiles."""

import math

import numpy as np

from lenshunt.surveys.facts import Survey

#: Flux fraction of the infinite profile that a PSF image must hold.
_ENCLOSED = 0.999


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
    The centre is at (size - 1) / 2; profile (1 + r^2 / alpha^2)^-beta, Moffat 1969, A&A 3, 455.
    Raises ValueError for an even size, beta <= 1 or a FWHM or scale that is not positive.
    """
    if beta <= 1 or fwhm_arcsec <= 0 or pixel_scale_arcsec <= 0:
        raise ValueError(
            f"Moffat PSF with FWHM {fwhm_arcsec} arcsec, beta {beta}, {pixel_scale_arcsec} "
            "arcsec/px: FWHM and scale must be positive, beta above 1"
        )
    alpha_px = fwhm_arcsec / pixel_scale_arcsec / (2.0 * math.sqrt(2.0 ** (1.0 / beta) - 1.0))
    if size_px is None:
        size_px = _size_holding(_ENCLOSED, alpha_px, beta)
    if size_px % 2 == 0:
        raise ValueError(f"a PSF image needs an odd size to have a central pixel, not {size_px}")
    nodes, weights = np.polynomial.legendre.leggauss(oversample)
    half = size_px // 2
    edge = np.arange(half + 1)
    x = (edge[:, None] + 0.5 * nodes[None, :]).ravel()
    # one quadrant is enough: the profile is symmetric about the central pixel
    profile = (1.0 + (x[:, None] ** 2 + x[None, :] ** 2) / alpha_px**2) ** -beta
    cells = profile.reshape(half + 1, oversample, half + 1, oversample)
    quadrant = np.einsum("iajb,a,b->ij", cells, weights, weights)
    mirrored = np.abs(np.arange(size_px) - half)
    psf = quadrant[np.ix_(mirrored, mirrored)]
    return (psf / psf.sum()).astype(np.float32)


def _size_holding(fraction: float, alpha_px: float, beta: float) -> int:
    """Smallest odd side whose inscribed circle encloses `fraction` of a Moffat profile."""
    # enclosed flux 1 - (1 + r^2 / alpha^2)^(1 - beta), inverted
    radius = alpha_px * math.sqrt((1.0 - fraction) ** (1.0 / (1.0 - beta)) - 1.0)
    return 2 * math.ceil(radius) + 1


def survey_psf(
    survey: Survey,
    filter_name: str,
    pixel_scale_arcsec: float,
    fwhm_arcsec: float | None = None,
) -> np.ndarray:
    """PSF of `survey` in `filter_name`, float32 [h, w], unit sum, 99.9 % of the flux inside.

    fwhm_arcsec : seeing of this image where its header tells; the survey's typical one where None
    """
    fwhm = survey.psf_fwhm(filter_name) if fwhm_arcsec is None else fwhm_arcsec
    return moffat_psf(fwhm, survey.moffat_beta, pixel_scale_arcsec)
