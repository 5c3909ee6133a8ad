"""FITS images: pixels with their header, and what the header says of filter, scale and place."""

import math
import re
import warnings
from collections import ChainMap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

from lenshunt.schema import filter_named, load_filters

#: Values by FITS keyword.
Keywords = Mapping[str, Any]

_SEEING_KEYS = ("SEEING", "PSF_FWHM", "PSFFWHM")
_FILTER_KEYS = ("FILTER", "FILTER1", "FILTER2", "FILTNAM1", "FILTNAM2")
#: Names of empty filter wheels: ACS CLEAR1L, WFPC2 and NICMOS blanks.
_NO_FILTER = ("CLEAR", "N/A", "BLANK", "NONE")
#: Keys that hold the pixel scale in arcsec.
SCALE_KEYS = ("D001SCAL", "PIXSCALE", "PIXELSCL")
#: Beginnings of the keys of distortion tables, which WCS can only read with the whole file.
_TABLE_KEYS = ("CPDIS", "CPERR", "CQDIS", "DP1", "DP2", "D2IM")


@contextmanager
def open_fits(path: str) -> Iterator[fits.HDUList]:
    """Open `path` without repair; a truncated file raises OSError naming it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        warnings.filterwarnings("error", message=".*truncated.*")
        try:
            with _opened(path) as hdus:
                yield hdus
        except (fits.VerifyError, AstropyWarning) as error:
            raise OSError(f"{path}: {error}") from error


def _opened(path: str) -> fits.HDUList:
    """`fits.open`, whose error for an empty file or one that is no FITS does not name it."""
    try:
        # mapped where possible; memmap=True would refuse BZERO, so all unsigned integers
        return fits.open(path)
    except OSError as error:
        if error.filename:
            raise
        reason = str(error).split(".")[0]
        raise OSError(f"{path}: {reason}; get the file again") from error


def image_planes(hdus: fits.HDUList) -> list[fits.ImageHDU]:
    """HDUs that hold an image with at least two axes."""
    kinds = (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)
    return [hdu for hdu in hdus if isinstance(hdu, kinds) and len(hdu.shape) >= 2]


def pixels(hdu: fits.ImageHDU, path: str) -> np.ndarray:
    """Pixels of an HDU as float64 in native byte order."""
    if hdu.data is None:
        raise ValueError(f"{path}: extension {hdu.name or 0} holds no image")
    return np.asarray(hdu.data, dtype=np.float64)


def keywords(hdus: fits.HDUList, hdu: fits.ImageHDU) -> Keywords:
    """Header of `hdu`, then the primary one, where HST puts what all extensions share.

    Looked up one after the other: merging headers of 50 cards takes longer than reading a cutout.
    """
    return ChainMap(hdu.header, hdus[0].header)


def filter_of(header: Keywords, path: str, remedy: str) -> str:
    """Filter name from FILTER, FILTER1/2 or FILTNAM1/2; empty wheels are passed over.

    WFPC2 numbers its filters in FILTER1/2 and names them in FILTNAM1/2; combined images join the
    wheels, as in CLEAR1L;F814W.
    Raises KeyError with `remedy` where no key names a filter or they name several, and for an
    unknown filter.
    """
    values = [str(header.get(key, "")) for key in _FILTER_KEYS]
    found = [name.upper() for value in values for name in re.split(r"[;,\s]+", value) if name]
    found = [name for name in found if not name.startswith(_NO_FILTER) and not name.isdigit()]
    if not found:
        raise KeyError(f"{path}: no FILTER, FILTER1 or FILTER2 in the header; {remedy}")
    known = {filter_named(name).name for name in found if name in load_filters()}
    if len(known) > 1:
        raise KeyError(f"{path}: the header names filters {' and '.join(sorted(known))}; {remedy}")
    return known.pop() if known else filter_named(found[0], path).name


def celestial_wcs(header: Keywords) -> WCS | None:
    """Celestial WCS of an image, or None where neither of its headers has one."""
    headers = header.maps if isinstance(header, ChainMap) else [header]
    own = next((one for one in headers if "CTYPE1" in one), None)
    if own is None:
        return None
    if any(key.startswith(_TABLE_KEYS) for key in own):
        # tables correct less than a pixel; SIP polynomials, tens of pixels on ACS, are kept
        kept = [key for key in own if key not in ("", "COMMENT", "HISTORY")]
        own = {key: own[key] for key in kept if not key.startswith(_TABLE_KEYS)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        wcs = WCS(own)
    if not wcs.has_celestial:
        return None
    return wcs if wcs.naxis == 2 else wcs.celestial


def equatorial_wcs(header: Keywords, path: str) -> WCS | None:
    """Celestial WCS whose coordinates are RA and Dec of J2000 or ICRS (they agree to 0.03 arcsec).

    None where there is no WCS. Raises ValueError for another frame: its longitudes and latitudes
    would be taken for RA and Dec.
    """
    wcs = celestial_wcs(header)
    if wcs is None:
        return None
    axis, frame = wcs.wcs.lngtyp.strip(), wcs.wcs.radesys.strip()
    if axis != "RA" or frame.startswith("FK4"):
        raise ValueError(
            f"{path}: the WCS is in {axis} of frame {frame or 'unnamed'}, expected RA and Dec of "
            "ICRS or FK5; reproject the image"
        )
    return wcs


def pixel_scale_of(header: Keywords) -> float | None:
    """Pixel scale in arcsec: the CD matrix, else the WCS, else D001SCAL and its like; or None."""
    if "CD1_1" in header and "CD2_2" in header and _in_degrees(header):
        # a WCS object would cost as much as reading a cutout
        cd = [float(header.get(f"CD{i}_{j}", 0.0)) for i in (1, 2) for j in (1, 2)]
        return math.sqrt(abs(cd[0] * cd[3] - cd[1] * cd[2])) * 3600.0
    wcs = celestial_wcs(header)
    if wcs is not None:
        return float(np.sqrt(np.prod(proj_plane_pixel_scales(wcs)))) * 3600.0
    for key in SCALE_KEYS:
        if float(header.get(key, 0.0)) > 0:
            return float(header[key])
    return None


def _in_degrees(header: Keywords) -> bool:
    """Whether CUNIT1 is deg, which it is where the key is missing or blank."""
    unit = header.get("CUNIT1")
    return unit is None or str(unit).strip() in ("", "deg")


def centre_of(wcs: WCS | None, shape: tuple[int, int]) -> tuple[float, float]:
    """ICRS (ra, dec) in degrees of the centre of an image; NaN without a WCS."""
    if wcs is None:
        return math.nan, math.nan
    middle = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    if wcs.wcs.lngtyp.strip() == "RA" and wcs.wcs.radesys.strip() == "ICRS":
        ra, dec = wcs.all_pix2world(*middle, 0)
        return float(ra), float(dec)
    sky = wcs.pixel_to_world(*middle).icrs
    return float(sky.ra.deg), float(sky.dec.deg)


def seeing_of(header: Keywords) -> float:
    """Seeing in arcsec that the header gives; NaN where it gives none."""
    for key in _SEEING_KEYS:
        value = header.get(key)
        if isinstance(value, (int, float)) and value > 0:
            return float(value)
    return math.nan
