"""FITS files of the demo that are the same bytes every time."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits

from lenshunt.core import write_bytes

_BLOCK = 2880


def write_fits(path: Path, hdus: Sequence[fits.hdu.base.ExtensionHDU]) -> None:
    """Write a FITS file of several extensions; no date goes into any header."""
    content = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(content, output_verify="exception")
    write_bytes(content.getvalue(), path)


def plain_fits_header(header: fits.Header, shape: tuple[int, int]) -> bytes:
    """Header of a single-image FITS file of float32 pixels, ready to be put before the data."""
    primary = fits.PrimaryHDU(np.zeros(shape, ">f4"), header=header)
    return primary.header.tostring(padding=True).encode("ascii")


def write_plain_fits(path: Path, header: bytes, image: np.ndarray) -> None:
    """Write one float32 image after a header of `plain_fits_header`.

    The demo writes thousands of small files of equal header; astropy spends 2 ms on each.
    """
    data = np.ascontiguousarray(image, dtype=">f4").tobytes()
    write_bytes(header + data + b"\0" * (-len(data) % _BLOCK), path)


def tan_header(
    ra: float, dec: float, pixel_scale_arcsec: float, shape: tuple[int, int]
) -> fits.Header:
    """TAN projection with North up and East left, reference pixel at the image centre."""
    header = fits.Header()
    height, width = shape
    degrees = pixel_scale_arcsec / 3600.0
    for key, value in (
        ("WCSAXES", 2),
        ("CRPIX1", (width + 1) / 2),
        ("CRPIX2", (height + 1) / 2),
        ("CRVAL1", ra),
        ("CRVAL2", dec),
        ("CTYPE1", "RA---TAN"),
        ("CTYPE2", "DEC--TAN"),
        ("CUNIT1", "deg"),
        ("CUNIT2", "deg"),
        ("CD1_1", -degrees),
        ("CD1_2", 0.0),
        ("CD2_1", 0.0),
        ("CD2_2", degrees),
        ("RADESYS", "ICRS"),
    ):
        header[key] = value
    return header


def remove_stale(folder: Path, patterns: Sequence[str]) -> None:
    """Delete what an earlier, perhaps larger, demo left below `folder`."""
    for pattern in patterns:
        for path in folder.glob(pattern):
            path.unlink()
