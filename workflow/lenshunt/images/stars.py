"""The PSF of a field from its own stars (DAOStarFinder and EPSFBuilder of photutils)."""

import warnings
from itertools import pairwise

import numpy as np
from astropy.nddata import NDData
from astropy.stats import sigma_clip, sigma_clipped_stats
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning
from photutils.background import Background2D, MedianBackground
from photutils.detection import DAOStarFinder
from photutils.psf import EPSFBuilder, extract_stars
from photutils.utils.exceptions import NoDetectionsWarning
from scipy.ndimage import binary_dilation, binary_opening, gaussian_filter
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
#: Sources are told from sky on the image smoothed by a Gaussian of this sigma, above this S/N.
SMOOTH_PX, SOURCE_SIGMA = 3.0, 2.0
#: Least fraction of a star's light in its stamp within 1.5 FWHM, guessed; galaxies hold less.
CORE_FRACTION = 0.65
#: Sizes of stars lie within this fraction of each other; wider lets compact galaxies in.
LOCUS = 0.06
#: Stars with more light than this in one outer sector have neighbours; used only if too few remain.
UNEVEN_MAX = 0.05
#: Wings follow r^-n. Diffraction gives n = 3 (2.8 to 3.0 in HST's PSF between 0.25 and 1.4
#: arcsec); the Moffat wings of ground PSFs are steeper. Flatter than this is sky or neighbours.
WING_SLOPES = (2.8, 6.0)
#: S/N of every ring from which a wing is believed. In crowded fields of 900 x 900 px made of real
#: PSFs this leaves growth curves right to 0.4 % (median; worst 1.8 %) for ground PSFs and to 1.6 %
#: (worst 3.2 %) for HST, whose wings cut off would make 5 %.
WING_SIGMA = 3.0
#: The stamp grows by this factor to take the wings that continue beyond it.
WING_FACTOR = 3


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
    psf = _with_wings(np.asarray(epsf.data, dtype=float)[first::OVERSAMPLING, first::OVERSAMPLING])
    return (psf / psf.sum()).astype(np.float32)


def _sky_subtracted(field: np.ndarray) -> tuple[np.ndarray | None, float]:
    unusable = ~np.isfinite(field)
    if unusable.mean() > 0.9 or min(field.shape) < 100:
        return None, 0.0
    # Wings of sources below the noise of a pixel would pass for sky and be cut off every star:
    # the sky is measured once more where a smoothed image shows no source.
    rough, sigma = _without_sky(field, unusable)
    if not sigma > 0:
        return None, 0.0
    weight = gaussian_filter((~unusable).astype(float), SMOOTH_PX)
    smooth = gaussian_filter(rough, SMOOTH_PX) / np.maximum(weight, 0.1)
    limit = SOURCE_SIGMA * sigma / (2 * np.sqrt(np.pi) * SMOOTH_PX)
    sources = binary_dilation(binary_opening(smooth > limit), iterations=int(2 * SMOOTH_PX))
    clean, sigma = _without_sky(field, unusable, sources)
    return (clean, sigma) if sigma > 0 else (None, 0.0)


def _without_sky(
    field: np.ndarray, unusable: np.ndarray, sources: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """`field` less its sky, 0 where unusable, and the sky's sigma; sources : bool, not sky."""
    filled = np.where(unusable, 0.0, field)
    mask = unusable if sources is None or (unusable | sources).mean() > 0.8 else unusable | sources
    box = max(min(field.shape) // 8, 32)
    sky = Background2D(
        filled, box, mask=mask, filter_size=3, exclude_percentile=95,
        bkg_estimator=MedianBackground(),
    )  # fmt: skip
    clean = np.where(unusable, 0.0, filled - sky.background)
    _, _, sigma = sigma_clipped_stats(clean[~mask], sigma=3.0)
    return clean, float(sigma)


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
    locus = plausible & (np.abs(sizes / narrow - 1) < LOCUS)
    stars = keep[locus]
    # Neighbours too faint to be found themselves still add up to a false wing.
    uneven = np.array([_unevenness(image, x[i], y[i], half) for i in stars])
    stars = stars[uneven <= max(UNEVEN_MAX, *np.sort(uneven)[: 2 * STARS_MIN][-1:])]
    chosen = stars[np.argsort(-flux[stars])[:STARS_MAX]]
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
    peak = np.array(np.unravel_index(stamp.argmax(), stamp.shape))
    if np.abs(peak - half).max() > 2:
        return float("nan")
    # Light beyond 1.5 FWHM is that of a galaxy or a neighbour.
    inner, outer = growth_curve(stamp, np.array([1.5 * fwhm_px, half]))
    if not inner / outer > CORE_FRACTION:
        return float("nan")
    try:
        return fwhm(stamp, 1.0)
    except ValueError:
        return float("nan")


def _unevenness(image: np.ndarray, x: float, y: float, half: int) -> float:
    """Light of the brightest of eight outer sectors above their median, of all light of a stamp."""
    iy, ix = round(y), round(x)
    stamp = image[iy - half : iy + half + 1, ix - half : ix + half + 1]
    dy, dx = np.mgrid[-half : half + 1, -half : half + 1]
    outer = _radii(half) > 0.4 * half
    sector = ((np.arctan2(dy, dx) + np.pi) / (np.pi / 4)).astype(int) % 8
    sums = np.bincount(sector[outer], weights=stamp[outer], minlength=8)
    return float((sums.max() - np.median(sums)) / stamp.sum())


def _with_wings(psf: np.ndarray) -> np.ndarray:
    """`psf` [h, h] with its outskirts replaced by a smooth wing that goes on beyond the stamp.

    The light of an HST star outside 13 FWHM is 4 to 5 % of all: cut off, it would make every
    growth curve wrong by as much. From 0.6 of the half side on the wing is a power law, fitted to
    the means of rings; noise of single pixels does not enter. No wing where it is not detected.
    """
    half = psf.shape[0] // 2
    radius = _radii(half)
    edges = np.linspace(0.4, 1.0, 7) * half
    rings = [(radius >= low) & (radius < high) for low, high in pairwise(edges)]
    # clipped: a neighbour that several stars share is no wing
    clipped = [sigma_clip(psf[ring], sigma=2.5, masked=False) for ring in rings]
    mean = np.array([values.mean() for values in clipped])
    error = np.array([v.std() / np.sqrt(len(v) / OVERSAMPLING**2) for v in clipped])
    middle = np.array([radius[ring].mean() for ring in rings])
    detected = mean > WING_SIGMA * error
    factor, start = WING_FACTOR if detected.all() else 1, 0.6 * half
    wide = _radii(factor * half)
    wing = np.zeros_like(wide)
    if detected.all():
        weight, r, level = mean / error, np.log(middle), np.log(mean)
        slope = float(np.clip(-np.polyfit(r, level, 1, w=weight)[0], *WING_SLOPES))
        height = np.average(level + slope * r, weights=weight**2)
        wing = np.exp(height) * np.maximum(wide, start) ** -slope
        wing[wide > factor * half] = 0.0
    elif detected[:3].all():
        wing = np.interp(wide, middle, np.clip(mean, 0, None), right=0.0)
    # how much of the built PSF is kept: all within `start`, none beyond 0.8 of the half side
    kept = 0.5 * (1 + np.cos(np.pi * np.clip((wide - start) / (0.2 * half), 0, 1)))
    return np.clip(np.pad(psf, (factor - 1) * half), 0, None) * kept + wing * (1 - kept)


def _radii(half: int) -> np.ndarray:
    """Distance in pixels from the middle of a stamp of side 2 half + 1."""
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    return np.hypot(y, x)
