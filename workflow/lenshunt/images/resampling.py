"""From an image's own pixels to those of the grid: interpolation as two small matrices."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.interpolate import make_interp_spline
from scipy.signal import correlate

#: B-spline order: flux of a PSF sampled at 2 px FWHM is kept to 0.1 %, of ground PSFs to 1e-5.
SPLINE_ORDER = 5
#: Interpolation weights farther than this from the sampled point are below 1e-4.
REACH_PX = 12


@dataclass(frozen=True)
class Resampling:
    """Linear map from [ny, nx] pixels to [size, size] grid pixels, centre onto centre.

    y, x : float32 [size, ny], [size, nx], spline weights
    y_linear, x_linear : the same with two-point (never negative) weights
    inside_y, inside_x : bool [size], whether a grid pixel lies on the image
    area_ratio : grid pixel area / image pixel area
    """

    y: np.ndarray
    x: np.ndarray
    y_linear: np.ndarray
    x_linear: np.ndarray
    inside_y: np.ndarray
    inside_x: np.ndarray
    area_ratio: float

    @property
    def footprint(self) -> np.ndarray:
        """bool [size, size]: grid pixels that lie on the image."""
        return self.inside_y[:, None] & self.inside_x

    @cached_property
    def crop(self) -> tuple[slice, slice] | None:
        """The part of the image that is the grid, where pixels are the same; None elsewhere."""
        parts = []
        for weights, linear in ((self.y, self.y_linear), (self.x, self.x_linear)):
            first = int(weights[0].argmax())
            same = np.eye(len(weights), weights.shape[1], k=first, dtype=np.float32)
            if self.area_ratio != 1 or not (
                np.array_equal(weights, same) and np.array_equal(linear, same)
            ):
                return None
            parts.append(slice(first, first + len(weights)))
        return parts[0], parts[1]

    def image(self, image: np.ndarray) -> np.ndarray:
        """Flux per grid pixel [..., size, size] of `image` [..., ny, nx]; zero off the image.

        The image must be band-limited (its PSF at least ~2 px wide): it is sampled, not binned,
        so that its effective PSF stays what it was. Surface brightness is conserved.
        """
        if self.crop is not None:
            return image[..., *self.crop]
        return (self.y @ image @ self.x.T) * np.float32(self.area_ratio)

    def smooth_map(self, values: np.ndarray) -> np.ndarray:
        """Positive map [..., size, size] (variance, mask weight) by linear interpolation."""
        if self.crop is not None:
            return values[..., *self.crop]
        return self.y_linear @ values @ self.x_linear.T

    def noise_gain(self, kernel: np.ndarray) -> np.ndarray:
        """Variance of each grid pixel [size, size] for white noise of variance 1 per image pixel.

        kernel : [k, k], what the image was convolved with before. Interpolating correlated noise
        is not interpolating its variance: var = w^T A w with A the kernel's autocorrelation.
        """
        kernel = np.asarray(kernel, dtype=float)
        lags = correlate(kernel, kernel, mode="full", method="fft")
        middle, reach = kernel.shape[0] - 1, min(kernel.shape[0] - 1, 2 * REACH_PX)
        near = slice(middle - reach, middle + reach + 1)
        gain = _weight_lags(self.y, reach) @ lags[near, near] @ _weight_lags(self.x, reach).T
        return gain * self.area_ratio**2


def _weight_lags(weights: np.ndarray, reach: int) -> np.ndarray:
    """Autocorrelation of each row of weights, lags -reach..reach, [size, 2 reach + 1]."""
    rows = weights.astype(float)
    padded = np.pad(rows, ((0, 0), (reach, reach)))
    n = rows.shape[1]
    return np.stack([(rows * padded[:, k : k + n]).sum(1) for k in range(2 * reach + 1)], axis=1)


def _axis(n: int, size: int, ratio: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spline weights, linear weights [size, n] and coverage [size] of one axis."""
    offset = (n - 1) / 2
    if abs(ratio - 1) < 1e-6:
        # Same pixels: a crop, not an interpolation by half a pixel.
        ratio, offset = 1.0, (size - 1) / 2 + (n - size) // 2
    at = (np.arange(size) - (size - 1) / 2) * ratio + offset
    inside = (at >= -0.5) & (at <= n - 0.5)
    clipped = np.clip(at, 0, n - 1)
    grid = np.arange(n, dtype=float)
    spline = make_interp_spline(grid, np.eye(n), k=SPLINE_ORDER)(clipped)
    spline[np.abs(spline) < 1e-7] = 0.0
    linear = make_interp_spline(grid, np.eye(n), k=1)(clipped)
    spline[~inside], linear[~inside] = 0.0, 0.0
    return spline.astype(np.float32), linear.astype(np.float32), inside


@lru_cache(maxsize=64)
def resampling(
    shape: tuple[int, int], pixel_scale_arcsec: float, grid_scale_arcsec: float, size: int
) -> Resampling:
    """The map from an image of `shape` and `pixel_scale_arcsec` to a grid of `size` pixels."""
    ratio = grid_scale_arcsec / pixel_scale_arcsec
    y, y_linear, inside_y = _axis(shape[0], size, ratio)
    x, x_linear, inside_x = _axis(shape[1], size, ratio)
    return Resampling(y, x, y_linear, x_linear, inside_y, inside_x, ratio**2)
