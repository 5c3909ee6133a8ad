"""The light of the galaxy in the middle, taken off so that what is around it stays."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

Method = Literal["rotation", "isophotes"]

#: Error of a light model as a fraction of the model: dust lanes, disks, PSF residuals, and photon
#: noise of the galaxy itself where the variance lacks it.
MODEL_ERROR = 0.05
#: Pixels this many robust sigma above their isophote belong to something else.
CLIP_SIGMA = 2.5
#: Width of the isophotal rings in pixels: near the centre, and elsewhere.
RING_PX, CORE_RING_PX, CORE_PX = 1.0, 0.5, 4.0
#: Largest ellipticity (1 - q)/(1 + q) of the isophotes; beyond, moments are those of a neighbour.
ELLIPTICITY_MAX = 0.5
_CLIPPINGS = 4
_SHAPE_ROUNDS = 2


@dataclass(frozen=True)
class WithoutLens:
    """One cutout without the light of its lens, float64 [band, y, x].

    image : the residual; 0 where it is not known
    variance : of a pixel of it, model error included; +inf where it is not known
    noise : the same without the model error
    model : what was taken off
    """

    image: np.ndarray
    variance: np.ndarray
    noise: np.ndarray
    model: np.ndarray


def subtract_lens_light(
    image: np.ndarray,
    variance: np.ndarray,
    method: Method,
    fwhm_px: float,
    foreign: np.ndarray | None = None,
) -> WithoutLens:
    """One cutout without the light of the galaxy in its middle.

    image, variance : [band, y, x], bands of one PSF; +inf on unusable pixels
    foreign : bool [y, x], pixels known to hold arcs or companions: no model learns from them
    rotation : less itself rotated by 180 degrees about the galaxy's centre. Exact for any galaxy
        with that symmetry, however complex; costs sqrt(2) in noise, and leaves a negative copy
        of whatever is not known as foreign opposite to it. Opposite to what is, as isophotes.
    isophotes : less the mean of each band along ellipses of one shape, clipped as long as nothing
        is known as foreign: a clip is deeper in a band of high S/N, and so has a colour. Keeps
        pairs of images and most of a ring; a disk or a bar leaves traces.
    """
    usable = np.isfinite(variance)
    image = np.where(usable, image, 0.0).astype(float)
    stacked = stack(image, variance)
    centre = light_centre(stacked, fwhm_px)
    known = foreign if foreign is not None else np.zeros(stacked.shape, bool)
    opposite = _rotated(known[None].astype(float), np.ones((1, *known.shape)), centre)[0][0] > 0.01
    if method == "isophotes" or known.any():
        radius = _isophotes(stacked, known, opposite, centre, fwhm_px)
        model, error2 = _isophotal(image, usable & ~known, radius, clipped=foreign is None)
    if method == "rotation":
        rotated, rotated2 = _rotated(image, variance, centre)
        if known.any():
            rotated, rotated2 = (
                np.where(opposite, smooth, turned)
                for smooth, turned in ((model, rotated), (error2, rotated2))
            )
        model, error2 = rotated, rotated2
    noise = variance + error2
    total = noise + (MODEL_ERROR * np.clip(model, 0, None)) ** 2
    there = np.isfinite(total)
    return WithoutLens(
        image=np.where(there, image - model, 0.0),
        variance=np.where(there, total, np.inf),
        noise=np.where(there, noise, np.inf),
        model=np.where(there, model, 0.0),
    )


def _isophotes(
    stacked: np.ndarray,
    foreign: np.ndarray,
    opposite: np.ndarray,
    centre: np.ndarray,
    fwhm_px: float,
) -> np.ndarray:
    """Elliptical radius [y, x] of the galaxy's isophotes.

    Foreign pixels are filled with what lies opposite to them, or with the isophotes themselves
    where that is foreign too; a few rounds settle it.
    """
    turned = _rotated(stacked[None], np.ones_like(stacked)[None], centre)[0][0]
    filled = np.where(foreign, turned, stacked)
    for _ in range(1 + _SHAPE_ROUNDS * bool(foreign.any())):
        radius = _elliptical_radius(stacked.shape, centre, *_ellipticity(filled, centre, fwhm_px))
        smooth, _ = _isophotal(stacked[None], ~foreign[None], radius, clipped=False)
        filled = np.where(foreign, np.where(opposite, smooth[0], turned), stacked)
    return radius


def stack(image: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Sum of the bands in units of its own noise, [y, x]: every band counts by its S/N.

    Per pixel over the bands that are usable there; 0 where none is.
    """
    usable = np.isfinite(variance)
    snr = np.where(usable, image, 0.0) / np.sqrt(np.where(usable, variance, 1.0))
    return snr.sum(axis=0) / np.sqrt(np.maximum(usable.sum(axis=0), 1))


def light_centre(stacked: np.ndarray, fwhm_px: float) -> np.ndarray:
    """(y, x) in pixels of the peak near the middle of the image, to a fraction of a pixel.

    Three steps of the centroid under a Gaussian window of the PSF's width; the middle itself
    where no light is.
    """
    middle = (np.array(stacked.shape) - 1) / 2
    sigma = max(fwhm_px / 2.355, 1.0)
    y, x = np.indices(stacked.shape, dtype=float)
    smooth = gaussian_filter(stacked, 0.5 * sigma)
    centre = middle.copy()
    for _ in range(5):
        window = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * sigma**2))
        weight = window * np.clip(smooth, 0, None)
        if weight.sum() <= 0:
            return middle
        step = np.array([((y - centre[0]) * weight).sum(), ((x - centre[1]) * weight).sum()])
        # a windowed centroid moves half the way of a peak as wide as the window
        centre = centre + 2 * step / weight.sum()
        if np.hypot(*(centre - middle)) > fwhm_px:
            return middle
    return centre


def _rotated(
    image: np.ndarray, variance: np.ndarray, centre: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The image rotated by 180 degrees about `centre`, and its variance; +inf off the image."""
    y, x = np.indices(image.shape[1:], dtype=float)
    at = np.array([2 * centre[0] - y, 2 * centre[1] - x])
    whole = np.rint(at).astype(int)
    size = np.array(image.shape[1:])[:, None, None]
    inside = ((whole >= 0) & (whole < size)).all(axis=0)
    row, column = np.clip(whole, 0, size - 1)
    model = np.stack([map_coordinates(band, at, order=3, mode="nearest") for band in image])
    error2 = np.where(inside, variance[:, row, column], np.inf)
    return model, error2


def _ellipticity(stacked: np.ndarray, centre: np.ndarray, fwhm_px: float) -> tuple[float, float]:
    """e1, e2 of the galaxy: (1 - q)/(1 + q) times cos and sin of twice its angle.

    From second moments in a Gaussian window of twice the PSF's FWHM, of the lesser of the image
    and its rotation: neither arcs nor neighbours are in that.
    """
    model, _ = _rotated(stacked[None], np.ones_like(stacked)[None], centre)
    light = np.clip(gaussian_filter(np.minimum(stacked, model[0]), 1.0), 0, None)
    y, x = np.indices(stacked.shape, dtype=float)
    dy, dx = y - centre[0], x - centre[1]
    width2 = (2 * fwhm_px / 2.355 * 1.5) ** 2
    weight = light * np.exp(-(dy**2 + dx**2) / (2 * width2))
    total = weight.sum()
    if total <= 0:
        return 0.0, 0.0
    xx, yy, xy = (float((weight * term).sum() / total) for term in (dx * dx, dy * dy, dx * dy))
    # The window rounds: in a Gaussian one, inverse moments add.
    moments = np.array([[xx, xy], [xy, yy]])
    inverse: np.ndarray = np.linalg.inv(moments + 1e-6 * np.eye(2)) - np.eye(2) / width2
    if np.linalg.eigvalsh(inverse)[0] <= 0:
        inverse = np.linalg.inv(moments + 1e-6 * np.eye(2))
    true = np.linalg.inv(inverse)
    size = true[0, 0] + true[1, 1] + 2 * np.sqrt(max(float(np.linalg.det(true)), 0.0))
    e1, e2 = float((true[0, 0] - true[1, 1]) / size), float(2 * true[0, 1] / size)
    excess = np.hypot(e1, e2) / ELLIPTICITY_MAX
    return (e1 / excess, e2 / excess) if excess > 1 else (e1, e2)


def _elliptical_radius(
    shape: tuple[int, ...], centre: np.ndarray, e1: float, e2: float
) -> np.ndarray:
    """Radius in pixels [y, x] of the circle with the area of the ellipse through each pixel."""
    y, x = np.indices(shape, dtype=float)
    dy, dx = y - centre[0], x - centre[1]
    across = ((1 - e1) * dx - e2 * dy) ** 2 + ((1 + e1) * dy - e2 * dx) ** 2
    return np.sqrt(across / (1 - e1**2 - e2**2))


def _isophotal(
    image: np.ndarray, usable: np.ndarray, radius: np.ndarray, clipped: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Model of each band from its rings, and the variance of the rings' means."""
    cores = int(CORE_PX / CORE_RING_PX)
    ring = np.where(
        radius < CORE_PX, radius / CORE_RING_PX, cores + (radius - CORE_PX) / RING_PX
    ).astype(int)
    model, error2 = np.zeros_like(image), np.full(image.shape, np.inf)
    for band, plane in enumerate(image):
        if usable[band].sum() > ring.max():
            good = usable[band]
            model[band], error2[band] = _ring_means(plane, good, ring, radius, clipped)
    return model, error2


def _ring_means(
    plane: np.ndarray, usable: np.ndarray, ring: np.ndarray, radius: np.ndarray, clipped: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Means along rings, interpolated in radius to every pixel; and their variance.

    Clipped: from the median of a ring on, pixels above CLIP_SIGMA of the scatter below it are
    left out.
    """
    label, value, r = ring[usable], plane[usable], radius[usable]
    count = ring.max() + 1
    order = np.lexsort((value, label))
    found = np.bincount(label, minlength=count)
    starts = np.cumsum(found) - found
    filled = found > 0
    level = np.zeros(count)
    level[filled] = value[order][(starts + (found - 1) // 2)[filled]]
    kept = np.ones(len(value), bool)
    for _ in range(_CLIPPINGS):
        # the scatter below the level is free of arcs
        below = value < level[label]
        deviation = np.bincount(label, np.where(below, (value - level[label]) ** 2, 0), count)
        sigma = np.sqrt(deviation / np.maximum(np.bincount(label, below, count), 1))
        if clipped:
            kept = value < level[label] + CLIP_SIGMA * sigma[label] + 1e-12
        number = np.bincount(label, kept, count)
        total = np.bincount(label, np.where(kept, value, 0), count)
        level = np.where(number > 0, total / np.maximum(number, 1), level)
    at = np.bincount(label, r, count)[filled] / found[filled]
    spread = (sigma**2 / np.maximum(np.bincount(label, kept, count), 1))[filled]
    flat = radius.ravel()
    return (
        np.interp(flat, at, level[filled]).reshape(radius.shape),
        np.interp(flat, at, spread).reshape(radius.shape),
    )
