"""CASTLES: HST headers with their variations, the table of systems, merging of filters."""

import math
import re

import numpy as np
import pytest
from astropy.io import fits
from castles_samples import ROW, dataset, table
from raw_samples import hst_header, noise_image, read_all, truncate

from lenshunt.readers.castles_table import find_system, first_number, read_systems

SHAPE = (60, 60)


def image(folder, name, filter_name="F814W", err=0.5, **header):
    """Write SCI (+ ERR) with an empty primary, as drizzled files have."""
    head = hst_header(SHAPE, filter_name, **header)
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(noise_image(SHAPE), head, name="SCI")]
    if err is not None:
        hdus.append(fits.ImageHDU(np.full(SHAPE, err, np.float32), name="ERR"))
    fits.HDUList(hdus).writeto(folder / name)
    return folder / name


@pytest.mark.real
def test_the_real_table_of_systems_is_read_with_its_blemishes(real_data):
    systems = read_systems(str(real_data / "castles/castles_table.csv"))
    assert len(systems) == 101
    he0435 = find_system(systems, "he0435-1223")
    assert (he0435.z_source, he0435.z_lens) == (1.689, 0.46)
    assert he0435.ra == pytest.approx(69.562, abs=1e-3)
    assert he0435.dec == pytest.approx(-12.2873, abs=1e-3)
    assert he0435.separation_arcsec == 2.42
    # a redshift in brackets or with alternatives is in doubt and not taken
    assert find_system(systems, "HE0512-3329").z_lens == -1
    assert find_system(systems, "B0850+054").z_source == -1
    # H1413+117 lacks the sign of its declination
    assert find_system(systems, "H1413+117").dec == pytest.approx(11.4948, abs=1e-3)
    assert all(0 <= s.ra < 360 and -90 <= s.dec <= 90 for s in systems.values())


@pytest.mark.real
def test_a_short_system_name_is_found_where_it_is_unique(real_data):
    systems = read_systems(str(real_data / "castles/castles_table.csv"))
    assert find_system(systems, "HE0435").name == "HE0435-1223"
    assert find_system(systems, "SDSS1") is None


@pytest.mark.parametrize(
    ("text", "value"), [("1.44", 1.44), ("I=16.53/2", 16.53), ("", None), ("<3.2", None)]
)
def test_numbers_are_read_from_suffixed_entries_but_not_from_limits(text, value):
    assert first_number(text) == value


def test_filters_on_one_grid_become_one_cutout_with_two_bands(tmp_path):
    table(tmp_path)
    image(tmp_path, "HE0435_F555W.fits", "F555W")
    image(tmp_path, "HE0435_F814W.fits", "F814W")
    cutouts, rejected = read_all(dataset(tmp_path), tmp_path)
    assert not rejected
    assert [c.metadata.bands for c in cutouts] == [("", "F555W", "F814W", "", "")]
    assert cutouts[0].metadata.raw_file.count(";") == 1
    assert cutouts[0].metadata.system_id == "HE0435-1223"


@pytest.mark.parametrize("difference", [{"INSTRUME": "WFPC2"}, {"CRPIX1": 40.0}])
def test_another_instrument_or_grid_is_another_cutout_of_the_same_system(tmp_path, difference):
    table(tmp_path)
    image(tmp_path, "HE0435_F555W.fits", "F555W", **difference)
    image(tmp_path, "HE0435_F814W.fits", "F814W")
    cutouts, _ = read_all(dataset(tmp_path), tmp_path)
    assert len(cutouts) == 2
    assert {c.metadata.system_id for c in cutouts} == {"HE0435-1223"}
    assert len({c.metadata.sample_id for c in cutouts}) == 2


def test_the_zero_point_comes_from_photflam_and_photplam_not_photzpt(tmp_path):
    table(tmp_path)
    path = image(tmp_path, "HE0435_F814W.fits")
    cutout = read_all(dataset(tmp_path), tmp_path)[0][0]
    # ACS F814W: 25.947 mag (AB) by the ACS zero-point calculator for this PHOTFLAM
    njy = 10 ** (0.4 * (31.4 - 25.947))
    np.testing.assert_allclose(cutout.image[2], fits.getdata(path, "SCI") * njy, rtol=2e-3)
    np.testing.assert_allclose(cutout.variance[2], (0.5 * njy) ** 2, rtol=4e-3)
    assert cutout.metadata.variance_available


def test_electrons_are_divided_by_the_exposure_time(tmp_path):
    table(tmp_path)
    image(tmp_path, "HE0435_F814W.fits")
    rate = read_all(dataset(tmp_path), tmp_path)[0][0]
    (tmp_path / "HE0435_F814W.fits").unlink()
    image(tmp_path, "HE0435_F814W.fits", BUNIT="ELECTRONS")
    total = read_all(dataset(tmp_path), tmp_path)[0][0]
    np.testing.assert_allclose(total.image * 2000, rate.image, rtol=1e-5)


def test_facts_of_the_system_come_from_the_table(tmp_path):
    table(tmp_path)
    image(tmp_path, "a_F814W.fits", TARGNAME="HE0435-1223", D001SCAL=0.05)
    metadata = read_all(dataset(tmp_path), tmp_path)[0][0].metadata
    assert (metadata.label, metadata.label_source) == (1, "obs:castles")
    assert metadata.label_confidence == 0.9
    assert metadata.z_spec == 0.46
    assert metadata.einstein_radius == pytest.approx(1.21)
    assert (metadata.ra, metadata.dec) == pytest.approx((150.0, 2.0))
    assert metadata.pixel_scale == pytest.approx(0.05)
    assert metadata.instrument == "ACS"


def test_a_system_that_the_table_lacks_is_kept_and_flagged(tmp_path):
    table(tmp_path)
    image(tmp_path, "Q9999+000_F814W.fits")
    metadata = read_all(dataset(tmp_path), tmp_path)[0][0].metadata
    assert metadata.flags == "not_in_table"
    assert metadata.system_id == "Q9999+000"
    assert metadata.ra == pytest.approx(150.0)


def test_weights_are_inverse_variances_and_empty_pixels_unusable(tmp_path):
    table(tmp_path)
    path = image(tmp_path, "HE0435_F814W.fits", err=None)
    # the noise of the image is 1 per pixel
    weight = np.full(SHAPE, 4.0, np.float32)
    weight[:2] = 0
    fits.append(path, weight, fits.Header({"EXTNAME": "WHT"}))
    sample = dataset(tmp_path, weight_kind="inverse_variance")
    cutout = read_all(sample, tmp_path)[0][0]
    assert np.isposinf(cutout.variance[2, :2]).all()
    njy = 10 ** (0.4 * (31.4 - 25.947))
    np.testing.assert_allclose(cutout.variance[2, 2:], 0.25 * njy**2, rtol=4e-3)


def test_a_cutout_is_centred_on_the_system(tmp_path):
    # 1 arcsec East is 20 pixels to the left
    table(tmp_path, ROW.replace("10:00:00", "10:00:00.0667"))
    path = image(tmp_path, "HE0435_F814W.fits")
    cutout = read_all(dataset(tmp_path, size_px=16), tmp_path)[0][0]
    pixels = fits.getdata(path, "SCI")
    ratio = cutout.image[2, 8, 8] / cutout.image[2, 8, 9]
    assert cutout.image.shape == (5, 16, 16)
    row, column = 30, 10
    matches = [
        (j, i)
        for j in range(row - 2, row + 2)
        for i in range(column - 2, column + 2)
        if math.isclose(pixels[j, i] / pixels[j, i + 1], ratio, rel_tol=1e-3)
    ]
    assert matches


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"PHOTFLAM": None}, "no PHOTFLAM"),
        ({"PHOTPLAM": None}, "no PHOTPLAM"),
        ({"BUNIT": "ELECTRONS", "EXPTIME": None}, "no EXPTIME"),
        ({"BUNIT": "JY/BEAM"}, "BUNIT 'JY/BEAM'"),
        ({"BUNIT": None}, r"no BUNIT.*`header` of this data set"),
        ({"BUNIT": "COUNTS"}, r"no CCDGAIN tells the gain.*`header` of this data set"),
        ({"FILTER2": "CLEAR2L"}, r"no FILTER, FILTER1 or FILTER2.*`header` of this data set"),
        ({"FILTER1": "F606W"}, r"names filters F606W and F814W.*`header` of this data set"),
        ({"FILTER2": "F999W"}, "unknown filter 'F999W'"),
    ],
)
def test_an_incomplete_header_is_rejected_with_file_key_and_remedy(tmp_path, header, message):
    table(tmp_path)
    image(tmp_path, "HE0435_F814W.fits", **header)
    cutouts, rejected = read_all(dataset(tmp_path), tmp_path)
    assert not cutouts
    assert "HE0435_F814W.fits" in rejected[0].reason
    assert re.search(message, rejected[0].reason), rejected[0].reason


def test_a_filter_named_in_the_config_replaces_that_of_the_header(tmp_path):
    table(tmp_path)
    image(tmp_path, "HE0435_a.fits", "CLEAR2L")
    sample = dataset(tmp_path, header={"HE0435_a.*": {"FILTER": "F606W"}})
    assert read_all(sample, tmp_path)[0][0].metadata.bands[1] == "F606W"


def test_a_truncated_image_costs_only_itself(tmp_path):
    table(tmp_path)
    truncate(image(tmp_path, "HE0435_F555W.fits", "F555W"), 0.5)
    image(tmp_path, "HE0435_F814W.fits", "F814W")
    cutouts, rejected = read_all(dataset(tmp_path), tmp_path)
    assert len(cutouts) == len(rejected) == 1
    assert "HE0435_F555W.fits" in rejected[0].reason
