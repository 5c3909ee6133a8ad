"""The frame of a WCS: only RA and Dec of ICRS or FK5 are taken for RA and Dec."""

import pytest
from astropy.io import fits

from lenshunt.readers.fits_image import equatorial_wcs


def header(first: str = "RA---TAN", second: str = "DEC--TAN", **more: str) -> fits.Header:
    """A tangential WCS with North up."""
    cards = {"CTYPE1": first, "CTYPE2": second, "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 10.0}
    scale = {"CRPIX2": 10.0, "CDELT1": -5e-5, "CDELT2": 5e-5}
    return fits.Header({**cards, **scale, **more})


@pytest.mark.parametrize("frame", ["ICRS", "FK5"])
def test_the_usual_frames_are_taken(frame):
    wcs = equatorial_wcs(header(RADESYS=frame), "field.fits")
    assert wcs is not None
    ra, dec = wcs.all_pix2world(9, 9, 0)
    assert (float(ra), float(dec)) == pytest.approx((150.0, 2.0))


@pytest.mark.parametrize("other", [header("GLON-TAN", "GLAT-TAN"), header(RADESYS="FK4")])
def test_another_frame_is_refused_by_name(other):
    with pytest.raises(ValueError, match=r"field\.fits: the WCS is in .* expected RA and Dec"):
        equatorial_wcs(other, "field.fits")


def test_a_header_without_a_wcs_has_none():
    assert equatorial_wcs(fits.Header(), "field.fits") is None
