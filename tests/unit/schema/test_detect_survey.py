"""Which survey a header belongs to, and magnitudes through the zero points of each survey."""

import numpy as np
import pytest
from astropy.io import fits
from raw_samples import common, hst_header, noise_image, read_all, tan_header

from lenshunt.config import CutoutsDataset, Demo, GalaxiesMLDataset, Grid
from lenshunt.config.datasets import check_datasets
from lenshunt.config.grids import check_grids
from lenshunt.readers.zero_points import njy_per_pixel_unit
from lenshunt.schema import (
    detect_survey,
    load_filters,
    load_surveys,
    magnitude_from_njy,
    survey_of,
    surveys_matching,
)

#: Header cards as the products of each survey have them.
HEADERS = {
    "hsc": [
        {"FILTER": "HSC-I", "FLUXMAG0": 63095734448.0194},
        {"FILTER": "i", "FLUXMAG0": 63095734448.0194, "EXTTYPE": "IMAGE"},
    ],
    "sdss": [
        {"ORIGIN": "SDSS    ", "TELESCOP": "2.5m", "FILTER": "r", "BUNIT": "nanomaggy"},
        {"ORIGIN": "SDSS", "TELESCOP": "2.5m", "FILTER": "r", "NMGY": 0.0054},
    ],
    "kids": [{"TELESCOP": "ESO-VST", "INSTRUME": "OMEGACAM", "OBJECT": "KIDS_129.0_-0.5"}],
    "des": [
        {"TILENAME": "DES0314-1958", "FILTER": "i DECam SDSS c0003 7835.0 1470.0", "MAGZERO": 30},
        {"INSTRUME": "DECam", "MAGZERO": 31.2},
    ],
    "hst": [
        {"TELESCOP": "HST", "INSTRUME": "ACS   "},
        {"TELESCOP": "HST", "INSTRUME": "ACS/WFC"},
        {"TELESCOP": "HST", "INSTRUME": "WFPC2"},
        {"TELESCOP": "HST               ", "INSTRUME": "NICMOS"},
    ],
    "hst_wfc3": [{"TELESCOP": "HST", "INSTRUME": "WFC3", "DETECTOR": "IR"}],
    "euclid": [
        {"TELESCOP": "Euclid", "INSTRUME": "VIS", "MAGZERO": 23.9},
        {"TELESCOP": "EUCLID", "INSTRUME": "NISP"},
    ],
    "jwst": [{"TELESCOP": "JWST", "INSTRUME": "NIRCAM", "FILTER": "F150W"}],
}
CASES = [(name, header) for name, headers in HEADERS.items() for header in headers]


@pytest.mark.parametrize(("name", "header"), CASES)
def test_each_survey_is_known_by_its_headers_and_by_no_other(name, header):
    assert [one.name for one in surveys_matching(header)] == [name]
    assert detect_survey(fits.Header(header), "a.fits").name == name


@pytest.mark.real
def test_real_des_headers_are_those_of_des(real_data):
    paths = sorted((real_data / "des_lrg").glob("DES_[0-9]*.fits"))
    assert len(paths) == 10
    for path in paths:
        assert detect_survey(fits.getheader(path), str(path)).name == "des"


@pytest.mark.real
def test_a_real_acs_header_is_that_of_hst(real_data):
    path = real_data / "hst_galaxies/147246.0_150.416558_1.998697_masknoise.fits"
    assert detect_survey(fits.getheader(path), str(path)).name == "hst"


@pytest.mark.real
def test_a_real_header_stripped_of_its_origin_is_an_error(real_data):
    path = real_data / "hsc_cosmos/Cut_HSC.fits"
    with pytest.raises(KeyError, match=r"Cut_HSC\.fits: no survey is known"):
        detect_survey(fits.getheader(path), str(path))


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"TELESCOP": "HST"},
        # an SDSS frame in counts has another zero point
        {"ORIGIN": "SDSS", "TELESCOP": "2.5m", "BUNITS": "ADUs"},
        # so has a single HSC exposure without its zero point
        {"INSTRUME": "Hyper Suprime-Cam", "FILTER": "HSC-I"},
    ],
)
def test_an_unknown_header_names_file_keys_and_remedy(header):
    with pytest.raises(KeyError, match=r"a\.fits.*no survey.*no TILENAME.*name the survey") as info:
        detect_survey(header, "a.fits")
    for key, value in header.items():
        if key != "BUNITS":
            assert f"{key} = {value!r}" in str(info.value)


def test_a_header_of_two_surveys_is_ambiguous():
    both = {"TELESCOP": "JWST", "TILENAME": "DES0314-1958"}
    with pytest.raises(KeyError, match=r"a\.fits.*surveys des and jwst"):
        detect_survey(both, "a.fits")


def test_a_configured_survey_that_the_header_contradicts_is_an_error():
    hst = {"TELESCOP": "HST", "INSTRUME": "WFC3"}
    with pytest.raises(KeyError, match=r"a\.fits: the config names survey hsc.*TELESCOP = 'HST'"):
        survey_of("hsc", hst, "a.fits")
    assert survey_of("hst", hst, "a.fits").name == "hst"
    assert survey_of("hsc", {"OBJECT": "x"}, "a.fits").name == "hsc"
    assert survey_of("auto", hst, "a.fits").name == "hst_wfc3"


@pytest.mark.parametrize("name", sorted(load_surveys()))
def test_every_filter_of_every_survey_has_a_psf_and_a_zero_point(name):
    survey = load_surveys()[name]
    assert survey.filters
    for filter_name in survey.filters:
        assert 0.02 < survey.psf_fwhm(filter_name) < 2
        if survey.zero_point_ab:
            assert -1 < survey.zero_point(filter_name) < 32
    assert survey.zero_point_ab or name in ("hst", "jwst")
    assert survey.source["saturation"]


def test_every_filter_that_is_no_other_survey_s_belongs_to_one():
    used = {one for survey in load_surveys().values() for one in survey.filters}
    assert used <= {known.name for known in load_filters().values()}


#: AB magnitude of one count (one second): published zero points and header values.
ONE_COUNT = [
    ("hsc", "i", {}, 27.0),
    ("hsc", "i", {"FLUXMAG0": 63095734448.0194}, 27.0),
    # a single exposure has its own scale
    ("hsc", "i", {"FLUXMAG0": 10**12.4}, 31.0),
    ("sdss", "SDSS_R", {"BUNIT": "nanomaggy"}, 22.5),
    ("kids", "KIDS_R", {}, 0.0),
    ("des", "DES_I", {"MAGZERO": 30.0, "BUNIT": "electrons"}, 30.0),
    ("euclid", "EUC_VIS", {}, 23.9),
    ("euclid", "EUC_VIS", {"MAGZERO": 24.6}, 24.6),
    ("hst_wfc3", "F160W", {}, 25.9463),
    # 1 MJy/sr on (0.031 arcsec)^2 is 22.59 nJy
    ("jwst", "F150W", {"BUNIT": "MJy/sr", "PIXAR_SR": (0.031 / 206264.806) ** 2}, 28.015),
    # WFC3/IR F160W: PHOTFLAM and PHOTPLAM of public drizzled images
    ("hst_wfc3", "F160W",
     {"PHOTFLAM": 1.9275602e-20, "PHOTPLAM": 15369.176, "BUNIT": "ELECTRONS/S"}, 25.946),
]  # fmt: skip


@pytest.mark.parametrize(("name", "filter_name", "header", "zero_point"), ONE_COUNT)
def test_a_star_of_known_magnitude_comes_back_through_njy(name, filter_name, header, zero_point):
    njy = njy_per_pixel_unit(header, load_surveys()[name], filter_name, "a.fits")
    for magnitude in (17.0, 22.3, 26.0):
        counts = 10 ** (0.4 * (zero_point - magnitude))
        assert float(magnitude_from_njy(counts * njy)) == pytest.approx(magnitude, abs=2e-3)


def test_an_hst_star_of_known_magnitude_comes_back_through_its_header():
    # ACS F814W: 25.947 mag for this PHOTFLAM by the ACS zero-point calculator
    header = hst_header((9, 9), "F814W")
    njy = njy_per_pixel_unit(header, load_surveys()["hst"], "F814W", "a.fits")
    assert float(magnitude_from_njy(njy)) == pytest.approx(25.947, abs=1e-3)


def cutouts(folder, survey, **more):
    return CutoutsDataset(
        reader="cutouts",
        images=[str(folder / "*.fits")],
        bands=["DES_I"],
        **common(survey, "search"),
        **more,
    )


def write(folder, name, **cards):
    header = tan_header((40, 40), 0.263)
    header.update(cards)
    fits.PrimaryHDU(noise_image((40, 40)), header).writeto(folder / name)


def test_cutouts_of_survey_auto_take_the_survey_of_each_file(tmp_path):
    write(tmp_path, "a.fits", TILENAME="DES0314-1958", MAGZERO=30.0)
    write(tmp_path, "b.fits", TELESCOP="2.5m", ORIGIN="SDSS", BUNIT="nanomaggy")
    write(tmp_path, "c.fits")
    read, rejected = read_all(cutouts(tmp_path, "auto"), tmp_path)
    assert [one.metadata.survey for one in read] == ["des", "sdss"]
    # the same counts: the zero points differ by 7.5 mag
    ratio = np.abs(read[1].image[2]).max() / np.abs(read[0].image[2]).max()
    assert ratio == pytest.approx(10 ** (0.4 * 7.5), rel=1e-4)
    assert "c.fits: no survey is known" in rejected[0].reason


def test_bands_of_one_object_from_two_telescopes_are_refused(tmp_path):
    header = tan_header((40, 40), 0.263)
    des, sdss = header.copy(), header.copy()
    des.update(TILENAME="DES0314-1958", MAGZERO=30.0)
    sdss.update(ORIGIN="SDSS", BUNIT="nanomaggy")
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(noise_image((40, 40)), one) for one in (des, sdss))]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    sample = cutouts(tmp_path, "auto").model_copy(update={"bands": ["DES_R", "SDSS_I"]})
    _, rejected = read_all(sample, tmp_path)
    assert "its bands come from des and sdss" in rejected[0].reason


def test_cutouts_of_another_survey_than_configured_are_rejected(tmp_path):
    write(tmp_path, "a.fits", TILENAME="DES0314-1958", MAGZERO=30.0)
    read, rejected = read_all(cutouts(tmp_path, "hsc"), tmp_path)
    assert not read
    assert "the config names survey hsc" in rejected[0].reason


def test_auto_is_for_readers_of_fits_headers_only(tmp_path):
    galaxies = GalaxiesMLDataset(
        reader="galaxiesml", files=["a.hdf5"], **common("auto", "pretrain")
    )
    grid = Grid(psf_fwhm_arcsec=1.0, pixel_scale_arcsec=0.2)
    grids = dict.fromkeys(galaxies.grids, grid)
    (problem,) = check_datasets({"set": galaxies}, grids, Demo())
    assert problem.startswith("datasets.set.survey: auto works with the readers cutouts")
    automatic = cutouts(tmp_path, "auto")
    assert not check_datasets({"set": automatic}, grids, Demo())
    assert not check_grids(grids, {"set": automatic})
    assert automatic.telescope == "auto"
