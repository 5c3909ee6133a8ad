"""Counts to nJy, and pixels that saturation or a mask value makes unusable."""

import math

import numpy as np

from lenshunt.raw.fits_image import Keywords
from lenshunt.records import njy_per_count
from lenshunt.surveys import Survey

#: Janskys per unit of flux densities that headers name, in nJy.
_FLUX_UNITS = {"NJY": 1.0, "UJY": 1e3, "MICROJY": 1e3, "MJY": 1e6, "JY": 1e9, "NANOMAGGY": 3630.78}


def hst_zero_point(header: Keywords, path: str) -> float:
    """AB zero point of HST counts per second from PHOTFLAM and PHOTPLAM.

    -2.5 log10 PHOTFLAM - 5 log10 PHOTPLAM - 2.408, ACS data handbook, section 5.1. PHOTZPT is the
    ST zero and never used. Raises KeyError naming the file and the key.
    """
    values = []
    for key in ("PHOTFLAM", "PHOTPLAM"):
        if float(header.get(key) or 0.0) <= 0:
            raise KeyError(f"{path}: no {key} in the header, so no AB zero point; add it there")
        values.append(float(header[key]))
    return -2.5 * math.log10(values[0]) - 5.0 * math.log10(values[1]) - 2.408


def njy_per_hst_count(header: Keywords, path: str) -> float:
    """nJy per pixel unit of an HST image; ELECTRONS (not per second) are divided by EXPTIME."""
    unit = str(header.get("BUNIT", "")).strip().upper().replace(" ", "")
    zero_point = hst_zero_point(header, path)
    if unit in ("ELECTRONS/S", "ELECTRON/S", "E-/S", "COUNTS/S", "COUNTS/SEC", "CPS"):
        return njy_per_count(zero_point)
    if unit in ("ELECTRONS", "ELECTRON", "E-", "COUNTS", "DN"):
        exposure_s = float(header.get("EXPTIME") or 0.0)
        if exposure_s <= 0:
            raise KeyError(f"{path}: BUNIT is {unit} but the header has no EXPTIME to divide by")
        return njy_per_count(zero_point) / exposure_s
    raise KeyError(
        f"{path}: BUNIT {header.get('BUNIT')!r} is neither ELECTRONS nor ELECTRONS/S; correct "
        "the header"
    )


def njy_per_pixel_unit(
    header: Keywords,
    survey: Survey,
    filter_name: str,
    path: str,
    zero_point_ab: float | None = None,
) -> float:
    """nJy per pixel unit: the config's zero point, else the survey's, else what the header tells.

    Of a header: BUNIT MJy/sr with PIXAR_SR (JWST), a flux-density BUNIT, or HST's PHOTFLAM.
    """
    if zero_point_ab is not None:
        return njy_per_count(zero_point_ab)
    if survey.zero_point_ab:
        return njy_per_count(survey.zero_point(filter_name, path))
    unit = str(header.get("BUNIT", "")).strip()
    # "mJy/sr" differs by case alone
    if unit in ("MJy/sr", "MJY/SR"):
        area_sr = float(header.get("PIXAR_SR") or 0.0)
        if area_sr <= 0:
            raise KeyError(f"{path}: BUNIT is MJy/sr but the header has no PIXAR_SR")
        return 1e15 * area_sr
    # "mJy" and "MJy" differ by case alone
    if unit != "MJy" and unit.upper() in _FLUX_UNITS:
        return _FLUX_UNITS[unit.upper()]
    return njy_per_hst_count(header, path)


def unusable_counts(counts: np.ndarray, header: Keywords, survey: Survey) -> np.ndarray:
    """Bool mask of saturated pixels (header SATURATE, else the survey's) and of masked values."""
    bad = ~np.isfinite(counts)
    saturation = header.get("SATURATE", survey.saturation)
    if isinstance(saturation, (int, float)) and saturation > 0:
        bad |= counts >= saturation
    if survey.masked_value is not None:
        bad |= counts == survey.masked_value
    return bad
