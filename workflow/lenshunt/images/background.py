"""Sky level and sky noise of cutouts; a bright object in the middle is no sky."""

from functools import lru_cache

import numpy as np
from astropy.stats import sigma_clipped_stats
from photutils.background import Background2D, MeanBackground
from scipy.ndimage import binary_dilation, gaussian_filter, gaussian_filter1d

from lenshunt.images.wings import sky_beside_source

#: Cutouts of at least this side get a background map; on smaller ones the mesh sees the object.
MESH_SIDE_PX = 128
#: A background map needs at least this fraction of pixels free of sources.
EMPTY_FRACTION_MIN = 0.5
#: A slope is used where it scatters by more than this many times the noise of one mesh: that of
#: white noise, smoothed over 3 x 3 meshes, scatters by 0.25 to 0.5 of it.
STRUCTURE_MIN = 0.6
#: Gaussian smoothing, in pixels, of the image in which sources are looked for.
SMOOTHING_PX = 1.5
#: A sky level needs at least this many pixels.
SKY_PIXELS_MIN = 20
#: Pixels free of sources that give the sky level to a tenth of the pixel sigma.
SKY_PIXELS_FREE = 150
#: Threshold for sources, in sigma of the smoothed sky.
SOURCE_SIGMA = 3.2
#: Planes worked on together.
BLOCK = 40
#: Standard deviation of a Gaussian after repeated clipping at 3 sigma, relative to its true one.
CLIPPED_SIGMA = 0.985


def corner_pixels(shape: tuple[int, int]) -> np.ndarray:
    """bool [y, x]: pixels outside the largest ellipse that fits into the image.

    The corners are the part of a cutout that is farthest from its object, in every direction.
    """
    y, x = (2 * np.arange(side) / (side - 1) - 1 for side in shape)
    return y[:, None] ** 2 + x**2 > 1


def sky_statistics(image: np.ndarray, unusable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Level and standard deviation of the sky of planes, beside and under the wings of sources.

    image : [m, y, x]; unusable : bool [m, y, x]
    From the pixels without sources and the wings of the central one (see `wings`). Where fewer
    than SKY_PIXELS_FREE pixels are free, the clipped median of those; where even they are fewer
    than SKY_PIXELS_MIN, that of all usable corner pixels, then of all usable pixels.
    Returns level [m] and sigma [m], NaN with fewer than SKY_PIXELS_MIN usable pixels.
    """
    level, sigma = np.full(len(image), np.nan), np.full(len(image), np.nan)
    sources = np.empty(image.shape, bool)
    # blocks whose arrays stay in a core's cache
    for start in range(0, len(image), BLOCK):
        part = slice(start, start + BLOCK)
        sources[part] = source_pixels(image[part], unusable[part])
        level[part], sigma[part] = sky_beside_source(
            image[part], sources[part], unusable[part], SKY_PIXELS_FREE
        )
    corners = corner_pixels(image.shape[-2:])
    everywhere = np.ones_like(corners)
    for mask, region in (
        (sources | unusable, everywhere),
        (unusable, corners),
        (unusable, everywhere),
    ):
        rest = np.flatnonzero(np.isnan(level))
        if rest.size:
            level[rest], sigma[rest] = _clipped(
                image[rest][:, region], mask[rest][:, region], SKY_PIXELS_MIN
            )
    return level, sigma


def source_pixels(image: np.ndarray, unusable: np.ndarray) -> np.ndarray:
    """bool [m, y, x]: pixels of sources, from SOURCE_SIGMA in the smoothed image on, and around.

    Sources are told from the sky by the faint side of the pixel distribution, which they leave
    alone: in a crowded field they raise the median and the scatter of every region of a cutout
    (by a third of the pixel sigma in HSC stamps), and sky taken there is light of sources.
    """
    filled = image
    if unusable.any():
        known = np.where(unusable, np.nan, image)
        middle = [np.nanmedian(plane) if np.isfinite(plane).any() else 0.0 for plane in known]
        filled = np.where(unusable, np.asarray(middle, image.dtype)[:, None, None], image)
    y, x = (_smoothing(side) for side in image.shape[1:])
    smoothed = y @ filled @ x.T
    sources = np.zeros(image.shape, bool)
    # the second pass measures the sky on what the first has left
    for _ in range(2):
        # every other pixel tells as much: they are correlated by the smoothing
        hidden = sources[:, ::2, ::2] | unusable[:, ::2, ::2]
        part = np.where(hidden, np.float32(np.inf), smoothed[:, ::2, ::2])
        level, sigma = _faint_side(part.reshape(len(part), -1))
        known = np.where(np.isfinite(level), level, 0.0).astype(np.float32)
        limit = np.where(np.isfinite(level), SOURCE_SIGMA * sigma, np.inf).astype(np.float32)
        # dips as deep are left out too: noise must not be cut on one side only
        sources = _widened(np.abs(smoothed - known[:, None, None]) > limit[:, None, None])
    return sources


@lru_cache(maxsize=16)
def _smoothing(side: int) -> np.ndarray:
    """Gaussian smoothing by SMOOTHING_PX along an axis as a matrix, float32 [side, side]."""
    return gaussian_filter1d(np.eye(side), SMOOTHING_PX, axis=0, truncate=3.0).astype(np.float32)


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
    """Slope of the sky of one large plane, [y, x]: odd about its middle, so without a level.

    Two passes: sources are found, on the smoothed image, above the map of the first pass, so that
    a gradient of the sky is not taken for a source. The central object is hidden out to a quarter
    of the side whether or not it stands out; its wings beyond still lift a map (by 2.4 % of the
    flux in 3 arcsec, for an n = 4 galaxy of 0.5 arcsec in an HST cutout). So only the part of the
    map that is odd about the middle is taken for sky. None where too little of the plane is empty,
    and where the map shows no more than its own noise.
    """
    y, x = (np.abs(np.arange(side) - (side - 1) / 2) for side in image.shape)
    centre = np.hypot(y[:, None], x) < min(image.shape) / 4
    hidden = centre | unusable
    first = _mesh(image, hidden)
    if first is None:
        return None
    flat = np.where(unusable, 0.0, image - first.background)
    smoothed = gaussian_filter(flat, SMOOTHING_PX)
    _, _, scatter = sigma_clipped_stats(smoothed[~hidden], sigma=3.0)
    sources = binary_dilation(smoothed > SOURCE_SIGMA * scatter, iterations=3)
    final = _mesh(image, hidden | sources)
    if final is None:
        return None
    noise = final.background_rms_median / np.sqrt(np.prod(final.box_size))
    odd = (final.background - final.background[::-1, ::-1]) / 2
    return odd if odd.std() > STRUCTURE_MIN * noise else None


def _mesh(image: np.ndarray, hidden: np.ndarray) -> Background2D | None:
    if 1 - hidden.mean() < EMPTY_FRACTION_MIN:
        return None
    return Background2D(
        image,
        max(min(image.shape) // 8, 24),
        mask=hidden,
        filter_size=3,
        exclude_percentile=75,
        bkg_estimator=MeanBackground(),
    )


def remove_background(
    image: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Subtract the sky from each plane and measure its noise.

    image, variance : float32 [m, y, x]; variance +inf where unusable, NaN where unknown
    Returns the image without sky (0 where unusable), the level [m] that was subtracted (beside a
    slope, where there is one) and the sky sigma [m]; both NaN where the sky cannot be measured.
    """
    unusable = np.isposinf(variance)
    level, sigma = sky_statistics(image, unusable)
    out = image - level[:, None, None].astype(np.float32)
    if min(image.shape[-2:]) >= MESH_SIDE_PX:
        for plane in np.flatnonzero(np.isfinite(level) & (sigma > 0)):
            slope = background_map(image[plane], unusable[plane])
            if slope is not None:
                one = slice(plane, plane + 1)
                flat = image[one] - slope.astype(np.float32)
                level[one], sigma[one] = sky_statistics(flat, unusable[one])
                out[one] = flat - level[one].astype(np.float32)
    out[unusable] = 0.0
    return out, level, sigma


def fill_variance(variance: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Variance [m, y, x] with unknown (NaN) pixels set to the sky's, sigma^2.

    The source's own Poisson noise is missing from it: no reader knows a gain.
    """
    return np.where(np.isnan(variance), (sigma**2).astype(np.float32)[:, None, None], variance)
