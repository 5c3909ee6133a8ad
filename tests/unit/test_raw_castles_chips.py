"""CASTLES: which chip, plane or extension of an HST file shows the system."""

import math

import numpy as np
import pytest
from astropy.io import fits
from castles_samples import NJY, SHAPE, acs, read_one, write
from raw_samples import noise_image, read_all, tan_header
from test_raw_castles import ROW, dataset, table


def two_chips(folder, offsets=(0.0, 70.0), name="HE0435_F814W_flt.fits", **more):
    """SCI, ERR and DQ of two chips, the second `offsets` pixels further North."""
    hdus = [fits.PrimaryHDU()]
    for version, offset in enumerate(offsets, start=1):
        header = acs(BUNIT="ELECTRONS", **more)
        header["CRPIX2"] -= offset
        pixels = noise_image(SHAPE, peak=1000.0 * version)
        dq = np.zeros(SHAPE, np.int16)
        dq[0, 0] = 4 * (version == 2)
        for key, values in (("SCI", pixels), ("ERR", np.ones(SHAPE, np.float32)), ("DQ", dq)):
            hdus.append(fits.ImageHDU(values, header if key == "SCI" else None, key, ver=version))
    fits.HDUList(hdus).writeto(folder / name)


@pytest.mark.parametrize(("dec", "chip"), [("+02:00:00", 1), ("+02:00:03.5", 2)])
def test_of_two_chips_the_one_that_shows_the_system_is_read(tmp_path, dec, chip):
    two_chips(tmp_path)
    table(tmp_path, ROW.replace("+02:00:00", dec))
    read, rejected = read_all(dataset(tmp_path), tmp_path)
    assert not rejected
    peak = float(read[0].image[2].max()) * 2000 / NJY
    assert peak == pytest.approx(1000 * chip, rel=0.05)
    assert np.isposinf(read[0].variance[2, 0, 0]) == (chip == 2)


def test_lookup_tables_of_the_distortion_do_not_stop_a_wcs(tmp_path):
    two_chips(tmp_path, CPDIS1="Lookup", CPDIS2="Lookup", D2IMDIS1="Lookup")
    assert read_one(tmp_path).metadata.pixel_scale == pytest.approx(0.05)


def test_a_system_on_no_chip_is_an_error_that_names_the_file(tmp_path):
    two_chips(tmp_path)
    table(tmp_path, ROW.replace("+02:00:00", "+02:10:00"))
    _, rejected = read_all(dataset(tmp_path), tmp_path)
    assert "HE0435_F814W_flt.fits" in rejected[0].reason
    assert "is on none of the 2 images" in rejected[0].reason


def test_a_system_outside_the_only_image_is_an_error_and_not_its_middle(tmp_path):
    write(tmp_path, "HE0435_F814W.fits", noise_image(SHAPE), acs())
    table(tmp_path, ROW.replace("+02:00:00", "+02:00:05"))
    _, rejected = read_all(dataset(tmp_path), tmp_path)
    assert "HE0435-1223 at 150.00000 +2.00139 lies outside the image" in rejected[0].reason


def test_readouts_of_one_exposure_need_a_choice(tmp_path):
    two_chips(tmp_path, offsets=(0.0, 0.0))
    table(tmp_path)
    _, rejected = read_all(dataset(tmp_path), tmp_path)
    assert "images 1 and 2 show the system equally well; give EXTVER" in rejected[0].reason
    cutout = read_one(tmp_path, header={"HE0435*": {"EXTVER": 2}})
    assert float(cutout.image[2].max()) * 2000 / NJY == pytest.approx(2000, rel=0.05)


def test_chips_of_an_unlisted_system_are_chosen_by_the_target_of_the_header(tmp_path):
    two_chips(tmp_path, name="Q9999_F814W.fits", RA_TARG=150.0, DEC_TARG=2.0 + 3.5 / 3600)
    cutout = read_one(tmp_path)
    assert float(cutout.image[2].max()) * 2000 / NJY == pytest.approx(2000, rel=0.05)
    (tmp_path / "Q9999_F814W.fits").unlink()
    two_chips(tmp_path, name="Q9999_F814W.fits")
    _, rejected = read_all(dataset(tmp_path), tmp_path)
    assert "no position tells which shows the system; give EXTVER" in rejected[0].reason


def c0f(folder, groups=True):
    """WFPC2 c0f: a cube of four chips, with the WCS and photometry of each in a table."""
    pixels = np.stack([noise_image(SHAPE, seed=k, peak=100.0 * (k + 1)) for k in range(4)])
    pixels[1, 0, 0] = 3600.0
    primary = fits.PrimaryHDU(pixels)
    primary.header.update(
        TELESCOP="HST", INSTRUME="WFPC2", FILTNAM1="F814W", FILTNAM2="", FILTER1=38, FILTER2=0,
        EXPTIME=500.0, BUNIT="COUNTS", ATODGAIN=7.0, TARGNAME="HE0435-1223",
    )  # fmt: skip
    hdus = [primary]
    if groups:
        heads = [
            tan_header(SHAPE, 0.0455 if k == 0 else 0.0996, dec=2 + 0.01 * k) for k in range(4)
        ]
        keys = ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CD1_1", "CD1_2", "CD2_1", "CD2_2")
        columns = [fits.Column(key, "D", array=[one[key] for one in heads]) for key in keys]
        columns += [
            fits.Column("CTYPE1", "8A", array=["RA---TAN"] * 4),
            fits.Column("CTYPE2", "8A", array=["DEC--TAN"] * 4),
            fits.Column("DETECTOR", "J", array=[1, 2, 3, 4]),
            fits.Column("PHOTFLAM", "D", array=[2.508e-18, 2.49e-18, 2.52e-18, 2.46e-18]),
            fits.Column("PHOTPLAM", "D", array=[7995.0] * 4),
        ]
        hdus.append(fits.BinTableHDU.from_columns(columns))
    fits.HDUList(hdus).writeto(folder / "u1_c0f.fits", overwrite=True)


@pytest.mark.parametrize("plane", [1, 2, 4])
def test_the_plane_of_a_wfpc2_cube_comes_from_its_group_table(tmp_path, plane):
    c0f(tmp_path)
    table(
        tmp_path,
        ROW.replace("+02:00:00", f"+02:00:{36 * (plane - 1):02d}" if plane < 3 else "+02:01:48"),
    )
    read, rejected = read_all(dataset(tmp_path), tmp_path)
    assert not rejected
    photflam = [2.508e-18, 2.49e-18, 2.52e-18, 2.46e-18][plane - 1]
    zero_point = -2.5 * math.log10(photflam) - 5 * math.log10(7995.0) - 2.408
    njy = 10 ** (0.4 * (31.4 - zero_point)) / 500.0
    centre = read[0].image[2, 20:40, 20:44]
    assert float(centre.max()) == pytest.approx(100 * plane * njy, rel=0.05)
    assert read[0].metadata.pixel_scale == pytest.approx(0.0455 if plane == 1 else 0.0996)
    # above 3500 DN the converter is saturated
    assert np.isposinf(read[0].variance[2, 0, 0]) == (plane == 2)


def test_a_cube_without_a_table_needs_the_plane_from_the_config(tmp_path):
    c0f(tmp_path, groups=False)
    table(tmp_path)
    _, rejected = read_all(dataset(tmp_path), tmp_path)
    assert "is on none of the 4 images" in rejected[0].reason
    keys = {"EXTVER": 3, "PHOTFLAM": 2.5e-18, "PHOTPLAM": 7995.0, "D001SCAL": 0.0996}
    cutout = read_one(tmp_path, header={"*_c0f.fits": keys})
    assert cutout.metadata.pixel_scale == 0.0996
    _, rejected = read_all(dataset(tmp_path, header={"*": {**keys, "EXTVER": 5}}), tmp_path)
    assert "no image with EXTVER 5; the file has 1, 2, 3, 4" in rejected[0].reason
