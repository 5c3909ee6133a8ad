"""Counts to nJy, and pixels that saturation or a mask value makes unusable."""

import math

import numpy as np

from lenshunt.raw.fits_image import Keywords
from lenshunt.raw.hst_counts import hst_zero_point, njy_per_hst_count
from lenshunt.records import njy_per_count
from lenshunt.surveys import Survey

__all__ = ["hst_zero_point", "njy_per_hst_count", "njy_per_pixel_unit", "unusable_counts"]

#: Janskys per unit of flux densities that headers name, in nJy.
_FLUX_UNITS = {"NJY": 1.0, "UJY": 1e3, "MICROJY": 1e3, "MJY": 1e6, "JY": 1e9, "NANOMAGGY": 3630.78}


def njy_per_pixel_unit(
    header: Keywords,
    survey: Survey,
    filter_name: str,
    path: str,
    zero_point_ab: float | None = None,
) -> float:
    """nJy per pixel unit: the config's zero point, else the header's, else the survey's.

    Of a header: the survey's zero_point_key, HST's PHOTFLAM, and where the survey has no zero
    point, BUNIT MJy/sr with PIXAR_SR (JWST) or a BUNIT that is a flux density.
    """
    if zero_point_ab is not None:
        return njy_per_count(zero_point_ab)
    own = _own_zero_point(header, survey)
    if own is not None:
        return njy_per_count(own)
    if "PHOTFLAM" in header and "BUNIT" in header and survey.name.startswith("hst"):
        return njy_per_hst_count(header, path)
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


def _own_zero_point(header: Keywords, survey: Survey) -> float | None:
    """Zero point that one file carries under the survey's key; None where it carries none."""
    key = survey.zero_point_key
    if key is None or not isinstance(header.get(key), (int, float)):
        return None
    value = float(header[key])
    if key == "FLUXMAG0":
        return 2.5 * math.log10(value) if value > 0 else None
    return value


def unusable_counts(counts: np.ndarray, header: Keywords, survey: Survey) -> np.ndarray:
    """Bool mask of saturated pixels (header SATURATE, else the survey's) and of masked values."""
    bad = ~np.isfinite(counts)
    saturation = header.get("SATURATE", survey.saturation)
    if isinstance(saturation, (int, float)) and saturation > 0:
        bad |= counts >= saturation
    if survey.masked_value is not None:
        bad |= counts == survey.masked_value
    return bad
