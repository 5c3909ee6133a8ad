"""Sky level and sky noise of cutouts; a bright object in the middle is no sky."""

import numpy as np
from astropy.stats import sigma_clipped_stats
from photutils.background import Background2D, MedianBackground
from scipy.ndimage import binary_dilation, gaussian_filter

#: Cutouts of at least this side get a background map; on smaller ones the mesh sees the object.
MESH_SIDE_PX = 128
#: A background map needs at least this fraction of pixels free of sources.
EMPTY_FRACTION_MIN = 0.5
#: Gaussian smoothing, in pixels, of the image in which sources are looked for.
SMOOTHING_PX = 1.5
#: A sky level needs at least this many pixels.
SKY_PIXELS_MIN = 20
#: Corner pixels free of sources that give the sky level to a tenth of the pixel sigma.
CORNER_PIXELS_MIN = 150
#: Threshold for sources, in sigma of the smoothed sky.
SOURCE_SIGMA = 3.0
#: Standard deviation of a Gaussian after repeated clipping at 3 sigma, relative to its true one.
CLIPPED_SIGMA = 0.985


def corner_pixels(shape: tuple[int, int]) -> np.ndarray:
    """bool [y, x]: pixels outside the largest ellipse that fits into the image.

    The corners are the part of a cutout that is farthest from its object, in every direction.
    """
    y, x = (2 * np.arange(side) / (side - 1) - 1 for side in shape)
    return y[:, None] ** 2 + x**2 > 1


def sky_statistics(image: np.ndarray, unusable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sigma-clipped median and standard deviation of the corner pixels without sources.

    image : [m, y, x]; unusable : bool [m, y, x]
    A plane with fewer than CORNER_PIXELS_MIN such pixels (a crowded field, an image edge, a mask)
    is measured on all its pixels without sources; where even these are too few, on all its usable
    corner pixels, then on all usable pixels.
    Returns level [m] and sigma [m], NaN with fewer than SKY_PIXELS_MIN usable pixels.
    """
    corners = corner_pixels(image.shape[-2:])
    hidden = source_pixels(image, unusable) | unusable
    level, sigma = _clipped(image[:, corners], hidden[:, corners], CORNER_PIXELS_MIN)
    everywhere = np.ones_like(corners)
    for mask, region in ((hidden, everywhere), (unusable, corners), (unusable, everywhere)):
        rest = np.flatnonzero(np.isnan(level))
        if rest.size:
            level[rest], sigma[rest] = _clipped(
                image[rest][:, region], mask[rest][:, region], SKY_PIXELS_MIN
            )
    return level, sigma


def source_pixels(image: np.ndarray, unusable: np.ndarray) -> np.ndarray:
    """bool [m, y, x]: pixels of sources, down to SOURCE_SIGMA in the smoothed image, and around.

    Sources are told from the sky by the faint side of the pixel distribution, which they leave
    alone: in a crowded field they raise the median and the scatter of every region of a cutout
    (by a third of the pixel sigma in HSC stamps), and sky taken there is light of sources.
    """
    filled = image
    if unusable.any():
        known = np.where(unusable, np.nan, image)
        middle = [np.nanmedian(plane) if np.isfinite(plane).any() else 0.0 for plane in known]
        filled = np.where(unusable, np.asarray(middle, image.dtype)[:, None, None], image)
    smoothed = gaussian_filter(filled, (0, SMOOTHING_PX, SMOOTHING_PX), truncate=3.0)
    sources = np.zeros(image.shape, bool)
    # the second pass measures the sky on what the first has left
    for _ in range(2):
        # every other pixel tells as much: they are correlated by the smoothing
        part = np.where(sources | unusable, np.inf, smoothed)[:, ::2, ::2]
        level, sigma = _faint_side(part.reshape(len(part), -1))
        bright = smoothed > (level + SOURCE_SIGMA * sigma)[:, None, None]
        sources = _widened(bright)
    return sources


def _widened(mask: np.ndarray) -> np.ndarray:
    """bool [m, y, x] with three more pixels on every side of what is True."""
    wide = mask.copy()
    for view in (wide, wide.swapaxes(1, 2)):
        for step in (1, 2):
            before = view.copy()
            view[:, step:] |= before[:, :-step]
            view[:, :-step] |= before[:, step:]
    return wide


def _faint_side(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Level and sigma [m] of the normal distribution whose faint tail `values` [m, n] have.

    From the quantiles at -2 and -1 sigma; +inf entries do not count. Level +inf where none does.
    """
    ordered = np.sort(values, axis=1)
    known = np.isfinite(ordered).sum(axis=1)
    rows = np.arange(len(ordered))
    low, high = (
        ordered[rows, np.minimum((quantile * known).astype(int), np.maximum(known - 1, 0))]
        for quantile in (0.0228, 0.1587)
    )
    sigma = np.where(known > 0, high, 0.0) - np.where(known > 0, low, 0.0)
    return high + sigma, sigma


def _clipped(
    values: np.ndarray, mask: np.ndarray, pixels_min: int
) -> tuple[np.ndarray, np.ndarray]:
    """Clipped median and sigma of each row [m, n]; NaN with too few unmasked values."""
    few = (~mask).sum(axis=1) < pixels_min
    kept = mask & ~few[:, None]
    _, level, sigma = sigma_clipped_stats(
        values.astype(float), mask=kept, sigma=3.0, maxiters=10, axis=1
    )
    levels = np.where(few, np.nan, np.asarray(level, dtype=float))
    sigmas = np.where(few, np.nan, np.asarray(sigma, dtype=float) / CLIPPED_SIGMA)
    return levels, sigmas


def background_map(image: np.ndarray, unusable: np.ndarray) -> np.ndarray | None:
    """Smooth background [y, x] of one large plane; None where too little of it is empty.

    Two passes: sources are found, on the smoothed image, above the map of the first pass, so that
    a gradient of the sky is not taken for a source. The central object is hidden out to a quarter
    of the side whether or not it stands out.
    """
    y, x = (np.abs(np.arange(side) - (side - 1) / 2) for side in image.shape)
    centre = np.hypot(y[:, None], x) < min(image.shape) / 4
    hidden = centre | unusable
    first = _mesh(image, hidden)
    if first is None:
        return None
    smoothed = gaussian_filter(np.where(unusable, 0.0, image - first), SMOOTHING_PX)
    _, _, scatter = sigma_clipped_stats(smoothed[~hidden], sigma=3.0)
    sources = binary_dilation(smoothed > SOURCE_SIGMA * scatter, iterations=3)
    return _mesh(image, hidden | sources)


def _mesh(image: np.ndarray, hidden: np.ndarray) -> np.ndarray | None:
    if 1 - hidden.mean() < EMPTY_FRACTION_MIN:
        return None
    return Background2D(
        image,
        max(min(image.shape) // 8, 24),
        mask=hidden,
        filter_size=3,
        exclude_percentile=75,
        bkg_estimator=MedianBackground(),
    ).background


def remove_background(
    image: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Subtract the sky from each plane and measure its noise.

    image, variance : float32 [m, y, x]; variance +inf where unusable, NaN where unknown
    Returns the image without sky (0 where unusable), the level [m] that was subtracted (median of
    the map where there is one) and the sky sigma [m]; both NaN where the sky cannot be measured.
    """
    unusable = np.isposinf(variance)
    level, sigma = sky_statistics(image, unusable)
    out = image - level[:, None, None].astype(np.float32)
    if min(image.shape[-2:]) >= MESH_SIDE_PX:
        for plane in np.flatnonzero(np.isfinite(level) & (sigma > 0)):
            sky = background_map(image[plane], unusable[plane])
            if sky is not None:
                out[plane] = image[plane] - sky.astype(np.float32)
                level[plane] = float(np.median(sky))
                one = slice(plane, plane + 1)
                _, sigma[one] = sky_statistics(out[one], unusable[one])
    out[unusable] = 0.0
    return out, level, sigma


def fill_variance(variance: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Variance [m, y, x] with unknown (NaN) pixels set to the sky's, sigma^2.

    The source's own Poisson noise is missing from it: no reader knows a gain.
    """
    return np.where(np.isnan(variance), (sigma**2).astype(np.float32)[:, None, None], variance)
