"""Large FITS images read piece by piece: no more memory than the pieces take."""

from typing import Any

import numpy as np
from astropy.io import fits

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
