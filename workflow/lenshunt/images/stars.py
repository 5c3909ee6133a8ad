"""The PSF of a field from its own stars (DAOStarFinder and EPSFBuilder of photutils)."""

import warnings

import numpy as np
from astropy.nddata import NDData
from astropy.stats import sigma_clipped_stats
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning
from photutils.background import Background2D, MedianBackground
from photutils.detection import DAOStarFinder
from photutils.psf import EPSFBuilder, extract_stars
from photutils.utils.exceptions import NoDetectionsWarning
from scipy.spatial import cKDTree

from lenshunt.images.psf import fwhm, growth_curve

#: Fewer stars than this make a PSF that is worse than the survey's.
STARS_MIN = 8
STARS_MAX = 60
#: Side of the PSF stamp in FWHM.
STAMP_FWHM = 13.0
#: Pixels of the built PSF per pixel of the field; at 1 the builder's smoothing would broaden it.
OVERSAMPLING = 2
#: Detection threshold, in sigma of the sky, of the star's central pixel density.
DETECTION_SIGMA = 50.0


def psf_from_stars(field: np.ndarray, fwhm_guess_px: float) -> np.ndarray | None:
    """PSF of a field, float32 [h, h], unit sum, odd, at the field's pixel scale.

    field : [y, x], any unit; NaN where unusable
    fwhm_guess_px : the survey's FWHM; stars are looked for at this size and, within 40 % of it,
        at the narrow end of what is found
    None where fewer than STARS_MIN isolated, unsaturated stars are found.
    """
    clean, sigma = _sky_subtracted(field)
    if clean is None:
        return None
    side = 2 * int(np.ceil(STAMP_FWHM * fwhm_guess_px / 2)) + 1
    stars = _star_list(clean, ~np.isfinite(field), sigma, fwhm_guess_px, side)
    if len(stars) < STARS_MIN:
        return None
    cutouts = extract_stars(NDData(clean), stars["x", "y"], size=side)
    builder = EPSFBuilder(oversampling=OVERSAMPLING, maxiters=6, progress_bar=False)
    with warnings.catch_warnings():
        # A star whose centre runs off its stamp is left out by the builder, with a warning.
        warnings.simplefilter("ignore", AstropyUserWarning)
        epsf, _ = builder(cutouts)
    # The pixel response is part of the built PSF: every other sample is the PSF of the pixels.
    first = (epsf.data.shape[0] // 2) % OVERSAMPLING
    psf = _tapered(np.asarray(epsf.data, dtype=float)[first::OVERSAMPLING, first::OVERSAMPLING])
    return (psf / psf.sum()).astype(np.float32)


def _sky_subtracted(field: np.ndarray) -> tuple[np.ndarray | None, float]:
    unusable = ~np.isfinite(field)
    if unusable.mean() > 0.9 or min(field.shape) < 100:
        return None, 0.0
    filled = np.where(unusable, 0.0, field)
    box = max(min(field.shape) // 8, 32)
    sky = Background2D(
        filled, box, mask=unusable, filter_size=3, exclude_percentile=95,
        bkg_estimator=MedianBackground(),
    )  # fmt: skip
    clean = np.where(unusable, 0.0, filled - sky.background)
    _, _, sigma = sigma_clipped_stats(clean[~unusable], sigma=3.0)
    return (clean, float(sigma)) if sigma > 0 else (None, 0.0)


def _star_list(
    image: np.ndarray, unusable: np.ndarray, sigma: float, fwhm_px: float, side: int
) -> Table:
    """Isolated point sources with columns x, y, brightest first, at most STARS_MAX."""
    finder = DAOStarFinder(
        threshold=DETECTION_SIGMA * sigma, fwhm=fwhm_px, roundness_range=(-0.4, 0.4)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        found = finder(image, mask=unusable)
    empty = Table(names=("x", "y", "flux"))
    if found is None:
        return empty
    x, y = (np.asarray(found[name]) for name in _centroid_columns(found))
    flux = np.asarray(found["flux"])
    half = side // 2
    inside = (x > half) & (y > half) & (x < image.shape[1] - half - 1)
    inside &= y < image.shape[0] - half - 1
    tree = cKDTree(np.column_stack([x, y]))
    distance = tree.query(np.column_stack([x, y]), k=2)[0][:, 1] if len(x) > 1 else [np.inf]
    keep = np.flatnonzero(inside & (np.asarray(distance) > half))
    sizes = np.array([_size(image, unusable, x[i], y[i], half, fwhm_px) for i in keep])
    plausible = np.isfinite(sizes) & (np.abs(sizes / fwhm_px - 1) < 0.4)
    if not plausible.any():
        return empty
    # Stars are the narrow, crowded end of the sizes; galaxies trail off to larger ones.
    narrow = np.percentile(sizes[plausible], 20)
    locus = plausible & (np.abs(sizes / narrow - 1) < 0.1)
    order = np.argsort(-flux[keep[locus]])[:STARS_MAX]
    chosen = keep[locus][order]
    return Table({"x": x[chosen], "y": y[chosen], "flux": flux[chosen]})


def _centroid_columns(found: Table) -> tuple[str, str]:
    names = found.colnames
    return ("x_centroid", "y_centroid") if "x_centroid" in names else ("xcentroid", "ycentroid")


def _size(
    image: np.ndarray, unusable: np.ndarray, x: float, y: float, half: int, fwhm_px: float
) -> float:
    """FWHM in pixels of one source; NaN where its stamp is masked, crowded or empty."""
    iy, ix = round(y), round(x)
    part = (slice(iy - half, iy + half + 1), slice(ix - half, ix + half + 1))
    stamp = image[part]
    if unusable[part].any() or not stamp.sum() > 0:
        return float("nan")
    # Light beyond 1.5 FWHM tells of a galaxy or a neighbour.
    inner, outer = growth_curve(stamp, np.array([1.5 * fwhm_px, half]))
    if not inner / outer > 0.75:
        return float("nan")
    try:
        return fwhm(stamp, 1.0)
    except ValueError:
        return float("nan")


def _tapered(psf: np.ndarray) -> np.ndarray:
    """Noise of the outskirts removed: a cosine taper over the outer fifth of the radius."""
    half = psf.shape[0] // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    radius = np.hypot(y, x) / half
    edge = np.clip((radius - 0.8) / 0.2, 0, 1)
    return np.clip(psf, 0, None) * 0.5 * (1 + np.cos(np.pi * edge))
