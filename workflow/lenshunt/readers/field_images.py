"""The images of one field, all filters on one pixel grid, read piece by piece."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from scipy.ndimage import binary_opening

from lenshunt.readers.fits_image import (
    Keywords,
    equatorial_wcs,
    image_planes,
    keywords,
    open_fits,
    pixel_scale_of,
)
from lenshunt.schema import filter_named

#: Rows of an image that are in memory together when values at many positions are read.
_ROWS_AT_ONCE = 256
#: numpy type by BITPIX; FITS is big-endian.
_TYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


class MappedPixels:
    """Pixels [y, x] of an uncompressed image; a slice is copied from the file when asked for.

    The map is opened for each slice and closed behind it: pages of a map that stays open count as
    memory of the process, until in the end the whole image does.
    """

    def __init__(self, hdu: Any, path: str) -> None:
        header = hdu.header
        self.shape: tuple[int, int] = hdu.shape
        self._path = path
        self._map = {
            "dtype": _TYPES[header["BITPIX"]],
            "mode": "r",
            "offset": hdu.fileinfo()["datLoc"],
            "shape": hdu.shape,
        }
        self._scale = float(header.get("BSCALE", 1.0)), float(header.get("BZERO", 0.0))
        self._blank = header.get("BLANK") if header["BITPIX"] > 0 else None
        # a truncated file is refused here, not at the first object that lies in what is missing
        np.memmap(path, **self._map)

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        raw = np.array(np.memmap(self._path, **self._map)[key])
        if self._blank is None and self._scale == (1.0, 0.0):
            return raw
        values = raw.astype(np.float64) * self._scale[0] + self._scale[1]
        return values if self._blank is None else np.where(raw == self._blank, np.nan, values)


def pieces(hdu: Any, path: str) -> Any:
    """The pixels of a 2-D image HDU: `shape`, and slices [y0:y1, x0:x1] as arrays.

    Images compressed in tiles are read by astropy's sections. A file that is gzipped as a whole
    cannot be read in pieces: astropy unpacks it into memory.
    """
    if isinstance(hdu, fits.CompImageHDU):
        return hdu.section
    with open(path, "rb") as stream:
        plain = stream.read(6) == b"SIMPLE"
    return MappedPixels(hdu, path) if plain else hdu.data


def values_at(pixels: Any, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Values [n] at 0-based pixels, a band of rows in memory at a time."""
    values = np.empty(len(row))
    band = row // _ROWS_AT_ONCE
    for number in np.unique(band):
        here = np.flatnonzero(band == number)
        first, left = row[here].min(), column[here].min()
        part = pixels[first : row[here].max() + 1, left : column[here].max() + 1]
        values[here] = np.asarray(part)[row[here] - first, column[here] - left]
    return values


WeightKind = Literal["inverse_variance", "variance", "rms"]

#: Names of the extensions that hold the weights where image and weights are one file.
_WEIGHT_NAMES: dict[str, tuple[str, ...]] = {
    "inverse_variance": ("WHT", "WEIGHT", "IVAR", "INVVAR"),
    "variance": ("VAR", "VARIANCE"),
    "rms": ("ERR", "RMS", "SIGMA"),
}

#: Distance in pixels within which the pixel of a position has to lie back on the sky.
_BACK_ON_SKY_PX = 0.1


@dataclass(frozen=True)
class FieldImage:
    """One filter, read piece by piece.

    pixels, weight : counts and weights [y, x]; slices of them are arrays
    njy : nJy per count
    """

    filter_name: str
    path: str
    weight_path: str | None
    pixels: Any
    weight: Any
    weight_kind: WeightKind
    header: Keywords
    njy: float

    @property
    def instrument(self) -> str:
        return str(self.header.get("INSTRUME", "")).strip()

    def variance(self, weight: np.ndarray) -> np.ndarray:
        """Variance [counts^2] of a piece of the weights; +inf where they say "no data"."""
        good = np.isfinite(weight) & (weight > 0)
        values = np.asarray(weight, dtype=np.float64)
        if self.weight_kind == "inverse_variance":
            return np.divide(1.0, values, out=np.full(values.shape, np.inf), where=good)
        return np.where(good, values if self.weight_kind == "variance" else values**2, np.inf)

    def exposed(self, counts: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        """Which pixels [y, x] hold data: by the weights, else all but patches of zeros.

        Drizzled images are exactly 0 where no exposure contributes; single zeros are data (they
        occur in compressed images, whose values are quantised).
        """
        if weight is not None:
            return np.isfinite(counts) & np.isfinite(self.variance(weight))
        zero = np.pad(counts == 0, 1, mode="edge")
        empty = binary_opening(zero, np.ones((3, 3), bool))[1:-1, 1:-1]
        return np.isfinite(counts) & ~empty

    def exposed_at(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Which of the pixels (row, column) [n], 0-based, hold data."""
        counts = values_at(self.pixels, row, column)
        if self.weight is not None:
            weight = values_at(self.weight, row, column)
            return np.isfinite(counts) & np.isfinite(self.variance(weight))
        exposed = np.isfinite(counts)
        for k in np.flatnonzero(counts == 0):
            y, x = max(row[k] - 2, 0), max(column[k] - 2, 0)
            patch = np.asarray(self.pixels[y : row[k] + 3, x : column[k] + 3])
            exposed[k] = self.exposed(patch, None)[row[k] - y, column[k] - x]
        return exposed


@dataclass(frozen=True)
class FieldImages:
    """All filters of a field on one grid; `wcs` is None where the images have none."""

    images: list[FieldImage]
    wcs: WCS | None
    pixel_scale_arcsec: float

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.images[0].pixels.shape
        return height, width

    @property
    def paths(self) -> list[str]:
        """Image files, then weight files."""
        weights = [image.weight_path for image in self.images if image.weight_path]
        return list(dict.fromkeys([*(image.path for image in self.images), *weights]))

    def sky_wcs(self) -> WCS:
        """The WCS. Raises ValueError naming the image where there is none."""
        if self.wcs is None:
            raise ValueError(f"{self.images[0].path}: no celestial WCS, so sources have no place")
        return self.wcs

    def pixel(self, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """0-based pixel (x, y) of ICRS positions in degrees; NaN far off the image.

        Distorted projections have no inverse far from their image, so only positions within one
        diagonal of its middle are looked up.
        """
        wcs = self.sky_wcs()
        height, width = self.shape
        x, y = np.full(len(ra), np.nan), np.full(len(ra), np.nan)
        middle = wcs.all_pix2world((width - 1) / 2, (height - 1) / 2, 0)
        reach = np.hypot(height, width) * pixel_scale_of_wcs(wcs)
        near = separation_arcsec(ra, dec, float(middle[0]), float(middle[1])) < reach
        if near.any():
            # quiet: where the distortion has no inverse, the place does not lead back to the sky
            column, row = wcs.all_world2pix(ra[near], dec[near], 0, quiet=True)
            back = separation_arcsec(ra[near], dec[near], *wcs.all_pix2world(column, row, 0))
            found = back < _BACK_ON_SKY_PX * pixel_scale_of_wcs(wcs)
            x[near], y[near] = np.where(found, column, np.nan), np.where(found, row, np.nan)
        return x, y

    def sky(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """ICRS position in degrees of 0-based pixels; NaN without a WCS."""
        if self.wcs is None:
            return np.full(len(x), np.nan), np.full(len(x), np.nan)
        ra, dec = self.wcs.all_pix2world(x, y, 0)
        return ra, dec

    def observed(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Bool [n]: the nearest pixel lies on the image and has data in at least one filter."""
        height, width = self.shape
        inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
        column, row = np.round(x[inside]).astype(int), np.round(y[inside]).astype(int)
        exposed = np.zeros(len(column), bool)
        for image in self.images:
            exposed |= image.exposed_at(row, column)
        found = np.zeros(len(x), bool)
        found[inside] = exposed
        return found

    def observed_of(self, x: np.ndarray, y: np.ndarray, catalogue: str) -> np.ndarray:
        """`observed` for all sources of a catalogue.

        Raises ValueError where not one lies on data: the field would vanish without a word.
        """
        found = self.observed(x, y)
        if len(found) and not found.any():
            raise ValueError(
                f"{self.images[0].path}: none of the {len(found)} sources of {catalogue} lies on a "
                "pixel with data; is the image without usable pixels, or of another field?"
            )
        return found


def pixel_scale_of_wcs(wcs: WCS) -> float:
    """Pixel scale in arcsec."""
    return float(np.sqrt(wcs.proj_plane_pixel_area().to_value("arcsec2")))


def separation_arcsec(
    ra1: np.ndarray, dec1: np.ndarray, ra2: np.ndarray | float, dec2: np.ndarray | float
) -> np.ndarray:
    """Great-circle distance (haversine), inputs in degrees."""
    d1, d2 = np.radians(dec1), np.radians(dec2)
    half = np.sin((d1 - d2) / 2) ** 2
    half = half + np.cos(d1) * np.cos(d2) * np.sin(np.radians(ra1 - ra2) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(half))) * 3600.0


@contextmanager
def open_images(
    images: Mapping[str, str],
    weights: Mapping[str, str],
    njy_per_count: Callable[[Keywords, str, str], float],
    *,
    weight_kind: WeightKind = "inverse_variance",
    default_scale_arcsec: float | None = None,
) -> Iterator[FieldImages]:
    """Open the images of a field, by filter; weights are counts^-2, counts^2 or counts.

    njy_per_count : of (header, filter, path)
    default_scale_arcsec : pixel scale where the header tells none; None where a WCS is needed
    Raises ValueError where filters do not share one pixel grid, or an image has no WCS.
    """
    with ExitStack() as stack:
        opened = []
        for name, path in images.items():
            filter_name = filter_named(name, path).name
            hdu, header = _science(stack, path)
            weight_path = weights.get(name)
            weight = weight_path and _weight(stack, weight_path, path, hdu.shape, weight_kind)
            opened.append(
                FieldImage(
                    filter_name, path, weight_path, pieces(hdu, path), weight, weight_kind, header,
                    njy_per_count(header, filter_name, path),
                )
            )  # fmt: skip
        reference = opened[0]
        wcs = equatorial_wcs(reference.header, reference.path)
        scale = pixel_scale_of(reference.header) or default_scale_arcsec
        if scale is None or (wcs is None and default_scale_arcsec is None):
            raise ValueError(f"{reference.path}: no celestial WCS, so sources cannot be placed")
        for image in opened[1:]:
            _check_same_grid(reference, wcs, image)
        yield FieldImages(opened, wcs, scale)


def _science(stack: ExitStack, path: str) -> tuple[Any, Keywords]:
    hdus = stack.enter_context(open_fits(path))
    hdu = next((one for one in image_planes(hdus) if len(one.shape) == 2), None)
    if hdu is None:
        raise ValueError(f"{path}: no 2-D image in the file")
    return hdu, keywords(hdus, hdu)


def _weight(
    stack: ExitStack, path: str, image: str, shape: tuple[int, ...], kind: WeightKind
) -> Any:
    hdus = [one for one in image_planes(stack.enter_context(open_fits(path))) if one.shape]
    named = [one for one in hdus if one.name.upper() in _WEIGHT_NAMES[kind]]
    if path == image and not named:
        raise ValueError(
            f"{path}: weights in the image's own file need an extension named "
            f"{' or '.join(_WEIGHT_NAMES[kind])}"
        )
    found = (named or hdus)[:1]
    if not found or found[0].shape != shape:
        raise ValueError(f"{path}: weights do not have the shape of {image}")
    return pieces(found[0], path)


def _check_same_grid(reference: FieldImage, wcs: WCS | None, image: FieldImage) -> None:
    """All filters must lie on the pixels of the first, within 0.1 px at the corners."""
    remedy = "name images of one pixel scale and field (RELICS ships 30mas and 60mas sets)"
    if image.pixels.shape != reference.pixels.shape:
        raise ValueError(
            f"{image.path}: shape {image.pixels.shape}, but {reference.path} has "
            f"{reference.pixels.shape}; {remedy}"
        )
    other = equatorial_wcs(image.header, image.path)
    if wcs is None and other is None:
        return
    if wcs is None or other is None:
        raise ValueError(f"{(reference if wcs is None else image).path}: no celestial WCS")
    height, width = reference.pixels.shape
    x, y = np.array([0.0, width - 1.0, 0.0]), np.array([0.0, height - 1.0, height - 1.0])
    moved = wcs.all_world2pix(*other.all_pix2world(x, y, 0), 0)
    if np.abs(np.subtract(moved, (x, y))).max() > 0.1:
        raise ValueError(f"{image.path}: not on the pixel grid of {reference.path}; {remedy}")
