"""What one count is in nJy, and pixels that saturation or a mask value makes unusable."""

import math

import numpy as np

from lenshunt.readers.fits_image import Keywords, filter_of
from lenshunt.schema import Survey, njy_per_count

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


#: Where values that a header lacks can be given.
REMEDY = "add it to the header, or to `header` of this data set in the config (reader castles)"

_ELECTRONS = ("ELECTRONS", "ELECTRON", "E-", "E")
_DATA_NUMBERS = ("COUNTS", "COUNT", "DN", "ADU")

#: Electrons per DN of WFPC2, by ATODGAIN, for PC1, WF2, WF3, WF4 (drizzlepac, wfpc2Data.py).
_WFPC2_GAINS = {
    7: (7.12, 7.12, 6.90, 7.10),
    14: (13.99, 14.50, 13.95, 13.95),
    15: (13.99, 14.50, 13.95, 13.95),
}
#: Electrons per DN of NICMOS, by CAMERA (NICMOS instrument handbook, taken over without looking
#: them up); ADCGAIN goes before.
_NICMOS_GAINS = {1: 5.4, 2: 5.4, 3: 6.5}

#: PHOTFLAM per DN per second: WFPC2 for gain 7 (WFPC2 data handbook, section 5.1), NICMOS
#: (camera 2, data handbook, section 5), to two digits, taken over without looking them up. They
#: only tell DN from electrons, a factor 5 to 14, so that differences between cameras and epochs
#: (below a factor 1.9) do not matter.
_PHOTFLAM_PER_DN = {
    "WFPC2": {
        "F300W": 6.1e-17, "F336W": 5.6e-17, "F439W": 2.9e-17, "F450W": 9.0e-18, "F555W": 3.5e-18,
        "F606W": 1.9e-18, "F675W": 2.9e-18, "F702W": 1.9e-18, "F791W": 3.0e-18, "F814W": 2.5e-18,
        "F850LP": 8.4e-18,
    },
    "NICMOS": {"F110W": 5.5e-19, "F160W": 2.1e-19},
}  # fmt: skip


def hst_zero_point(header: Keywords, path: str) -> float:
    """AB zero point of HST counts per second from PHOTFLAM and PHOTPLAM, or from PHOTFNU.

    -2.5 log10 PHOTFLAM - 5 log10 PHOTPLAM - 2.408, ACS data handbook, section 5.1; NICMOS also
    gives PHOTFNU in Jy, -2.5 log10 PHOTFNU + 8.90. PHOTZPT is the ST zero and never used.
    Raises KeyError naming the file and the key.
    """
    photflam, photplam = (_number(header, key) for key in ("PHOTFLAM", "PHOTPLAM"))
    if photflam > 0 and photplam > 0:
        return -2.5 * math.log10(photflam) - 5.0 * math.log10(photplam) - 2.408
    if _number(header, "PHOTFNU") > 0:
        return -2.5 * math.log10(_number(header, "PHOTFNU")) + 8.90
    missing = "PHOTPLAM" if photflam > 0 else "PHOTFLAM"
    raise KeyError(f"{path}: no {missing} in the header, so no AB zero point; {REMEDY}")


def njy_per_hst_count(header: Keywords, path: str) -> float:
    """nJy per pixel unit of an HST image.

    Totals (BUNIT without /S) are divided by EXPTIME; where PHOTFLAM counts DN and the image
    electrons, or the other way round, the gain makes up for it (see `_photflam_counts`).
    Raises KeyError naming the file, the key and the remedy.
    """
    kind, per_second = hst_unit(header, path)
    njy = njy_per_count(hst_zero_point(header, path))
    counted = _photflam_counts(header, path, kind)
    if counted != kind:
        gain = electrons_per_dn(header, path)
        njy *= gain if kind == "DN" else 1 / gain
    if per_second:
        return njy
    exposure_s = _number(header, "EXPTIME")
    if exposure_s <= 0:
        raise KeyError(
            f"{path}: BUNIT is {header['BUNIT']} but the header has no EXPTIME to divide by; "
            f"{REMEDY}"
        )
    return njy / exposure_s


def hst_unit(header: Keywords, path: str) -> tuple[str, bool]:
    """("electrons" or "DN", whether per second) from BUNIT; KeyError where it tells neither.

    MultiDrizzle left BUNIT at ELECTRONS in images that it wrote per second: D001OUUN cps tells.
    """
    unit = str(header.get("BUNIT") or "").strip().upper().replace(" ", "")
    if not unit:
        raise KeyError(f"{path}: no BUNIT in the header, so no unit of the pixels; {REMEDY}")
    counts, _, time = ("COUNTS/S" if unit == "CPS" else unit).partition("/")
    if counts not in (*_ELECTRONS, *_DATA_NUMBERS) or time not in ("", "S", "SEC", "SECOND"):
        raise KeyError(
            f"{path}: BUNIT {header['BUNIT']!r} is neither ELECTRONS, COUNTS nor DN, with or "
            f"without /S; correct the header, or {REMEDY}"
        )
    rate = bool(time) or str(header.get("D001OUUN", "")).strip().lower() == "cps"
    return "electrons" if counts in _ELECTRONS else "DN", rate


def _photflam_counts(header: Keywords, path: str, kind: str) -> str:
    """Whether PHOTFLAM is per "DN" or per "electrons".

    Of ACS, WFC3 and STIS per electron. Of WFPC2 and NICMOS per DN as calibrated, but not in all
    combined images: the Hubble Legacy Archive converts pixels to electrons and MultiDrizzle up to
    3.3.6 wrote the wrong one (WFPC2 advisory of 2010), so that the value itself tells. PHOTUNIT
    (DN or ELECTRONS) in the config goes before. Other instruments: what the image counts.
    """
    given = str(header.get("PHOTUNIT", "")).strip().upper()
    if given:
        if given not in (*_ELECTRONS, *_DATA_NUMBERS):
            raise KeyError(f"{path}: PHOTUNIT {given!r} is neither DN nor ELECTRONS; correct it")
        return "electrons" if given in _ELECTRONS else "DN"
    instrument = _instrument(header)
    if instrument in ("ACS", "WFC3", "STIS"):
        return "electrons"
    if instrument not in _PHOTFLAM_PER_DN:
        return kind
    typical = _PHOTFLAM_PER_DN[instrument].get(filter_of(header, path, REMEDY))
    # PHOTFNU alone, the other key of NICMOS, tells nothing: it is per DN as calibrated
    if typical is None or _number(header, "PHOTFLAM") <= 0:
        if kind == "DN":
            return kind
        raise KeyError(
            f"{path}: nothing tells whether PHOTFLAM or PHOTFNU is per DN or per electron; give "
            "PHOTUNIT: DN or PHOTUNIT: ELECTRONS under `header` of this data set in the config"
        )
    # per electron it is smaller by the gain (the lower one: per DN that of gain 15 is twice as
    # large, per electron the same): the border lies half-way in magnitudes
    border = typical / math.sqrt(7.0 if instrument == "WFPC2" else 5.4)
    return "DN" if _number(header, "PHOTFLAM") > border else "electrons"


def electrons_per_dn(header: Keywords, path: str) -> float:
    """Gain of one camera. Raises KeyError naming the key that is missing, and the remedy.

    WFPC2: measured gain of the chip (DETECTOR, else PC1, on whose scale mosaics are) for
    ATODGAIN; NICMOS: ADCGAIN, else that of CAMERA; ACS and WFC3: CCDGAIN.
    """
    instrument = _instrument(header)
    if instrument == "WFPC2":
        gains = _WFPC2_GAINS.get(round(_number(header, "ATODGAIN")))
        if gains is None:
            raise KeyError(f"{path}: ATODGAIN is {header.get('ATODGAIN')}, not 7 or 15; {REMEDY}")
        chip = str(header.get("DETECTOR", "")).strip()
        return gains[int(chip) - 1 if chip in ("1", "2", "3", "4") else 0]
    if instrument == "NICMOS":
        gain = _number(header, "ADCGAIN") or _NICMOS_GAINS.get(round(_number(header, "CAMERA")))
        key = "ADCGAIN or CAMERA"
    else:
        gain, key = _number(header, "CCDGAIN"), "CCDGAIN"
    if not gain or gain <= 0:
        raise KeyError(
            f"{path}: BUNIT is {header.get('BUNIT')} but no {key} tells the gain; {REMEDY}"
        )
    return gain


def _instrument(header: Keywords) -> str:
    """INSTRUME without its detector: ACS of ACS/WFC."""
    return str(header.get("INSTRUME", "")).strip().upper().split("/")[0]


def _number(header: Keywords, key: str) -> float:
    """Value of a key, 0 where it is missing or blank; ValueError where it is no number."""
    value = header.get(key)
    return 0.0 if value is None or not str(value).strip() else float(value)
