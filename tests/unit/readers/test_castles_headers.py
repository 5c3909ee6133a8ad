"""CASTLES: units, filters, photometry and the table in their header variants."""

import csv
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from castles_samples import NJY, ROW, SHAPE, acs, dataset, read_one, table, write
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_samples import noise_image, read_all, tan_header

from lenshunt.readers.castles_table import find_system, read_systems
from lenshunt.readers.zero_points import njy_per_hst_count
from lenshunt.schema import magnitude_from_njy, njy_from_magnitude

MAGNITUDE = 25.0


#: PHOTFLAM per electron per second, PHOTPLAM, electrons per DN, slot, and cards of each camera.
CAMERAS = {
    "WFPC2 gain 7": (
        ("F814W", 2.508e-18 / 7.12, 7995.0, 7.12, 2),
        {"INSTRUME": "WFPC2", "ATODGAIN": 7.0, "DETECTOR": 1},
    ),
    "WFPC2 gain 15": (
        ("F555W", 2 * 3.483e-18 / 13.95, 5442.0, 13.95, 1),
        {"INSTRUME": "WFPC2", "ATODGAIN": 15.0, "DETECTOR": 3},
    ),
    "NICMOS": (
        ("F160W", 2.5e-19 / 5.4, 16060.0, 5.4, 4),
        {"INSTRUME": "NICMOS", "CAMERA": 2, "ADCGAIN": 5.4},
    ),
    "ACS": (("F814W", 7.0331891e-20, 8045.5, 2.0, 2), {"INSTRUME": "ACS", "CCDGAIN": 2.0}),
    "WFC3": (("F160W", 1.9275602e-20, 15369.2, 2.5, 4), {"INSTRUME": "WFC3", "CCDGAIN": 2.5}),
}


def rate_of(photflam, photplam):
    """Electrons per second of a source of MAGNITUDE: f_lambda = 3.631e-20 c / lambda^2 at 0."""
    f_lambda = 3.631e-20 * 10 ** (-0.4 * MAGNITUDE) * 2.99792458e18 / photplam**2
    return f_lambda / photflam


def rotated(header, angle_deg, form):
    """The WCS of `header` turned by an angle, as CD, PC with CDELT, or CDELT with CROTA2."""
    scale = header["CD2_2"]
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    for key in ("CD1_1", "CD1_2", "CD2_1", "CD2_2"):
        del header[key]
    if form == "CD":
        header["CD1_1"], header["CD1_2"] = -scale * c, scale * s
        header["CD2_1"], header["CD2_2"] = scale * s, scale * c
        return header
    header["CDELT1"], header["CDELT2"] = -scale, scale
    if form == "CROTA2":
        header["CROTA2"] = -angle_deg
        return header
    header["PC1_1"], header["PC1_2"], header["PC2_1"], header["PC2_2"] = c, -s, s, c
    return header


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    camera=st.sampled_from(sorted(CAMERAS)),
    unit=st.sampled_from(["ELECTRONS", "ELECTRONS/S", "e-/s", "COUNTS", "counts/s", "DN/S", "DN"]),
    photflam_per=st.sampled_from(["electron", "DN"]),
    wheels=st.sampled_from(["FILTER", "FILTER1", "FILTER2", "FILTNAM1", "joined"]),
    form=st.sampled_from(["CD", "PC", "CROTA2"]),
    angle=st.floats(-180, 180),
    layout=st.sampled_from(["single", "extension", "with companions"]),
    exposure_s=st.floats(10, 5000),
    photfnu=st.booleans(),
)
def test_a_source_of_known_magnitude_has_one_flux_in_every_header(
    camera, unit, photflam_per, wheels, form, angle, layout, exposure_s, photfnu
):
    (name, photflam, photplam, gain, slot), cards = CAMERAS[camera]
    # only WFPC2 and NICMOS ever count PHOTFLAM in DN
    if cards["INSTRUME"] in ("ACS", "WFC3"):
        photflam_per = "electron"
    header = rotated(tan_header(SHAPE, 0.05), angle, form)
    header["TELESCOP"], header["EXPTIME"], header["BUNIT"] = "HST", exposure_s, unit
    header.update(cards)
    header["PHOTFLAM"] = photflam * (gain if photflam_per == "DN" else 1.0)
    header["PHOTPLAM"] = photplam
    if photfnu and cards["INSTRUME"] == "NICMOS":
        header["PHOTFNU"] = header["PHOTFLAM"] * photplam**2 / 2.99792458e18 * 1e23
        del header["PHOTPLAM"]
    if cards["INSTRUME"] == "WFPC2":
        header["FILTER1"], header["FILTER2"] = 38, 0
    values = {
        "joined": {"FILTER": f"CLEAR1L;{name}"},
        "FILTER1": {"FILTER1": name, "FILTER2": "CLEAR2L"},
    }
    header.update(values.get(wheels, {wheels: name}))
    rate = rate_of(photflam, photplam)
    counts = rate * (1.0 if "/" in unit else exposure_s)
    counts /= 1.0 if unit.lower().startswith("e") else gain
    pixels = noise_image(SHAPE, peak=0) * np.float32(1e-3)
    pixels *= np.float32(counts) / 60
    pixels[30, 32] += np.float32(counts)
    errors = np.full(SHAPE, np.float32(counts / 50))
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        table(folder)
        extensions = [("ERR", errors), ("DQ", np.zeros(SHAPE, np.int16))]
        write(
            folder,
            "HE0435_a.fits",
            pixels,
            header,
            extensions if layout == "with companions" else (),
            primary=True if layout == "single" else None,
        )
        read, rejected = read_all(dataset(folder), folder)
    assert not rejected, rejected[0].reason
    cutout = read[0]
    flux = float(cutout.image[slot, 30, 32])
    assert float(magnitude_from_njy(flux)) == pytest.approx(MAGNITUDE, abs=2e-3)
    assert cutout.metadata.bands[slot] == name
    assert cutout.metadata.pixel_scale == pytest.approx(0.05, rel=1e-6)
    assert (cutout.metadata.ra, cutout.metadata.dec) == pytest.approx((150.0, 2.0))
    assert cutout.metadata.variance_available == (layout == "with companions")
    if layout == "with companions":
        sigma = math.sqrt(cutout.variance[slot, 30, 32])
        assert sigma == pytest.approx(float(njy_from_magnitude(MAGNITUDE)) / 50, rel=2e-3)


@pytest.mark.parametrize(
    ("card", "value"),
    [("BUNIT", "ELECTRONS/S"), ("PHOTFLAM", 7.0331891e-20), ("PHOTPLAM", 8045.529)],
)
def test_the_config_gives_what_a_header_lacks(tmp_path, card, value):
    write(tmp_path, "HE0435_F814W_x.fits", noise_image(SHAPE), acs())
    whole = read_one(tmp_path)
    write(tmp_path, "HE0435_F814W_x.fits", noise_image(SHAPE), acs(**{card: None}))
    given_ = read_one(tmp_path, header={"*_F814W_*": {card: value}, "other*": {card: 1}})
    np.testing.assert_allclose(given_.image, whole.image, rtol=1e-6)


def test_the_config_replaces_scale_and_exposure_time(tmp_path):
    write(tmp_path, "HE0435_a.fits", noise_image(SHAPE), acs(BUNIT="ELECTRONS", EXPTIME=0.0))
    cutout = read_one(tmp_path, header={"*": {"EXPTIME": 1000, "D001SCAL": 0.04}})
    assert cutout.metadata.pixel_scale == 0.04
    peak = noise_image(SHAPE).max()
    assert cutout.image[2].max() == pytest.approx(peak * NJY / 1000, rel=2e-3)


def test_photflam_of_a_filter_without_a_reference_needs_its_unit():
    header = acs(INSTRUME="WFPC2", FILTER2="F625W", ATODGAIN=7, PHOTFLAM=3e-18)
    with pytest.raises(KeyError, match=r"a\.fits: nothing tells.*PHOTUNIT: DN"):
        njy_per_hst_count(header, "a.fits")
    header["PHOTUNIT"] = "DN"
    per_dn = njy_per_hst_count(header, "a.fits")
    header["PHOTUNIT"] = "ELECTRONS"
    assert njy_per_hst_count(header, "a.fits") == pytest.approx(per_dn * 7.12)


@pytest.mark.parametrize(("gain", "message"), [(None, "ATODGAIN is None"), (9, "ATODGAIN is 9")])
def test_a_wfpc2_image_in_electrons_needs_its_gain(gain, message):
    header = acs(INSTRUME="WFPC2", PHOTFLAM=2.5e-18)
    if gain is not None:
        header["ATODGAIN"] = gain
    with pytest.raises(KeyError, match=rf"a\.fits: {message}, not 7 or 15"):
        njy_per_hst_count(header, "a.fits")


@pytest.mark.real
def test_a_real_drizzled_image_in_electrons_is_per_second_where_drizzle_says_so(real_data):
    path = real_data / "hst_galaxies/147246.0_150.416558_1.998697_masknoise.fits"
    pixels, header = fits.getdata(path, header=True)
    assert (header["BUNIT"].strip(), header["D001OUUN"].strip()) == ("ELECTRONS", "cps")
    njy = njy_per_hst_count(header, str(path))
    # the zero point of the COSMOS mosaics is 25.94 for electrons per second (Koekemoer+ 2007)
    assert float(magnitude_from_njy(njy)) == pytest.approx(25.94, abs=0.01)
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    total = pixels[np.hypot(x - 271, y - 271) < 100].sum() * njy
    # divided by 4056 s it would be 29.9, fainter than anything in the catalogue
    assert 20 < float(magnitude_from_njy(total)) < 22


def test_a_unit_of_the_config_replaces_what_drizzle_says(tmp_path):
    header = acs(BUNIT="ELECTRONS", D001OUUN="cps")
    write(tmp_path, "HE0435_F814W.fits", noise_image(SHAPE), header)
    rate = read_one(tmp_path).image
    total = read_one(tmp_path, header={"*": {"BUNIT": "ELECTRONS"}}).image
    np.testing.assert_allclose(total * 2000, rate, rtol=1e-5)


def test_files_of_one_name_in_two_folders_are_not_one_sample(tmp_path):
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        write(
            tmp_path / part,
            "HE0435_F814W.fits",
            noise_image(SHAPE),
            acs(),
        )
    table(tmp_path)
    sample = dataset(tmp_path).model_copy(update={"images": [str(tmp_path / "*/*.fits")]})
    read, rejected = read_all(sample, tmp_path)
    assert len(read) == len(rejected) == 1
    assert "a second object named HE0435_F814W" in rejected[0].reason


def test_survey_auto_tells_acs_from_wfc3(tmp_path):
    write(tmp_path, "HE0435_F814W.fits", noise_image(SHAPE), acs())
    write(tmp_path, "HE0435_F160W.fits", noise_image(SHAPE), acs(INSTRUME="WFC3", FILTER2="F160W"))
    write(tmp_path, "HE0435_F606W.fits", noise_image(SHAPE), acs(TELESCOP="VLT", FILTER2="F606W"))
    table(tmp_path)
    sample = dataset(tmp_path).model_copy(update={"survey": "auto"})
    read, rejected = read_all(sample, tmp_path)
    assert sorted(one.metadata.survey for one in read) == ["hst", "hst_wfc3"]
    assert "TELESCOP = 'VLT'" in rejected[0].reason


MESSY = st.one_of(
    st.sampled_from(["", " ", "<3.2", ">1", "(0.93)", "1.14/3.93?", "0.3?", "I=16.53/2", "~1.5"]),
    st.floats(0, 7).map(lambda value: f"{value:.3f}"),
)


@settings(max_examples=60, deadline=None)
@given(z_source=MESSY, z_lens=MESSY, size=MESSY, grade=st.sampled_from(["A", "B", "C", "", "A?"]))
def test_no_messy_entry_of_the_table_becomes_a_wrong_number(z_source, z_lens, size, grade):
    cells = next(csv.reader([ROW], delimiter="\t"))
    cells[2], cells[3], cells[4], cells[12] = grade, z_source, z_lens, size
    with tempfile.TemporaryDirectory() as folder:
        system = find_system(read_systems(str(table(Path(folder), "\t".join(cells)))), "HE0435")
    for text, value in ((z_source, system.z_source), (z_lens, system.z_lens)):
        plain = text.replace(".", "", 1).isdigit()
        in_doubt = any(mark in text for mark in "()?/<>~") or not text.strip()
        assert (value == -1) == in_doubt if (plain or in_doubt) else True
        if plain:
            assert value == pytest.approx(float(text))
    assert math.isnan(system.separation_arcsec) == (not size.strip() or size[0] in "<>")
    assert 0.5 < system.confidence < 1
    assert (system.ra, system.dec) == pytest.approx((150.0, 2.0))


@pytest.mark.real
def test_every_real_entry_is_a_number_or_missing(real_data):
    path = real_data / "castles/castles_table.csv"
    systems = read_systems(str(path))
    with open(path, newline="", encoding="utf-8-sig") as stream:
        rows = [row for row in csv.reader(stream, delimiter="\t") if len(row) > 12][1:]
    assert len(rows) == len(systems) == 101
    for row in rows:
        system = find_system(systems, row[1].strip())
        for text, value in ((row[3].strip(), system.z_source), (row[4].strip(), system.z_lens)):
            if text and text.replace(".", "", 1).isdigit():
                assert value == float(text)
            else:
                assert value == -1, (row[1], text)
        assert system.z_lens < 1.5
        size = system.separation_arcsec
        assert math.isnan(size) or 0 < size < 25
    known = sum(system.z_lens > 0 for system in systems.values())
    assert known > 60


def test_photfnu_alone_does_not_tell_what_it_counts():
    header = {"INSTRUME": "NICMOS", "CAMERA": 2, "FILTER": "F160W", "PHOTFNU": 1.5e-6}
    per_dn = njy_per_hst_count(header | {"BUNIT": "COUNTS/S"}, "a.fits")
    assert per_dn == pytest.approx(1500, rel=2e-3)
    with pytest.raises(KeyError, match=r"a\.fits: nothing tells .* PHOTFNU is per DN .*PHOTUNIT"):
        njy_per_hst_count(header | {"BUNIT": "ELECTRONS/S"}, "a.fits")
    given = header | {"BUNIT": "ELECTRONS/S", "PHOTUNIT": "DN"}
    assert njy_per_hst_count(given, "a.fits") == pytest.approx(per_dn / 5.4)
