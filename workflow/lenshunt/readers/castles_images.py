"""HST images of CASTLES: which chip shows the system, its variance and its unusable pixels."""

import fnmatch
import math
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.stats import sigma_clip

from lenshunt.readers.fits_image import (
    SCALE_KEYS,
    Keywords,
    equatorial_wcs,
    image_planes,
    pixel_scale_of,
    pixels,
)
from lenshunt.readers.zero_points import hst_unit

_COMPANIONS = ("ERR", "DQ", "WHT")
#: Keys that a value of the config replaces too.
_REPLACED = {"FILTER": ("FILTER1", "FILTER2", "FILTNAM1", "FILTNAM2"), "BUNIT": ("D001OUUN",)}


@dataclass(frozen=True)
class Chip:
    """One image of a file with what belongs to it; the file must stay open.

    number : EXTVER of the extension, or plane of the cube counted from 1
    plane : index of the plane of a cube, or None
    beside : extensions ERR, DQ and WHT of the same EXTVER, by name
    header : the config's values, then those of the chip, the extension and the file
    """

    path: str
    number: int
    science: fits.ImageHDU
    plane: int | None
    beside: Mapping[str, fits.ImageHDU]
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
        if name not in self.beside:
            return None
        values = pixels(self.beside[name], self.path)
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
    beside: Mapping[str, fits.ImageHDU],
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
        Chip(path, k + 1, hdu, k, beside, ChainMap(dict(given), rows[k], *_headers(hdus, hdu)))
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


#: DQ bits with which a pixel is usable, by INSTRUME; any other bit makes it unusable.
#: WFPC2: 256 above a charge trap, 1024 repaired warm pixel (stsci.edu, WFPC2 data quality flags).
#: ACS: 64 warm pixel, dark subtracted (stsci.edu, ACS DQ flag definitions).
#: WFC3: 64 and 512 (blobs), the default of AstroDrizzle for the IR channel (WFC3 data handbook,
#: section 7.9); UVIS keeps 64 alone, where 512 is a defect of the flat.
#: NICMOS: 1024 pixel holds a source, 2048 signal in the zeroth read (NICMOS data handbook,
#: table 2.3; the bits were taken over without looking them up).
USABLE_BITS = {"WFPC2": 256 | 1024, "ACS": 64, "WFC3": 64, "WFC3/IR": 64 | 512, "NICMOS": 3072}

#: DN from which WFPC2 pixels are likely saturated (stsci.edu, WFPC2 data quality flags).
WFPC2_SATURATION_DN = 3500.0

#: Header keys in which a pipeline may name the kind of its weights.
_KIND_KEYS = ("WHTTYPE", "WHT_TYPE", "WEIGHTTY")
_KINDS = {
    "EXP": "exposure",
    "EXPTIME": "exposure",
    "IVM": "inverse_variance",
    "IVAR": "inverse_variance",
    "ERR": "inverse_variance",
    "MAP_WEIGHT": "inverse_variance",
    "MAP_RMS": "rms",
    "RMS": "rms",
}
#: Weights are exposure times where their maximum is EXPTIME within this fraction.
_EXPOSURE_TOLERANCE = 0.1
#: Weights agree with inverse variances where weight times measured variance is in this range:
#: drizzling correlates neighbouring pixels, which lowers the variance of single ones to a
#: quarter (Casertano et al. 2000, AJ 120, 2747). The range itself is ours.
_INVERSE_VARIANCE = (0.1, 1.5)


def unusable_pixels(chip: Chip, counts: np.ndarray) -> np.ndarray:
    """Bool [y, x]: flagged in DQ, without weight or error, saturated, or exactly 0.

    Drizzled images are exactly 0 where no exposure contributes.
    """
    instrument = str(chip.header.get("INSTRUME", "")).strip().upper().split("/")[0]
    bad = ~np.isfinite(counts) | (counts == 0)
    flags = chip.companion("DQ")
    if flags is not None:
        detector = f"{instrument}/{str(chip.header.get('DETECTOR', '')).strip().upper()}"
        usable = USABLE_BITS.get(detector, USABLE_BITS.get(instrument, 0))
        bad |= (flags.astype(np.int64) & 0xFFFF & ~usable) != 0
    elif instrument == "WFPC2" and hst_unit(chip.header, chip.path) == ("DN", False):
        bad |= counts >= WFPC2_SATURATION_DN
    weight = chip.companion("WHT")
    return bad if weight is None else bad | ~(weight > 0)


def variance_of(
    chip: Chip, counts: np.ndarray, bad: np.ndarray, weight_kind: str
) -> tuple[np.ndarray | None, str]:
    """(variance [y, x] in image unit^2 or None, word for `flags` or "").

    ERR is squared; else WHT is read by `weight_kind`, for "auto" by `kind_of_weights`. Exposure
    times and weights of unknown kind are relative: variance = sky variance * median(WHT) / WHT
    with the measured sky variance at the median weight; the unknown ones are flagged
    weight_relative. The Poisson noise of the objects is in ERR alone.
    """
    error = chip.companion("ERR")
    if error is not None:
        return error**2, ""
    weight = chip.companion("WHT")
    if weight is None:
        return None, ""
    kind = weight_kind
    sky = float("nan")
    if kind in ("auto", "exposure"):
        sky = sky_variance(counts, weight, bad, chip.path)
    if kind == "auto":
        kind = kind_of_weights(weight, bad, chip.header, sky)
    if kind == "rms":
        return weight**2, ""
    inverse = np.divide(1.0, weight, out=np.full(weight.shape, np.inf), where=weight > 0)
    if kind == "inverse_variance":
        return inverse, ""
    flag = "" if kind == "exposure" else "weight_relative"
    return sky * float(np.median(weight[~bad])) * inverse, flag


def kind_of_weights(
    weight: np.ndarray, bad: np.ndarray, header: Keywords, sky_variance: float
) -> str:
    """ "exposure", "inverse_variance", "rms", or "relative" where nothing tells.

    A header key that names the kind goes first. AstroDrizzle writes none (D001WTSC is a factor
    per input, D001WKEY the version of the WCS), but its EXP weights reach the exposure time: the
    sum over the inputs times the area of output to input pixels (D001SCAL / D001ISCL squared).
    Else weights that agree with the measured sky variance are inverse variances.
    """
    for key in _KIND_KEYS:
        named = _KINDS.get(str(header.get(key, "")).strip().upper())
        if named:
            return named
    good = weight[~bad]
    exposure = float(header.get("EXPTIME") or 0.0)
    sides = [float(header.get(key) or 0.0) for key in ("D001SCAL", "D001ISCL")]
    areas = {1.0, (sides[0] / sides[1]) ** 2 if min(sides) > 0 else 1.0}
    # a few pixels at corners of inputs exceed it
    largest = float(np.percentile(good, 99.5))
    if any(abs(largest / (exposure * a) - 1) < _EXPOSURE_TOLERANCE for a in areas if exposure > 0):
        return "exposure"
    low, high = _INVERSE_VARIANCE
    return "inverse_variance" if low < np.median(good) * sky_variance < high else "relative"


def sky_variance(counts: np.ndarray, weight: np.ndarray, bad: np.ndarray, path: str) -> float:
    """Variance of the sky per pixel at the median weight, in image unit^2.

    Residuals from the median, scaled to one weight and sigma-clipped (3 sigma). ValueError naming
    the file where fewer than 100 pixels are usable.
    """
    good = ~bad & (weight > 0)
    values, weights = counts[good], weight[good]
    if len(values) < 100:
        raise ValueError(f"{path}: {len(values)} usable pixels, too few to measure the sky noise")
    # 200,000 pixels tell the variance to 0.3 %
    step = max(1, len(values) // 200_000)
    values, weights = values[::step], weights[::step]
    scaled = (values - np.median(values)) * np.sqrt(weights / np.median(weight[good]))
    kept = sigma_clip(scaled, sigma=3.0, maxiters=10, cenfunc="median", stdfunc="mad_std")
    # a normal distribution cut at 3 sigma keeps 0.97334 of its variance
    return float(np.ma.var(kept)) / 0.97334
