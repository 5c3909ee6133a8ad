"""Sky level of a small cutout whose central source may reach to its edges: a fit with its wings.

In 64 pixels no corner is free of a large galaxy: the corners lie 0.9 sigma above the sky
for an exponential of 19 mag with 3 arcsec half-light radius (HSC Wide noise), this fit 0.5 sigma.
The profile of the source in rings is fitted by sky + wing for a bank of Sersic slopes, all linear,
and the sky levels are averaged by how well each fits. Where nothing stands in the middle the level
is the mean of all pixels without sources, as good as the noise allows.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

#: Rings of this many pixels, cut into sectors.
RING_PX, SECTORS = 2.0, 8
#: A ring belongs to the central source while more than this fraction of it is masked.
SOURCE_RING = 0.7
#: Each ring of a source has at most this fraction of the brightness of the one before.
FALL = 0.95
#: Rings closer than this to the centre do not show a Sersic law but the PSF.
CORE_PX = 4.0
#: Departure of real galaxies from a Sersic law: fraction of the ring's brightness, and of the
#: median departure of the sectors (neighbours, spiral arms) from their median.
FLOOR, SECTOR_SPREAD = 0.1, 0.7
#: Brightness in sigma of the wing where the mask ends: mean and width of the prior.
EDGE_SIGMA = (0.5, 1.0)
#: A profile that no wing fits to this chi2 per ring tells nothing about the sky.
CHI2_MAX = 10.0
#: Sky in sigma above the mean of the free pixels, at most.
SKY_ABOVE = 0.1
#: Sky pixels farther than this from their mean are left out; a normal distribution cut there has
#: this fraction of its width.
CLIP_SIGMA, CLIPPED_SIGMA = 3.0, 0.9866
#: Sersic index and logarithmic slope at the edge of the mask of each wing.
_INDEX, _SLOPE = (
    grid.ravel() for grid in np.meshgrid([0.7, 1.0, 2.0, 4.0], [1.5, 2.2, 3.0, 4.0, 5.5, 7.5, 10.0])
)


@dataclass(frozen=True)
class Cells:
    """Pixels of a cutout sorted into sectors of rings about its centre.

    order : [pixel] index into the flat image; start : first pixel of each cell in that order
    cell : [cell] ring * SECTORS + sector; ring_of_pixel : [pixel], in that order
    radius_px, pixels : [ring], mean radius and number of pixels
    """

    order: np.ndarray
    start: np.ndarray
    cell: np.ndarray
    ring_of_pixel: np.ndarray
    radius_px: np.ndarray
    pixels: np.ndarray

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums [m, ring, sector] of values [m, pixel] in the order of the cells."""
        out = np.zeros((len(values), len(self.radius_px) * SECTORS), np.float32)
        out[:, self.cell] = np.add.reduceat(values, self.start, axis=1, dtype=np.float32)
        return out.reshape(len(values), -1, SECTORS)


@lru_cache(maxsize=16)
def cells_of(shape: tuple[int, int]) -> Cells:
    """Rings and sectors about the centre of an image of `shape`."""
    y, x = np.meshgrid(*(np.arange(side) - (side - 1) / 2 for side in shape), indexing="ij")
    radius = np.hypot(y, x).ravel()
    sector = ((np.arctan2(y, x) / (2 * np.pi) + 0.5) * SECTORS).astype(int).ravel() % SECTORS
    ring = (radius / RING_PX).astype(int)
    cell = ring * SECTORS + sector
    order = np.argsort(cell, kind="stable")
    present, start = np.unique(cell[order], return_index=True)
    pixels = np.bincount(ring)
    return Cells(
        order=order,
        start=start,
        cell=present,
        ring_of_pixel=ring[order],
        radius_px=np.bincount(ring, radius) / pixels,
        pixels=pixels,
    )


def sky_beside_source(
    image: np.ndarray, sources: np.ndarray, unusable: np.ndarray, few: int
) -> tuple[np.ndarray, np.ndarray]:
    """Level and sigma [m] of the sky of planes [m, y, x].

    sources, unusable : bool [m, y, x]
    NaN where fewer than `few` pixels are free of sources. Sigma is the scatter within cells, so
    that neither a gradient nor the wings count as noise.
    """
    cells = cells_of((image.shape[1], image.shape[2]))
    m = len(image)
    values, in_source, bad = (
        np.take(a.reshape(m, -1), cells.order, axis=1) for a in (image, sources, unusable)
    )
    free = ~(in_source | bad)
    known = free.sum(axis=1) >= few
    start, spread = _moments(values, free)
    values = values - start[:, None]
    free &= np.abs(values) < CLIP_SIGMA * spread[:, None]
    sky = np.where(free, values, np.float32(0))
    number, total = cells.sums(free), cells.sums(sky)
    within = cells.sums(sky**2) - total**2 / np.maximum(number, 1)
    degrees = np.maximum(number - 1, 0).sum(axis=(1, 2))
    sigma = np.sqrt(np.maximum(within.sum(axis=(1, 2)), 0) / np.maximum(degrees, 1)) / CLIPPED_SIGMA
    level = total.sum(axis=(1, 2)) / np.maximum(number.sum(axis=(1, 2)), 1)
    covered = cells.sums(in_source).sum(axis=2) / cells.pixels
    wide = np.flatnonzero((covered[:, 0] > SOURCE_RING) & known & (sigma > 0))
    if wide.size:
        good = ~bad[wide]
        scale = sigma[wide][:, None, None]
        of_all = cells.sums(good), cells.sums(np.where(good, values[wide], np.float32(0))) / scale
        rings = _rings((number[wide], total[wide] / scale), of_all, covered[wide] > SOURCE_RING)
        shift, trusted = _sky_of_profile(rings, cells.radius_px)
        level[wide] = np.where(trusted, sigma[wide] * shift, level[wide])
    return (
        np.where(known, start + level, np.nan).astype(float),
        np.where(known, sigma, np.nan).astype(float),
    )


def _moments(values: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the free values of each row [m, pixel], float32."""
    number = np.maximum(free.sum(axis=1), 1).astype(np.float32)
    mean = np.where(free, values, np.float32(0)).sum(axis=1) / number
    offset = np.where(free, values - mean[:, None], np.float32(0))
    return mean, np.sqrt((offset**2).sum(axis=1) / number)


@dataclass(frozen=True)
class Rings:
    """Profile of m sources: [m, ring] brightness and its error in sigma (error inf where no pixel
    is); inside: bool, rings of the source itself."""

    brightness: np.ndarray
    error: np.ndarray
    inside: np.ndarray


def _rings(
    free: tuple[np.ndarray, np.ndarray],
    everything: tuple[np.ndarray, np.ndarray],
    masked: np.ndarray,
) -> Rings:
    """Rings of the central source, and beyond them the pixels that are free of sources.

    free, everything : number of pixels and sum of their values in sigma, [m, ring, sector]
    masked : bool [m, ring], rings that lie under the mask. Those are the source's while each is
    fainter than the one before: a crowd of neighbours is no wing. The median of their sectors
    stands against single ones.
    """
    number, total = everything
    mean = total / np.maximum(number, 1)
    median = _median(mean, number > 0)
    spread = _median(np.abs(mean - median[..., None]), number > 0)
    # the median of some sectors has 1.5 times the variance of their mean
    noise = 1.5 / np.maximum(number.sum(axis=2), 1)
    falls = median[:, 1:] <= FALL * median[:, :-1] + np.sqrt(noise[:, 1:])
    inside = np.logical_and.accumulate(np.concatenate([masked[:, :1], falls], 1) & masked, axis=1)
    pixels = free[0].sum(axis=2)
    brightness = np.where(inside, median, free[1].sum(axis=2) / np.maximum(pixels, 1))
    variance = np.where(inside, noise, 1 / np.maximum(pixels, 1))
    variance += (FLOOR * np.maximum(brightness, 0)) ** 2 + (SECTOR_SPREAD * inside * spread) ** 2
    seen = np.where(inside, number.sum(axis=2), pixels) > 0
    return Rings(brightness, np.where(seen, np.sqrt(variance), np.inf), inside)


def _median(values: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Median along the last axis of the values that are shown; 0 where none is."""
    ordered = np.sort(np.where(shown, values, np.inf), axis=-1)
    number = shown.sum(axis=-1, keepdims=True)
    last = np.maximum(number - 1, 0)
    pair = np.take_along_axis(ordered, np.concatenate([last // 2, (last + 1) // 2], axis=-1), -1)
    return np.where(number[..., 0] > 0, pair.mean(axis=-1), 0.0)


def _sky_of_profile(rings: Rings, radius_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sky [m] in sigma of brightness = sky + amplitude wing(radius), and whether any wing fits.

    A wing is 1 at the edge of the source: exp(-slope n (x^(1/n) - 1)) with x = radius / edge, a
    Sersic law of index n. Sky and amplitude (at least 0) follow by linear least squares for each;
    skies are averaged with the weight of the wings' evidence.
    """
    profile, error, inside = rings.brightness, rings.error, rings.inside
    edge = inside.sum(axis=1)[:, None] * RING_PX
    x = np.maximum(radius_px, CORE_PX)[None] / edge
    index, slope = _INDEX[:, None], _SLOPE[:, None]
    wing = np.exp(-np.maximum(slope * index * (x[:, None] ** (1 / index) - 1), -30.0))
    weight = np.where(radius_px > CORE_PX, 1 / error**2, 0.0)
    middle, width = EDGE_SIGMA
    ones, data = weight.sum(axis=1)[:, None], (weight * profile).sum(axis=1)[:, None]
    wings = np.einsum("mr,mtr->mt", weight, wing)
    squares = np.einsum("mr,mtr->mt", weight, wing**2) + 1 / width**2
    product = np.einsum("mr,mtr->mt", weight * profile, wing) + middle / width**2
    determinant = ones * squares - wings**2
    amplitude = np.maximum((ones * product - wings * data) / determinant, 0.0)
    sky = (data - amplitude * wings) / ones
    whole = (weight * profile**2).sum(axis=1)[:, None] + (middle / width) ** 2
    chi2 = whole - 2 * (sky * data + amplitude * product) + sky**2 * ones
    chi2 += amplitude**2 * squares + 2 * amplitude * sky * wings
    degrees = (weight > 0).sum(axis=1) - 3
    reduced = chi2.min(axis=1) / np.maximum(degrees, 1)
    evidence = -0.5 * chi2 / np.maximum(reduced, 1)[:, None] - 0.5 * np.log(determinant)
    share = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    average = (share * sky).sum(axis=1) / share.sum(axis=1)
    # the sky can be below the mean of the free pixels, above it by their noise only
    return np.minimum(average, SKY_ABOVE), (reduced < CHI2_MAX) & (degrees >= 4)
