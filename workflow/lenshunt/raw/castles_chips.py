"""Which image of an HST file shows the system: extensions, chips, planes of a cube, and headers."""

import fnmatch
import math
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from lenshunt.raw.fits_image import (
    SCALE_KEYS,
    Keywords,
    equatorial_wcs,
    image_planes,
    pixel_scale_of,
    pixels,
)

_COMPANIONS = ("ERR", "DQ", "WHT")
#: Keys that a value of the config replaces too.
_REPLACED = {"FILTER": ("FILTER1", "FILTER2", "FILTNAM1", "FILTNAM2"), "BUNIT": ("D001OUUN",)}


@dataclass(frozen=True)
class Chip:
    """One image of a file with what belongs to it; the file must stay open.

    number : EXTVER of the extension, or plane of the cube counted from 1
    plane : index of the plane of a cube, or None
    companions : extensions ERR, DQ and WHT of the same EXTVER, by name
    header : the config's values, then those of the chip, the extension and the file
    """

    path: str
    number: int
    science: fits.ImageHDU
    plane: int | None
    companions: Mapping[str, fits.ImageHDU]
    header: Keywords

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.science.shape[-2], self.science.shape[-1]

    def counts(self) -> np.ndarray:
        """Pixels [y, x] in units of the file."""
        values = pixels(self.science, self.path)
        return values if self.plane is None else values[self.plane]

    def companion(self, name: str) -> np.ndarray | None:
        """Pixels of ERR, DQ or WHT; None where the file has none. ValueError for other shapes."""
        if name not in self.companions:
            return None
        values = pixels(self.companions[name], self.path)
        if values.ndim == 3 and self.plane is not None:
            values = values[self.plane]
        if values.shape != self.shape:
            raise ValueError(
                f"{self.path}: {name} has shape {values.shape}, the image {self.shape}"
            )
        return values

    def pixel_of(self, ra: float, dec: float) -> tuple[float, float] | None:
        """Pixel (x, y) of a position where it lies on this chip; None off it or without a WCS."""
        wcs = equatorial_wcs(self.header, self.path)
        if wcs is None or not math.isfinite(ra + dec):
            return None
        size = np.array(self.shape[::-1])
        near = np.array(wcs.wcs_world2pix(ra, dec, 0), dtype=float)
        # the polynomials of the distortion have no meaning far off the chip
        if not np.all(np.abs(near - (size - 1) / 2) < 0.7 * size):
            return None
        x, y = (float(value) for value in wcs.all_world2pix(ra, dec, 0, quiet=True))
        return (x, y) if -0.5 <= x < size[0] - 0.5 and -0.5 <= y < size[1] - 0.5 else None


def config_header(given: Mapping[str, Mapping[str, Any]], path: str) -> dict[str, Any]:
    """Header values of the config for one file: of all patterns that match its name, in order.

    A FILTER or BUNIT blanks the other keys that would tell the filter or the unit.
    """
    values: dict[str, Any] = {}
    for pattern, keys in given.items():
        if fnmatch.fnmatchcase(Path(path).name, pattern):
            values |= keys
    blank = [key for given_key, keys in _REPLACED.items() if given_key in values for key in keys]
    return {**dict.fromkeys(blank, ""), **values}


def chips_of(hdus: fits.HDUList, path: str, given: Mapping[str, Any]) -> list[Chip]:
    """All science images of a file: its SCI extensions, else its first image; planes of cubes.

    given : header values of the config; they go before those of the file
    Raises ValueError where the file holds no image or one with more than three axes.
    """
    images = image_planes(hdus)
    if not images:
        raise ValueError(f"{path}: no image in the file")
    science = [hdu for hdu in images if hdu.name == "SCI"] or images[:1]
    chips: list[Chip] = []
    for hdu in science:
        same = {one.name: one for one in images if one.ver == hdu.ver and one.name in _COMPANIONS}
        if len(hdu.shape) == 2:
            header = ChainMap(dict(given), hdu.header, hdus[0].header)
            chips.append(Chip(path, hdu.ver, hdu, None, same, header))
        elif len(hdu.shape) == 3:
            chips += _planes(hdus, hdu, path, given, same)
        else:
            raise ValueError(f"{path}: image has {len(hdu.shape)} axes, expected 2 or 3")
    return chips


def _planes(
    hdus: fits.HDUList,
    hdu: fits.ImageHDU,
    path: str,
    given: Mapping[str, Any],
    companions: Mapping[str, fits.ImageHDU],
) -> list[Chip]:
    """Planes of a cube. WFPC2 files (c0f) keep the WCS and photometry of each in a table."""
    number = hdu.shape[0]
    rows: list[dict[str, Any]] = [{}] * number
    for table in hdus:
        is_table = isinstance(table, (fits.TableHDU, fits.BinTableHDU))
        if is_table and "CRVAL1" in table.columns.names and len(table.data) == number:
            names = table.columns.names
            rows = [{key: _plain(row[key]) for key in names} for row in table.data]
            break
    return [
        Chip(path, k + 1, hdu, k, companions, ChainMap(dict(given), rows[k], *_headers(hdus, hdu)))
        for k in range(number)
    ]


def _headers(hdus: fits.HDUList, hdu: fits.ImageHDU) -> list[fits.Header]:
    return [hdu.header] if hdu is hdus[0] else [hdu.header, hdus[0].header]


def _plain(value: Any) -> Any:
    """A table cell as the header value that it stands for."""
    value = value.item() if isinstance(value, np.generic) else value
    return value.strip() if isinstance(value, str) else value


def choose_chip(chips: list[Chip], ra: float, dec: float) -> Chip:
    """The chip that shows the position; the only one there is; or EXTVER of the config.

    ra, dec : ICRS degrees, NaN where the system has none: the target of the header then stands
        for it (RA_TARG, DEC_TARG)
    Raises ValueError naming the file where the position is on no chip, or equally on several.
    """
    path, first = chips[0].path, chips[0].header
    wanted = first.maps[0].get("EXTVER") if isinstance(first, ChainMap) else None
    if wanted is not None:
        found = [chip for chip in chips if chip.number == int(wanted)]
        if not found:
            numbers = ", ".join(str(chip.number) for chip in chips)
            raise ValueError(f"{path}: no image with EXTVER {wanted}; the file has {numbers}")
        return found[0]
    if len(chips) == 1:
        return chips[0]
    if not math.isfinite(ra + dec):
        ra, dec = (float(first.get(key, math.nan)) for key in ("RA_TARG", "DEC_TARG"))
    remedy = "give EXTVER under `header` of this data set in the config"
    if not math.isfinite(ra + dec):
        raise ValueError(
            f"{path}: {len(chips)} images, and no position tells which shows the system; {remedy}"
        )
    margins = [(_margin(chip, ra, dec), chip) for chip in chips]
    inside = sorted((pair for pair in margins if pair[0] >= 0), key=lambda pair: -pair[0])
    if not inside:
        raise ValueError(
            f"{path}: the system at {ra:.5f} {dec:+.5f} is on none of the {len(chips)} images; "
            f"remove the file, or {remedy}"
        )
    # readouts of one exposure show the same sky; chips of one camera overlap by their edges
    if len(inside) > 1 and inside[0][0] - inside[1][0] < 1:
        numbers = " and ".join(str(chip.number) for _, chip in inside[:2])
        raise ValueError(f"{path}: images {numbers} show the system equally well; {remedy}")
    return inside[0][1]


def _margin(chip: Chip, ra: float, dec: float) -> float:
    """Distance in pixels of a position from the nearest edge of a chip; -1 off the chip."""
    place = chip.pixel_of(ra, dec)
    if place is None:
        return -1.0
    x, y = place
    return max(0.0, min(x, y, chip.shape[1] - 1 - x, chip.shape[0] - 1 - y))


def scale_of(chip: Chip) -> float:
    """Pixel scale in arcsec: the config's, else the header's. KeyError naming the remedy."""
    given = chip.header.maps[0] if isinstance(chip.header, ChainMap) else {}
    for key in SCALE_KEYS:
        if key in given:
            return float(given[key])
    scale = pixel_scale_of(chip.header)
    if scale is None:
        raise KeyError(
            f"{chip.path}: no WCS, CD matrix or D001SCAL; give D001SCAL under `header` of this "
            "data set in the config"
        )
    return scale
