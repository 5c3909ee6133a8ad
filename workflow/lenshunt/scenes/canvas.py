"""A noiseless sky on a fine grid: paint light, blur it with each band's PSF, bin to pixels."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

from lenshunt.core.fourier import at_origin, forward, inverse
from lenshunt.core.moffat import moffat_psf


@lru_cache(maxsize=256)
def _psf_transform(
    fwhm_arcsec: float, beta: float, pixel_scale_arcsec: float, shape: tuple[int, int]
) -> np.ndarray:
    """FFT of a Moffat centred on pixel (0, 0) of a grid of `shape`."""
    size = int(12.0 * fwhm_arcsec / pixel_scale_arcsec) // 2 * 2 + 1
    size = min(size, (min(shape) - 1) // 2 * 2 + 1)
    psf = moffat_psf(fwhm_arcsec, beta, pixel_scale_arcsec, size)
    return forward(at_origin(psf, shape, shape), shape)


def _cubic_weights(t: float) -> np.ndarray:
    """Weights of four samples around a point at `t` (0..1) between the middle two; sum 1."""
    return np.array(
        [
            -0.5 * t + t**2 - 0.5 * t**3,
            1 - 2.5 * t**2 + 1.5 * t**3,
            0.5 * t + 2 * t**2 - 1.5 * t**3,
            -0.5 * t**2 + 0.5 * t**3,
        ]
    )


@dataclass(frozen=True)
class Patch:
    """Part of a canvas: where it is, and its pixel centres relative to an object.

    whole : no side was clipped at the edge of the canvas
    """

    rows: slice
    columns: slice
    dx: np.ndarray
    dy: np.ndarray
    step: float
    whole: bool

    @property
    def empty(self) -> bool:
        return self.dx.size == 0


class Canvas:
    """Light of a patch of sky, nJy per fine pixel, float32 [band, Y, X].

    Coordinates are arcsec from the image centre, x to the right (West where North is up), y up.
    A border outside the image keeps the FFT's wrap-around away.
    """

    def __init__(
        self,
        size_px: int,
        pixel_scale_arcsec: float,
        filters: tuple[str, ...],
        oversample: int = 2,
        border_arcsec: float = 1.5,
    ) -> None:
        self.size_px, self.scale, self.oversample = size_px, pixel_scale_arcsec, oversample
        self.filters = filters
        self.fine = pixel_scale_arcsec / oversample
        wanted = size_px + 2 * int(np.ceil(border_arcsec / pixel_scale_arcsec))
        fine_size = fft.next_fast_len(wanted * oversample, real=True)
        while fine_size % oversample or (fine_size // oversample - size_px) % 2:
            fine_size = fft.next_fast_len(fine_size + 1, real=True)
        self.light = np.zeros((len(filters), fine_size, fine_size), np.float32)
        self._axis = ((np.arange(fine_size) - (fine_size - 1) / 2) * self.fine).astype(np.float32)

    def patch(self, x: float, y: float, half_size: float) -> Patch:
        """Fine pixels within a square of `half_size` arcsec around (x, y), clipped."""
        rows = slice(*np.searchsorted(self._axis, (y - half_size, y + half_size)))
        columns = slice(*np.searchsorted(self._axis, (x - half_size, x + half_size)))
        dx = (self._axis[columns] - np.float32(x))[None, :]
        dy = (self._axis[rows] - np.float32(y))[:, None]
        wide, tall = np.broadcast_arrays(dx, dy)
        reach = self._axis[-1]
        whole = max(abs(x), abs(y)) + half_size <= reach
        return Patch(rows, columns, wide, tall, self.fine, whole)

    def paint(self, patch: Patch, light: np.ndarray, flux_njy: np.ndarray) -> None:
        """Add `light` [h, w] (fraction of the flux per fine pixel) times `flux_njy` [band]."""
        for band, flux in enumerate(flux_njy):
            self.light[band, patch.rows, patch.columns] += np.float32(flux) * light

    def paint_coarse(self, light: np.ndarray, flux_njy: np.ndarray) -> None:
        """Add `light` [y, x] given on the image's own pixels (fraction of the flux per pixel)."""
        step = self.oversample
        fine = np.repeat(np.repeat(light, step, axis=0), step, axis=1) / np.float32(step**2)
        edge = (self.light.shape[1] - fine.shape[0]) // 2
        part = slice(edge, edge + fine.shape[0])
        for band, flux in enumerate(flux_njy):
            self.light[band, part, part] += np.float32(flux) * fine

    def paint_point(self, x: float, y: float, flux_njy: np.ndarray) -> None:
        """Add a point source, shared between 4 x 4 fine pixels.

        Cubic weights (Keys 1981) keep place and width; linear ones would blur HST stars by 3 %.
        """
        column = (x - self._axis[0]) / self.fine
        row = (y - self._axis[0]) / self.fine
        left, low = int(np.floor(column)) - 1, int(np.floor(row)) - 1
        if min(left, low) < 0 or max(left, low) + 4 > self._axis.size:
            return
        weights = np.outer(_cubic_weights(row - low - 1), _cubic_weights(column - left - 1))
        for band, flux in enumerate(flux_njy):
            self.light[band, low : low + 4, left : left + 4] += np.float32(flux) * weights

    def observe(self, fwhm_arcsec: tuple[float, ...], beta: tuple[float, ...]) -> np.ndarray:
        """The image through the PSF of each band: nJy per pixel, float32 [band, y, x]."""
        bands = zip(self.light, fwhm_arcsec, beta, strict=True)
        return np.stack([self._observe(light, fwhm, exponent) for light, fwhm, exponent in bands])

    def observe_part(
        self, rows: slice, columns: slice, light_njy: np.ndarray, fwhm_arcsec: float, beta: float
    ) -> np.ndarray:
        """Some light [h, w] of one band alone through a PSF: nJy per pixel, float32 [y, x]."""
        alone = np.zeros_like(self.light[0])
        alone[rows, columns] = light_njy
        return self._observe(alone, fwhm_arcsec, beta)

    def _observe(self, light: np.ndarray, fwhm_arcsec: float, beta: float) -> np.ndarray:
        shape = light.shape
        kernel = _psf_transform(round(fwhm_arcsec, 3), beta, self.fine, shape)
        blurred = inverse(forward(light, shape) * kernel, shape, shape)
        return self._bin(blurred).astype(np.float32)

    def _bin(self, fine: np.ndarray) -> np.ndarray:
        step, size = self.oversample, fine.shape[0] // self.oversample
        coarse = fine.reshape(size, step, size, step).sum(axis=(1, 3))
        edge = (size - self.size_px) // 2
        return coarse[edge : edge + self.size_px, edge : edge + self.size_px]


@dataclass(frozen=True)
class Exposure:
    """Depth of one band: `sky_sigma_njy` per pixel and detected electrons per nJy."""

    sky_sigma_njy: float
    electrons_per_njy: float

    def noisy(self, image_njy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`image_njy` [y, x] with sky and Poisson noise (normal limit), float32."""
        sigma = np.sqrt(self.variance(image_njy))
        noise = rng.standard_normal(image_njy.shape, dtype=np.float32)
        return (image_njy + sigma * noise).astype(np.float32)

    def variance(self, image_njy: np.ndarray | float) -> np.ndarray:
        """Variance in nJy^2 per pixel of an image without noise."""
        return self.sky_sigma_njy**2 + np.maximum(image_njy, 0.0) / self.electrons_per_njy
