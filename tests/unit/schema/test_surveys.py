"""The filter table, the survey table and the PSFs of surveys."""

import pytest

from lenshunt.schema import (
    SLOTS,
    filter_named,
    load_filters,
    load_surveys,
    slot_index,
    survey_named,
    survey_psf,
)
from lenshunt.schema.surveys import _survey

SLOT_FILTERS = {
    "g": "u g SDSS_U SDSS_G HSC-G DES_G KIDS_G F390W F435W F475W F475X",
    "r": "r SDSS_R HSC-R2 DES_R KIDS_R F555W F600LP F606W",
    "i": "i SDSS_I HSC-I DES_I KIDS_I F775W F814W VIS EUC_VIS",
    "z": "z SDSS_Z HSC-Z DES_Z F850LP F105W EUC_Y",
    "y": "y Y HSC-Y DES_Y F110W F125W F140W F160W J H EUC_J EUC_H F115W F150W F200W",
}


@pytest.mark.parametrize("slot", SLOTS)
def test_every_filter_of_the_specification_takes_its_slot(slot):
    for name in SLOT_FILTERS[slot].split():
        assert SLOTS[slot_index(name)] == slot, name


def test_only_ultraviolet_filters_are_fallbacks():
    fallbacks = {f.name for f in load_filters().values() if f.fallback}
    assert fallbacks == {"u", "SDSS_U", "DES_U", "KIDS_U", "F300W", "F336W"}
    assert all(f.wavelength_um < 0.39 for f in load_filters().values() if f.fallback)


def test_every_filter_names_the_source_of_its_wavelength():
    assert all(f.source and 0.2 < f.wavelength_um < 2.5 for f in load_filters().values())


def test_an_unknown_filter_is_an_error_that_names_file_and_remedy():
    with pytest.raises(KeyError, match=r"a\.fits.*F999W.*filters\.yaml"):
        filter_named("F999W", "a.fits")


@pytest.mark.parametrize(
    ("name", "scale", "filter_name", "zero_point"),
    [
        ("hsc", 0.168, "g", 27.0),
        ("sdss", 0.396, "SDSS_R", 22.5),
        ("kids", 0.2, "KIDS_R", 0.0),
        ("des", 0.263, "DES_Z", 30.0),
        ("bologna_ground", 0.2, "SDSS_I", 0.0),
        ("bologna_space", 0.1, "EUC_VIS", 0.0),
    ],
)
def test_surveys_have_the_published_scales_and_zero_points(name, scale, filter_name, zero_point):
    survey = survey_named(name)
    assert survey.pixel_scale_arcsec == scale
    assert survey.zero_point(filter_name) == zero_point


def test_each_number_of_each_survey_has_a_source():
    for survey in load_surveys().values():
        assert {"pixel_scale_arcsec", "zero_point_ab", "psf_fwhm_arcsec"} <= set(survey.source)


def test_a_survey_without_a_source_for_a_number_is_refused():
    entry = {"pixel_scale_arcsec": 1, "zero_point_ab": {}, "psf_fwhm_arcsec": {}, "moffat_beta": 3}
    entry["filters"] = ["g"]
    with pytest.raises(ValueError, match="no source for"):
        _survey("x", {**entry, "sources": {"moffat_beta": "y"}}, "surveys.yaml")


def test_an_unknown_survey_is_an_error_and_never_a_default():
    with pytest.raises(KeyError, match=r"unknown survey 'lsst'.*surveys\.yaml"):
        survey_named("lsst")


def test_hst_has_no_zero_point_outside_the_header():
    with pytest.raises(KeyError, match="no zero_point_ab for filter F814W"):
        survey_named("hst").zero_point("F814W")


def test_the_seeing_of_the_header_replaces_the_typical_psf():
    sdss = survey_named("sdss")
    sharp = survey_psf(sdss, "SDSS_R", 0.396, fwhm_arcsec=0.9)
    typical = survey_psf(sdss, "SDSS_R", 0.396)
    assert sharp.max() > 1.5 * typical.max()
