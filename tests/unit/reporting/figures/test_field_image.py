"""A field averaged down for print keeps its sky: pixels and WCS stay together."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from lenshunt.reporting.figures import field_image
from lenshunt.reporting.figures.field_image import binned_wcs


@pytest.mark.parametrize("form", ["CD", "PC"])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_binned_wcs_sees_the_same_sky(form, step):
    header = fits.Header(
        {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 110.8, "CRVAL2": -73.45}
    )
    header["CRPIX1"], header["CRPIX2"] = 61.0, 58.0
    degrees = 0.06 / 3600.0
    if form == "CD":
        header["CD1_1"], header["CD2_2"] = -degrees, degrees
        header["CD1_2"], header["CD2_1"] = 0.2 * degrees, 0.2 * degrees
    else:
        header["CDELT1"], header["CDELT2"] = -degrees, degrees
    wcs = WCS(header)
    coarse = binned_wcs(wcs, step, 120 // step)
    # The centre of the first binned pixel is the centre of the block that it averages.
    fine = (step - 1) / 2
    for x, y in ((0, 0), (7, 20)):
        there = wcs.pixel_to_world_values(fine + step * x, fine + step * y)
        np.testing.assert_allclose(coarse.pixel_to_world_values(x, y), there, atol=1e-9)


def test_a_star_of_a_large_field_is_drawn_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(field_image, "SIDE_MAX_PX", 60)
    header = fits.Header(
        {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 110.8, "CRVAL2": -73.45}
    )
    header["CRPIX1"], header["CRPIX2"] = 100.5, 100.5
    header["CD1_1"], header["CD2_2"] = -0.06 / 3600.0, 0.06 / 3600.0
    image = np.zeros((200, 200), np.float32)
    image[150:154, 40:44] = 100.0
    fits.writeto(tmp_path / "field.fits", image, header)

    class Model:
        ra0, dec0 = 110.8, -73.45

    shown, wcs = field_image._cut(tmp_path / "field.fits", Model(), 6.0)
    assert shown.shape[0] <= 60
    sky = WCS(header).pixel_to_world_values(41.5, 151.5)
    x, y = wcs.world_to_pixel_values(*sky)
    brightest = np.unravel_index(np.argmax(shown), shown.shape)
    assert abs(x - brightest[1]) <= 1
    assert abs(y - brightest[0]) <= 1
