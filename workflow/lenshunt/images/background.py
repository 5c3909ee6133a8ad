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
#: Standard deviation of a Gaussian after repeated clipping at 3 sigma, relative to its true one.
CLIPPED_SIGMA = 0.985


def corner_pixels(shape: tuple[int, int]) -> np.ndarray:
    """bool [y, x]: pixels outside the largest ellipse that fits into the image.

    The corners are the part of a cutout that is farthest from its object, in every direction.
    """
    y, x = (2 * np.arange(side) / (side - 1) - 1 for side in shape)
    return y[:, None] ** 2 + x**2 > 1


def sky_statistics(image: np.ndarray, unusable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sigma-clipped median and standard deviation of the corner pixels of each plane.

    image : [m, y, x]; unusable : bool [m, y, x]
    A plane with fewer than SKY_PIXELS_MIN usable corner pixels (an image edge, a mask) is measured
    on all its usable pixels.
    Returns level [m] and sigma [m], NaN where even these are fewer.
    """
    corners = corner_pixels(image.shape[-2:])
    level, sigma = _clipped(image[:, corners], unusable[:, corners])
    for plane in np.flatnonzero(np.isnan(level)):
        flat, mask = image[plane].reshape(1, -1), unusable[plane].reshape(1, -1)
        level[plane : plane + 1], sigma[plane : plane + 1] = _clipped(flat, mask)
    return level, sigma


def _clipped(values: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Clipped median and sigma of each row [m, n]; NaN with too few unmasked values."""
    few = (~mask).sum(axis=1) < SKY_PIXELS_MIN
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
    sources = binary_dilation(smoothed > 3.0 * scatter, iterations=3)
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
