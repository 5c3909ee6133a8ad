"""Lensed light on the pixels of a real image: rays, surface brightness, the image's own PSF."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.Util.param_util import phi_q2_ellipticity
from scipy import fft

from lenshunt.core.fourier import at_origin, forward, fourier_box, inverse

#: Brightness of a source of unit flux per square arcsec, at x and y arcsec of the source plane.
Brightness = Callable[[np.ndarray, np.ndarray], np.ndarray]
#: Rays per pixel and axis are chosen so that this many fall on the source's half-light radius.
_RAYS_PER_RADIUS = 2.5
_SUPERSAMPLING = (3, 16)
#: Images nearer to the centre than this fraction of theta_E are not counted.
CENTRE = 0.08


@dataclass(frozen=True)
class Mass:
    """Isothermal ellipsoid with external shear about its centre.

    theta_e : arcsec, pi theta_e^2 = area inside the critical curve; q, angle : axis ratio and
    direction of the major axis, radians from +x; x, y : arcsec from the centre of the image
    """

    theta_e: float
    q: float
    angle: float
    gamma1: float
    gamma2: float
    x: float = 0.0
    y: float = 0.0

    def source_position(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The lens equation: positions in the source plane of rays at x, y arcsec."""
        e1, e2 = phi_q2_ellipticity(self.angle, self.q)
        place = {"center_x": self.x, "center_y": self.y}
        keywords = [
            {"theta_E": self.theta_e, "e1": e1, "e2": e2, **place},
            {"gamma1": self.gamma1, "gamma2": self.gamma2, "ra_0": self.x, "dec_0": self.y},
        ]
        beta_x, beta_y = _model().ray_shooting(x.ravel(), y.ravel(), keywords)
        return beta_x.reshape(x.shape), beta_y.reshape(y.shape)


@cache
def _model() -> LensModel:
    return LensModel(["SIE", "SHEAR"])


def supersampling(source_radius: float, pixel_scale_arcsec: float) -> int:
    """Rays per pixel and axis for a source of a half-light radius in arcsec."""
    wanted = int(np.ceil(_RAYS_PER_RADIUS * pixel_scale_arcsec / source_radius))
    return int(np.clip(wanted, *_SUPERSAMPLING))


def ray_grid(
    shape: tuple[int, int], pixel_scale_arcsec: float, rays: int
) -> tuple[np.ndarray, np.ndarray]:
    """x and y in arcsec from the image centre of `rays` x `rays` points in every pixel."""
    axes = [
        (np.arange(side * rays) - (side * rays - 1) / 2) * (pixel_scale_arcsec / rays)
        for side in shape
    ]
    y, x = np.meshgrid(*axes, indexing="ij")
    return x, y


def lensed_light(
    mass: Mass,
    source: Brightness,
    shape: tuple[int, int],
    pixel_scale_arcsec: float,
    rays: int,
) -> np.ndarray:
    """Lensed image of a source of unit flux: flux per ray [y * rays, x * rays].

    Its sum is the magnification, as far as the image reaches.
    """
    x, y = ray_grid(shape, pixel_scale_arcsec, rays)
    light = source(*mass.source_position(x, y))
    return (light * (pixel_scale_arcsec / rays) ** 2).astype(np.float32)


def through_psf(fine: np.ndarray, psf: np.ndarray, rays: int) -> np.ndarray:
    """`fine` [y * rays, x * rays] seen through effective PSFs [band, h, w]: [band, y, x].

    An effective PSF holds the pixel's own width already: adding up rays per pixel before the
    convolution would blur by a second pixel. The image is therefore low-passed to the pixel's
    Nyquist frequency, multiplied with the PSF's transform and read off at the pixel centres.
    The flux is kept exactly, but for what leaves the image. psf : odd sides, unit sum.
    """
    shape = (fine.shape[0] // rays, fine.shape[1] // rays)
    # even: a common Nyquist frequency on both axes; as wide a margin as the whole PSF, since the
    # low-pass spreads light
    box = fourier_box(shape, psf.shape[-2:], even=True)
    # low frequencies are all that is needed: neither rows of zeros nor high columns are transformed
    frequency = [np.fft.fftfreq(box[0]), np.fft.rfftfreq(box[1])]
    rows = fft.rfft(fine, n=box[1] * rays, axis=1, workers=1)[:, : len(frequency[1])]
    spectrum = fft.fft(rows, n=box[0] * rays, axis=0, workers=1)
    low = spectrum[np.rint(frequency[0] * box[0]).astype(int)]
    # the first ray lies (rays - 1) / 2 rays before the centre of the first pixel
    shift = (rays - 1) / (2 * rays)
    phase = [np.exp(2j * np.pi * f * shift) for f in frequency]
    low = low * phase[0][:, None] * phase[1][None, :]
    spectra = forward(at_origin(psf.astype(np.float32, copy=False), shape, box), box)
    return inverse(low[None] * spectra, box, shape).astype(np.float32)


def count_images(mass: Mass, source_x: float, source_y: float) -> int:
    """Number of images of a point source: triangles of the image plane that map onto it.

    Around the singular centre rays are bent every way: within CENTRE theta_E of it nothing is
    counted. An image there is fainter than the source by more than 1 / CENTRE, and never seen.
    """
    half = 2.5 * mass.theta_e + float(np.hypot(source_x - mass.x, source_y - mass.y))
    step = 0.5 * CENTRE * mass.theta_e
    axis = (np.arange(2 * int(np.ceil(half / step))) + 0.5) * step
    axis = axis - axis.mean()
    x, y = np.meshgrid(axis, axis)
    bx, by = mass.source_position(mass.x + x, mass.y + y)
    bx, by = bx - source_x, by - source_y
    low, high = slice(None, -1), slice(1, None)
    corners = [(bx[c], by[c]) for c in ((low, low), (low, high), (high, high), (high, low))]
    away = np.hypot(x[low, low] + step / 2, y[low, low] + step / 2) > CENTRE * mass.theta_e
    return sum(
        int((_holds_origin(corners[0], corners[k], corners[k + 1]) & away).sum()) for k in (1, 2)
    )


def _holds_origin(
    a: tuple[np.ndarray, np.ndarray],
    b: tuple[np.ndarray, np.ndarray],
    c: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Whether triangles with corners (x, y) [n, m] hold the origin."""
    ab = a[0] * b[1] - a[1] * b[0]
    bc = b[0] * c[1] - b[1] * c[0]
    ca = c[0] * a[1] - c[1] * a[0]
    return ((ab > 0) & (bc > 0) & (ca > 0)) | ((ab <= 0) & (bc <= 0) & (ca <= 0))
