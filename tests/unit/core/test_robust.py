"""Robust standard deviations: of normal noise, with outliers, and beside astropy's."""

import numpy as np
import pytest
from astropy.stats import mad_std

from lenshunt.core.robust import difference_sigma, lower_half_sigma, mad_sigma

NOISE = 5.0 + 2.0 * np.random.default_rng(0).normal(size=(400, 500))


def test_the_mad_sigma_is_astropys_to_the_digits_of_its_factor():
    assert mad_sigma(NOISE) == pytest.approx(mad_std(NOISE), rel=2e-6)


def test_all_of_them_measure_normal_noise():
    assert mad_sigma(NOISE) == pytest.approx(2.0, rel=0.01)
    assert lower_half_sigma(NOISE) == pytest.approx(2.0, rel=0.01)
    for order in (1, 2, 3):
        differences = np.diff(NOISE, order, axis=1)
        assert difference_sigma(differences, order) == pytest.approx(2.0, rel=0.01)


def test_outliers_hardly_move_the_mad_sigma_and_sources_still_less_the_lower_half():
    spoiled = NOISE.copy()
    spoiled[:, :50] += 1e6
    assert mad_sigma(spoiled) == pytest.approx(2.0, rel=0.2)
    assert abs(lower_half_sigma(spoiled) - 2.0) < abs(mad_sigma(spoiled) - 2.0)


def test_second_differences_leave_a_slope_alone():
    slope = NOISE + 3.0 * np.arange(500)
    assert difference_sigma(np.diff(slope, 2, axis=1), 2) == pytest.approx(2.0, rel=0.01)
    assert difference_sigma(np.diff(slope, 1, axis=1), 1) > 2.5


def test_what_is_not_known_makes_the_sigma_unknown():
    assert np.isnan(mad_sigma(np.array([1.0, np.nan, 3.0])))
