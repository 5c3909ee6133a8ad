"""The population of lenses: consistent physics, published relations, the survey's selection."""

import numpy as np
import pytest
from published_surveys import SURVEYS

from lenshunt.core.cosmology import fine_distances
from lenshunt.scenes.canvas import Canvas
from lenshunt.scenes.demo.look_alikes import NON_LENSES, paint_scene
from lenshunt.scenes.population import (
    Deflectors,
    Selection,
    draw_population,
)
from lenshunt.scenes.population_priors import (
    absolute_v,
    apparent_i,
    dispersion_function,
    draw_axis_ratio,
    draw_source_redshift,
    early_type_light,
    log_spectrum,
)
from lenshunt.scenes.seds import I_BAND_UM, log_flux
from lenshunt.schema import njy_from_magnitude


@pytest.fixture(scope="module")
def lsst():
    return draw_population(np.random.default_rng(1), 4000, SURVEYS["lsst"])


def test_the_dispersion_function_holds_its_published_number_of_galaxies():
    sigma = np.linspace(0.5, 1000.0, 20000)
    total = np.trapezoid(dispersion_function(sigma), sigma)
    assert total == pytest.approx(8.0e-3 * 0.7**3, rel=1e-3)


def test_early_types_follow_the_published_relation_between_sigma_and_magnitude():
    sigma = np.full(20000, 220.0)
    magnitude, radius = early_type_light(np.random.default_rng(2), sigma)
    mean = magnitude.mean()
    assert -2.97 - 0.37 * mean - 0.006 * mean**2 == pytest.approx(np.log10(220.0), abs=2e-3)
    assert np.median(radius) == pytest.approx(3.5, abs=0.3)


def test_spectra_of_many_galaxies_are_those_of_one():
    sed, z = np.array([0.0, 0.4, 1.7, 3.0]), np.array([0.3, 0.8, 2.1, 4.5])
    one = [log_flux(a, b, np.array([I_BAND_UM]))[0] for a, b in zip(sed, z, strict=True)]
    assert log_spectrum(sed, z, I_BAND_UM) == pytest.approx(np.array(one))


def test_a_k_correction_there_and_back_changes_nothing():
    sed, z = np.zeros(3), np.array([0.1, 0.5, 1.0])
    apparent = apparent_i(np.full(3, -22.0), sed, z)
    colour = absolute_v(apparent, sed, z) + 22.0
    # V - r of an elliptical, the same at every redshift
    assert np.ptp(colour) < 1e-9
    assert 0.0 < colour[0] < 0.6


def test_source_redshifts_are_those_of_cosmos():
    rng = np.random.default_rng(4)
    medians = [
        np.median(draw_source_redshift(rng, np.full(20000, m))) for m in (22.25, 23.25, 24.75)
    ]
    assert medians == pytest.approx([0.67, 0.84, 1.07], abs=0.03)


def test_massive_galaxies_are_rounder():
    rng = np.random.default_rng(5)
    light = draw_axis_ratio(rng, np.full(20000, 130.0))
    heavy = draw_axis_ratio(rng, np.full(20000, 350.0))
    assert light.min() > 0.2
    assert heavy.max() < 1.0
    assert np.median(heavy) > np.median(light) + 0.08


def test_every_row_obeys_the_lens_equation(lsst):
    expected = fine_distances().einstein_radius(
        *(lsst[name].to_numpy() for name in ("sigma_km_s", "z_lens", "z_source"))
    )
    assert lsst["theta_e"].to_numpy() == pytest.approx(expected)
    assert (lsst["z_source"] > lsst["z_lens"]).all()
    offset = np.hypot(lsst["source_x"], lsst["source_y"])
    assert (offset < lsst["theta_e"]).all()
    assert lsst.notna().all(axis=None)


def test_the_survey_shows_only_what_it_can_see(lsst):
    seeing = lsst["arc_seeing"]
    assert (lsst["arc_snr"] > 20).all()
    assert (lsst["magnification"] > 3).all()
    assert (lsst["theta_e"] ** 2 > lsst["source_radius"] ** 2 + (seeing / 2) ** 2).all()
    assert (lsst["magnification"] * lsst["source_radius"] > seeing).all()


def test_an_lsst_population_looks_like_the_forecast_of_collett_2015(lsst):
    """Medians of 80 rows of his table: z_l 0.49, z_s 2.09, theta_E 1.17, sigma 257 km/s."""
    median = lsst.median()
    assert median["z_lens"] == pytest.approx(0.49, abs=0.10)
    assert median["z_source"] == pytest.approx(2.09, abs=0.25)
    assert median["theta_e"] == pytest.approx(1.17, abs=0.20)
    assert median["sigma_km_s"] == pytest.approx(257.0, abs=25.0)


def test_sharper_surveys_find_smaller_lenses():
    rng = np.random.default_rng(6)
    euclid = draw_population(rng, 500, SURVEYS["euclid"])
    hsc = draw_population(rng, 500, SURVEYS["hsc"])
    assert euclid["theta_e"].median() < 0.9 * hsc["theta_e"].median()


def test_without_selection_the_cross_section_weighs_the_lenses():
    """phi(sigma) sigma^4: mean of sigma^2 of the lenses by Gamma functions, to 2 %."""
    sky = draw_population(np.random.default_rng(7), 20000, None, deflectors=Deflectors(0.5, 0.0))
    sigma = np.linspace(100.0, 450.0, 4000)
    weight = dispersion_function(sigma) * sigma**4
    expected = (weight * sigma**2).sum() / weight.sum()
    assert (sky["sigma_km_s"] ** 2).mean() == pytest.approx(expected, rel=0.02)


def test_the_same_seed_draws_the_same_lenses():
    first, second = (
        draw_population(np.random.default_rng(8), 50, SURVEYS["hsc"]) for _ in range(2)
    )
    assert first.equals(second)


def test_a_selection_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match=r"seeing of .* lower snr_min, allow more Einstein radii"):
        draw_population(np.random.default_rng(9), 5, SURVEYS["des"], Selection(snr_min=1e5))


def test_the_sky_noise_gives_the_depth_of_a_point_source():
    survey = SURVEYS["hsc"]
    psf_area = 4 * np.pi * (survey.seeing_arcsec / 2.3548) ** 2
    limit = 5 * survey.sky_sigma_njy * np.sqrt(psf_area)
    assert limit == pytest.approx(float(njy_from_magnitude(survey.depth_5sigma)), rel=1e-4)


def test_each_kind_of_non_lens_appears_in_the_fraction_asked():
    wanted = dict.fromkeys(NON_LENSES, 0.0) | {"ring": 0.5, "merger": 0.3, "companions": 0.2}
    rng, kinds = np.random.default_rng(10), []
    for _ in range(400):
        canvas = Canvas(21, 0.4, ("SDSS_I",), oversample=1)
        kinds.append(paint_scene(canvas, rng, 0, wanted).kind)
    for kind in NON_LENSES:
        sigma = np.sqrt(wanted[kind] * (1 - wanted[kind]) / 400)
        assert kinds.count(kind) / 400 == pytest.approx(wanted[kind], abs=4 * sigma + 1e-9)
