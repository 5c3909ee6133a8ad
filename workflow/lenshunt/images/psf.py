"""What is measured on a PSF: growth curve, FWHM, residual; and the target PSF of a grid."""

from functools import lru_cache

import numpy as np
from photutils.centroids import centroid_quadratic
from photutils.geometry import circular_overlap_grid
from scipy.ndimage import map_coordinates

from lenshunt.config import Grid
from lenshunt.core.moffat import moffat_alpha, moffat_profile, moffat_radius_holding

#: Flux fraction of the target Moffat that its stamp must hold.
TARGET_FLUX_FRACTION = 0.999
#: Radii of the growth-curve comparison, in units of the target FWHM.
RESIDUAL_RADII = np.linspace(0.3, 3.0, 28)


@lru_cache(maxsize=16)
def _circle_weights(shape: tuple[int, int], radii: tuple[float, ...]) -> np.ndarray:
    """Fraction of every pixel inside each circle about the image centre, [r, y * x]."""
    ny, nx = shape
    grids = [
        circular_overlap_grid(-nx / 2, nx / 2, -ny / 2, ny / 2, nx, ny, r, 1, 1) for r in radii
    ]
    return np.stack(grids).reshape(len(radii), ny * nx)


def growth_curve(image: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Flux fraction enclosed within each radius of the image centre.

    image : [y, x], any unit, background free; centre at (size - 1) / 2
    radii : [r] pixels, increasing
    Returns [r], 0..1; exact pixel-circle overlaps, not whole pixels.
    Raises ValueError when the total flux is not positive.
    """
    total = float(image.sum(dtype=float))
    if not total > 0:
        raise ValueError(f"growth curve: the total flux is {total:g}, it must be positive")
    weights = _circle_weights((image.shape[0], image.shape[1]), tuple(map(float, radii)))
    return weights @ image.astype(float).ravel() / total


def fwhm(psf: np.ndarray, pixel_scale_arcsec: float) -> float:
    """Diameter at half maximum of the azimuthally averaged, sub-pixel profile, in arcsec.

    psf : [h, w], background free; its peak may lie anywhere near the centre
    Raises ValueError when the profile does not fall to half its maximum inside the image.
    """
    image = np.asarray(psf, dtype=float)
    peak_y, peak_x = map(int, np.unravel_index(np.argmax(image), image.shape))
    y0, x0 = max(peak_y - 2, 0), max(peak_x - 2, 0)
    around = image[y0 : peak_y + 3, x0 : peak_x + 3]
    centre = np.add(centroid_quadratic(around, fit_boxsize=3), (x0, y0))
    if not np.isfinite(centre).all() or np.hypot(centre[0] - peak_x, centre[1] - peak_y) > 1:
        centre = np.array([peak_x, peak_y], dtype=float)
    radii = np.arange(0.0, min(image.shape) / 2, 0.05)
    angles = np.arange(64) * (2 * np.pi / 64)
    y = centre[1] + radii[:, None] * np.sin(angles)
    x = centre[0] + radii[:, None] * np.cos(angles)
    profile = map_coordinates(image, [y, x], order=5, mode="nearest").mean(axis=1)
    half = profile.max() / 2
    start = int(np.argmax(profile))
    below = np.flatnonzero(profile[start:] < half)
    if not below.size or half <= 0:
        raise ValueError(
            f"PSF of {image.shape[0]} x {image.shape[1]} px does not fall to half its maximum; "
            "its stamp is too small, or it is no PSF"
        )
    last = start + int(below[0])
    step = (profile[last - 1] - half) / (profile[last - 1] - profile[last])
    return float(2 * (radii[last - 1] + 0.05 * step) * pixel_scale_arcsec)


def centred_stamp(psf: np.ndarray, size: int) -> np.ndarray:
    """`psf` [h, w], odd sides, cropped or zero-padded about its centre to [size, size].

    Raises ValueError when a side of the PSF or `size` is even: its centre would move.
    """
    if any(side % 2 == 0 for side in (*psf.shape, size)):
        raise ValueError(f"PSF stamps need odd sides; found {psf.shape}, wanted {size}")
    stamp = np.zeros((size, size), dtype=float)
    source, target = [], []
    for side in psf.shape:
        half = min(side, size) // 2
        source.append(slice(side // 2 - half, side // 2 + half + 1))
        target.append(slice(size // 2 - half, size // 2 + half + 1))
    stamp[tuple(target)] = psf[tuple(source)]
    return stamp


def target_size(grid: Grid, pixel_scale_arcsec: float) -> int:
    """Odd side in pixels of the stamp that holds TARGET_FLUX_FRACTION of the target PSF."""
    alpha = moffat_alpha(grid.psf_fwhm_arcsec, grid.moffat_beta)
    radius = moffat_radius_holding(TARGET_FLUX_FRACTION, alpha, grid.moffat_beta)
    # Wings of a beta close to 1 never end; beyond 8 FWHM they are background.
    radius = min(radius, 8 * grid.psf_fwhm_arcsec)
    return 2 * int(np.ceil(radius / pixel_scale_arcsec)) + 1


def target_psf(
    grid: Grid, pixel_scale_arcsec: float | None = None, size: int | None = None
) -> np.ndarray:
    """Target PSF of `grid`, float32 [size, size], unit sum, centred, odd.

    It is the *effective* PSF, pixel response included: a Moffat of exactly the grid's FWHM at any
    pixel scale (the grid's where none is given), so that images of different pixel scale end up
    with the same PSF on the sky once they are resampled by interpolation.
    """
    scale = grid.pixel_scale_arcsec if pixel_scale_arcsec is None else pixel_scale_arcsec
    side = target_size(grid, scale) if size is None else size
    offset = (np.arange(side) - (side - 1) / 2) * scale
    alpha = moffat_alpha(grid.psf_fwhm_arcsec, grid.moffat_beta)
    profile = moffat_profile(offset[:, None] ** 2 + offset**2, alpha, grid.moffat_beta)
    return (profile / profile.sum()).astype(np.float32)


def psf_residual(matched: np.ndarray, target: np.ndarray, target_fwhm_px: float) -> float:
    """Largest growth-curve difference between two PSFs over r = 0.3 to 3 target FWHM.

    matched, target : [h, w] of one pixel scale, unit sum, odd; of any two sizes
    """
    size = max(*matched.shape, *target.shape)
    radii = RESIDUAL_RADII * target_fwhm_px
    difference = growth_curve(centred_stamp(matched, size), radii) - growth_curve(
        centred_stamp(target, size), radii
    )
    return float(np.abs(difference).max())
