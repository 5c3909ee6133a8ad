"""What storing pixels in 16 bits does to them, by scheme: the measurement behind `tiff16`."""

import zlib
from collections.abc import Callable

import numpy as np
import pandas as pd

from lenshunt.images.tiff16 import (
    STEP_SIGMA,
    TOP,
    decode_image,
    decode_variance,
    encode_image,
    encode_variance,
    pack_wraps,
)

#: Classes of pixels by their S/N; the last lie beyond the 65,536 steps of one page.
PIXEL_CLASSES = {
    "sky": (0.0, 1.0),
    "arc": (1.0, 5.0),
    "galaxy": (5.0, 100.0),
    "core": (100.0, 2490.0),
    "bright core": (2490.0, np.inf),
}
#: Side of the boxes whose sum is looked at.
BOX_PX = 5

#: A scheme: image, variance [m, y, x] to the image as decoded and the bytes of its pages.
Scheme = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, bytes]]


def _uniform(warp: Callable, unwarp: Callable) -> Scheme:
    """65,536 equal steps of warp(image / sky sigma, gain) from the lowest to the highest pixel."""

    def scheme(image: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, bytes]:
        out, pages = np.zeros_like(image), []
        for page, (plane, var) in enumerate(zip(image, variance, strict=True)):
            usable = np.isfinite(var)
            sigma = np.sqrt(np.median(var[usable]))
            # nJy per electron, as the variance tells: variance = sky + gain flux
            gain = max(np.polyfit(plane[usable] / sigma, var[usable] / sigma**2, 1)[0], 1e-9)
            warped = warp(np.where(usable, plane, 0.0) / sigma, gain)
            low, step = warped.min(), max(np.ptp(warped) / TOP, 1e-12)
            codes = np.rint((warped - low) / step).astype(np.uint16)
            out[page] = np.where(usable, unwarp(codes * step + low, gain) * sigma, 0)
            pages.append(codes.tobytes())
        return out, b"".join(pages)

    return scheme


def _anscombe(ratio: np.ndarray, gain: float) -> np.ndarray:
    """Integral of d ratio / sqrt(1 + gain ratio), continued linearly below zero."""
    return np.where(ratio > 0, 2 * ratio / (1 + np.sqrt(1 + gain * np.maximum(ratio, 0))), ratio)


def _anscombe_inverse(warped: np.ndarray, gain: float) -> np.ndarray:
    return np.where(warped > 0, warped + gain / 4 * warped**2, warped)


def _noise_scaled(dither: bool, asinh_beyond: bool) -> Scheme:
    """Steps of STEP_SIGMA of each pixel's own sigma, 65,536 of them; brighter pixels clipped or,
    on a page that has some, S/N compressed by asinh. With `dither` uniform noise of one step is
    added before rounding: no bias of the mean, more scatter."""

    def scheme(image: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, bytes]:
        usable, rng = np.isfinite(variance), np.random.default_rng(0)
        sigma = np.sqrt(np.where(usable, variance, 1))
        steps = np.where(usable, image, 0) / (sigma * STEP_SIGMA)
        low, high = steps.min(axis=(1, 2)), steps.max(axis=(1, 2))
        soft = np.full(len(image), np.inf)
        for page in np.flatnonzero(high - low > TOP - 1) if asinh_beyond else ():
            soft[page] = _softening(float(low[page]), float(high[page]))
            steps[page] = np.arcsinh(steps[page] / soft[page]) * soft[page]
        zero = np.rint(-steps.min(axis=(1, 2)))[:, None, None]
        steps += rng.uniform(-0.5, 0.5, steps.shape) if dither else 0
        codes = np.clip(np.rint(steps + zero), 0, TOP)
        back = codes - zero
        for page in np.flatnonzero(np.isfinite(soft)):
            back[page] = soft[page] * np.sinh(back[page] / soft[page])
        out = np.where(usable, back * STEP_SIGMA * sigma, 0)
        return out.astype(np.float32), codes.astype(np.uint16).tobytes()

    return scheme


def _softening(low: float, high: float) -> float:
    """Largest softening, in steps, with which `low`..`high` fit into one page."""
    soft = max(abs(low), abs(high))
    while soft * (np.arcsinh(high / soft) - np.arcsinh(low / soft)) > TOP - 1:
        soft *= 0.8
    return soft


def _ours(image: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, bytes]:
    """The scheme of `tiff16`, its rounded variance included."""
    seen = decode_variance(*encode_variance(variance))
    coded = encode_image(image, seen)
    extra = "".join(pack_wraps(wraps) for wraps in coded.wraps.values())
    return decode_image(coded, seen), coded.codes.tobytes() + extra.encode("ascii")


SCHEMES: dict[str, Scheme] = {
    "linear, min to max": _uniform(lambda r, g: r, lambda w, g: w),
    "asinh, min to max": _uniform(lambda r, g: np.arcsinh(r / 2), lambda w, g: 2 * np.sinh(w)),
    "sqrt (Anscombe), min to max": _uniform(_anscombe, _anscombe_inverse),
    "noise-scaled, clipped": _noise_scaled(dither=False, asinh_beyond=False),
    "noise-scaled, dithered": _noise_scaled(dither=True, asinh_beyond=False),
    "noise-scaled, asinh beyond": _noise_scaled(dither=False, asinh_beyond=True),
    "noise-scaled, wrapped (ours)": _ours,
}


def rounding_table(samples: dict[str, tuple[np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """Rounding errors of every scheme on every sample.

    samples : image and variance by name, float32 [m, y, x]; variance +inf where unusable
    Returns one row per sample, scheme and class of pixels that occurs: `pixels`, `max_error` and
    `rms_error` in units of each pixel's own sigma, and, the same for all classes of a sample,
    `box_error` (largest change of a 5 x 5 box sum / sigma of the box; boxes with unusable pixels
    left out), `bytes_per_pixel` of the pages as they are and `zlib_bytes_per_pixel` compressed.
    """
    rows = []
    for name, (image, variance) in samples.items():
        usable = np.isfinite(variance)
        sigma = np.sqrt(np.where(usable, variance, 1))
        ratio = np.abs(image) / sigma
        for scheme, coder in SCHEMES.items():
            decoded, stored = coder(image, variance)
            moved = np.where(usable, decoded.astype(float) - image, 0)
            whole = {
                "box_error": _box_error(moved, variance),
                "bytes_per_pixel": len(stored) / image.size,
                "zlib_bytes_per_pixel": len(zlib.compress(stored, 6)) / image.size,
            }
            for kind, (low, high) in PIXEL_CLASSES.items():
                part = usable & (ratio >= low) & (ratio < high)
                if part.any():
                    error = (moved / sigma)[part]
                    own = {
                        "pixels": int(part.sum()),
                        "max_error": float(np.abs(error).max()),
                        "rms_error": float(np.sqrt(np.mean(error**2))),
                    }
                    rows.append({"sample": name, "scheme": scheme, "class": kind, **own, **whole})
    return pd.DataFrame(rows)


def box_sums(planes: np.ndarray, side: int = BOX_PX) -> np.ndarray:
    """Sums over every box of `side` pixels that lies inside, float64 [m, y', x']."""
    total = np.pad(planes.astype(float), ((0, 0), (1, 0), (1, 0))).cumsum(1).cumsum(2)
    rows = total[:, side:] - total[:, :-side]
    return rows[:, :, side:] - rows[:, :, :-side]


def _box_error(moved: np.ndarray, variance: np.ndarray) -> float:
    usable = np.isfinite(variance)
    noise = np.sqrt(np.maximum(box_sums(np.where(usable, variance, 0)), 1e-300))
    whole = box_sums(~usable) < 0.5
    return float((np.abs(box_sums(moved)) / noise)[whole].max()) if whole.any() else np.nan
