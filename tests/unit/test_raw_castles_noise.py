"""CASTLES: variance and unusable pixels from ERR, WHT and DQ."""

import numpy as np
import pytest
from castles_samples import NJY, SHAPE, acs, read_one, write
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_samples import noise_image

from lenshunt.raw.castles_images import kind_of_weights, sky_variance


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
