"""FITS images: pixels with their header, and what the header tells of filter, scale and place."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

from lenshunt.records import filter_named, load_filters

_SEEING_KEYS = ("SEEING", "PSF_FWHM", "PSFFWHM")
_FILTER_KEYS = ("FILTER", "FILTER1", "FILTER2", "FILTNAM1", "FILTNAM2")
_SCALE_KEYS = ("D001SCAL", "PIXSCALE", "PIXELSCL")


@contextmanager
def open_fits(path: str) -> Iterator[fits.HDUList]:
    """Open `path` without repair; a truncated file raises OSError naming it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        warnings.filterwarnings("error", message=".*truncated.*")
        try:
            with fits.open(path, memmap=True) as hdus:
                yield hdus
        except (fits.VerifyError, AstropyWarning) as error:
            raise OSError(f"{path}: {error}") from error


def image_planes(hdus: fits.HDUList) -> list[fits.ImageHDU]:
    """HDUs that hold an image with at least two axes."""
    kinds = (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)
    return [hdu for hdu in hdus if isinstance(hdu, kinds) and len(hdu.shape) >= 2]


def pixels(hdu: fits.ImageHDU, path: str) -> np.ndarray:
    """Pixels of an HDU as float64 in native byte order."""
    if hdu.data is None:
        raise ValueError(f"{path}: extension {hdu.name or 0} holds no image")
    return np.asarray(hdu.data, dtype=np.float64)


def merged_header(hdus: fits.HDUList, hdu: fits.ImageHDU) -> fits.Header:
    """Header of `hdu` on top of the primary one, where HST puts what all extensions share."""
    header = hdus[0].header.copy(strip=True)
    if hdu is not hdus[0]:
        header.update(hdu.header.copy(strip=True))
    return header


def filter_of(header: fits.Header, path: str, remedy: str) -> str:
    """Filter name from FILTER, FILTER1/2 or FILTNAM1/2; CLEAR wheels are passed over.

    Raises KeyError with `remedy` where no key names a filter, and for an unknown filter.
    """
    found = [str(header[key]).strip() for key in _FILTER_KEYS if str(header.get(key, "")).strip()]
    found = [name for name in found if not name.upper().startswith(("CLEAR", "N/A"))]
    if not found:
        raise KeyError(f"{path}: no FILTER, FILTER1 or FILTER2 in the header; {remedy}")
    known = [name for name in found if name.upper() in load_filters()]
    return filter_named((known or found)[0], path).name


def celestial_wcs(header: fits.Header) -> WCS | None:
    """Celestial WCS of an image, or None where the header has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        wcs = WCS(header)
    return wcs.celestial if wcs.has_celestial else None


def pixel_scale_of(header: fits.Header) -> float | None:
    """Pixel scale in arcsec: the WCS, else D001SCAL and its like, else CDELT; None where none."""
    wcs = celestial_wcs(header)
    if wcs is not None:
        return float(np.sqrt(np.prod(proj_plane_pixel_scales(wcs)))) * 3600.0
    for key in _SCALE_KEYS:
        if float(header.get(key, 0.0)) > 0:
            return float(header[key])
    if {"CD1_1", "CD2_2"} <= set(header):
        cd = [float(header.get(f"CD{i}_{j}", 0.0)) for i in (1, 2) for j in (1, 2)]
        return math.sqrt(abs(cd[0] * cd[3] - cd[1] * cd[2])) * 3600.0
    return None


def centre_of(header: fits.Header, shape: tuple[int, int]) -> tuple[float, float]:
    """ICRS (ra, dec) in degrees of the centre of an image; NaN without a WCS."""
    wcs = celestial_wcs(header)
    if wcs is None:
        return math.nan, math.nan
    height, width = shape
    sky = wcs.pixel_to_world((width - 1) / 2, (height - 1) / 2).icrs
    return float(sky.ra.deg), float(sky.dec.deg)


def seeing_of(header: fits.Header) -> float:
    """Seeing in arcsec that the header gives; NaN where it gives none."""
    for key in _SEEING_KEYS:
        value = header.get(key)
        if isinstance(value, (int, float)) and value > 0:
            return float(value)
    return math.nan
