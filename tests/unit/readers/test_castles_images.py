"""CASTLES images: the chip that shows the system, and variance and masks from ERR, WHT and DQ."""

import math

import numpy as np
import pytest
from astropy.io import fits
from castles_samples import NJY, ROW, SHAPE, acs, dataset, read_one, table, write
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_samples import noise_image, read_all, tan_header

from lenshunt.readers.castles_images import kind_of_weights, sky_variance


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


def weights(kind, seed=1):
    """Image with sky noise that follows its weight map: two thirds of the field have half."""
    relative = np.ones(SHAPE)
    relative[:, :40] = 0.5
    sigma = 0.02 / np.sqrt(relative)
    pixels = np.random.default_rng(seed).normal(size=SHAPE) * sigma
    pixels[28:33, 30:35] += 5.0
    scale = {"exposure": 2000.0, "inverse_variance": 0.02**-2, "relative": 3e7}[kind]
    return pixels.astype(np.float32), (relative * scale).astype(np.float32), sigma**2


@pytest.mark.parametrize("kind", ["exposure", "inverse_variance", "relative"])
def test_weights_become_the_variance_of_the_sky_whatever_they_are(tmp_path, kind):
    pixels, weight, variance = weights(kind)
    weight[:2] = 0
    write(tmp_path, "HE0435_F814W.fits", pixels, acs(), [("WHT", weight)])
    cutout = read_one(tmp_path)
    assert np.isposinf(cutout.variance[2, :2]).all()
    np.testing.assert_allclose(cutout.variance[2, 2:] / NJY**2, variance[2:], rtol=0.08)
    flags = cutout.metadata.flags
    assert flags == ("weight_relative:F814W" if kind == "relative" else "")


def test_an_exposure_time_is_never_taken_for_an_inverse_variance(tmp_path):
    pixels, weight, variance = weights("exposure")
    write(tmp_path, "HE0435_F814W.fits", pixels, acs(), [("WHT", weight)])
    auto = read_one(tmp_path).variance[2]
    forced = read_one(tmp_path, weight_kind="inverse_variance").variance[2]
    np.testing.assert_allclose(forced / NJY**2, 1 / weight, rtol=4e-3)
    assert np.median(auto / forced) == pytest.approx(np.median(variance * weight), rel=0.08)


@pytest.mark.parametrize(("sides", "factor"), [({}, 1.0), ((0.03, 0.05), 0.36)])
def test_exposure_weights_are_known_by_the_exposure_time_and_the_area_of_a_pixel(sides, factor):
    header = {"EXPTIME": 2000.0}
    if sides:
        header |= {"D001SCAL": sides[0], "D001ISCL": sides[1]}
    weight = np.full(SHAPE, 2000.0 * factor)
    weight[:, 40:] *= 0.5
    nothing_bad = np.zeros(SHAPE, bool)
    assert kind_of_weights(weight, nothing_bad, header, 0.02**2) == "exposure"
    assert kind_of_weights(weight * 7, nothing_bad, header, 1.0) == "relative"


@pytest.mark.parametrize(
    ("word", "kind"), [("IVM", "inverse_variance"), ("EXP", "exposure"), ("rms ", "rms")]
)
def test_a_header_that_names_its_weights_is_believed(word, kind):
    weight, good = np.full(SHAPE, 2000.0), np.zeros(SHAPE, bool)
    header = {"EXPTIME": 2000.0, "WHTTYPE": word}
    assert kind_of_weights(weight, good, header, 1.0) == kind


def test_rms_maps_are_squared(tmp_path):
    write(tmp_path, "HE0435_F814W.fits", noise_image(SHAPE), acs(),
          [("WHT", np.full(SHAPE, 0.5, np.float32))])  # fmt: skip
    cutout = read_one(tmp_path, weight_kind="rms")
    np.testing.assert_allclose(cutout.variance[2], 0.25 * NJY**2, rtol=4e-3)


@settings(max_examples=15, deadline=None)
@given(sigma=st.floats(1e-4, 1e2), sky=st.floats(-10, 10), seed=st.integers(0, 99))
def test_the_sky_noise_is_measured_beside_bright_objects(sigma, sky, seed):
    rng = np.random.default_rng(seed)
    weight = np.where(np.arange(200)[:, None] < 60, 0.5, 1.0) * np.ones((200, 200))
    pixels = sigma * (rng.normal(size=(200, 200)) / np.sqrt(weight) + sky)
    pixels[80:110, 80:110] += 50 * sigma
    measured = sky_variance(pixels, weight, np.zeros(pixels.shape, bool), "a.fits")
    assert measured == pytest.approx(sigma**2, rel=0.08)


def test_too_few_pixels_to_measure_the_noise_name_the_file():
    with pytest.raises(ValueError, match=r"a\.fits: 0 usable pixels"):
        sky_variance(np.ones(SHAPE), np.ones(SHAPE), np.ones(SHAPE, bool), "a.fits")


@pytest.mark.parametrize(
    ("cards", "usable", "unusable"),
    [
        ({"INSTRUME": "ACS"}, [0, 64], [1, 4, 16, 128, 256, 2048, 8192, 64 | 256]),
        ({"INSTRUME": "WFC3", "DETECTOR": "IR"}, [0, 64, 512], [4, 8, 16, 32, 256, 2048]),
        ({"INSTRUME": "WFC3", "DETECTOR": "UVIS"}, [0, 64], [4, 16, 256, 512]),
        (
            {"INSTRUME": "WFPC2", "PHOTFLAM": 2.5e-18, "BUNIT": "COUNTS/S"},
            [0, 256, 1024],
            [1, 2, 8, 32, 512, 2048],
        ),
        (
            {"INSTRUME": "NICMOS", "PHOTFLAM": 2.5e-19, "FILTER2": "F160W", "BUNIT": "DN/S"},
            [0, 1024, 2048],
            [16, 32, 64, 512],
        ),
        # of an instrument whose bits are not known every flag counts
        ({"INSTRUME": "STIS"}, [0], [1, 64, 512]),
    ],
)
def test_flagged_pixels_are_unusable_by_the_bits_of_each_instrument(
    tmp_path, cards, usable, unusable
):
    flags = np.zeros(SHAPE, np.int16)
    values = [*usable, *unusable]
    flags[0, : len(values)] = values
    write(tmp_path, "HE0435_a.fits", noise_image(SHAPE), acs(**cards), [("DQ", flags)])
    cutout = read_one(tmp_path)
    slot = cutout.metadata.band_flags.index(1)
    bad = np.isposinf(cutout.variance[slot, 0])
    assert list(bad[: len(values)]) == [False] * len(usable) + [True] * len(unusable)
    assert not np.isposinf(cutout.variance[slot, 1:]).any()
