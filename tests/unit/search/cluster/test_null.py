"""The random catalogues of the cluster check, on catalogues whose answer is known."""

import numpy as np
import pytest
from scipy.stats import ks_1samp, uniform

from lenshunt.search.cluster.significance import magnitude_strata, matched_subsets, p_value

REALISATIONS, DRAWS = 200, 199


def catalogue(random, objects=400, trend=1.5):
    """Magnitudes, and distances to a curve that grow with magnitude: bright members are central."""
    magnitude = random.uniform(18, 26, objects)
    distance = random.exponential(5.0, objects) * np.exp(trend * (magnitude - 22) / 4)
    return magnitude, distance


def p_of(distance, stratum, chosen, seed):
    subsets = matched_subsets(stratum, chosen, DRAWS, seed)
    return p_value(np.median(distance[chosen]), np.median(distance[subsets], axis=1))


def drawn(random, weight, size):
    chosen = np.zeros(weight.size, dtype=bool)
    chosen[random.choice(weight.size, size, replace=False, p=weight / weight.sum())] = True
    return chosen


@pytest.mark.slow
def test_p_values_are_uniform_when_brightness_is_all_that_candidates_share():
    # Candidates are bright, and bright objects are near the curve: not a sign of lensing.
    random = np.random.default_rng(11)
    matched, unmatched = [], []
    for seed in range(REALISATIONS):
        magnitude, distance = catalogue(random)
        stratum = magnitude_strata(magnitude)
        # Equal chances inside a stratum: what the null hypothesis says.
        chosen = drawn(random, np.exp(-0.4 * stratum), 25)
        matched.append(p_of(distance, stratum, chosen, seed))
        unmatched.append(p_of(distance, np.zeros(stratum.size, dtype=int), chosen, seed))
    assert ks_1samp(matched, uniform.cdf).pvalue > 0.01
    assert np.mean(matched) == pytest.approx(0.5, abs=0.06)
    # Without the matching, brightness alone would look like a discovery.
    assert np.mean(np.array(unmatched) < 0.05) > 0.5


def test_p_values_are_small_when_candidates_hug_the_curve():
    random = np.random.default_rng(12)
    p = []
    for seed in range(30):
        magnitude, distance = catalogue(random)
        chosen = drawn(random, np.exp(-distance / 1.5), 20)
        p.append(p_of(distance, magnitude_strata(magnitude), chosen, seed))
    # Bright objects are all close to the curve: a catalogue that drew them says less.
    assert np.median(p) == pytest.approx(1 / (DRAWS + 1))
    assert np.mean(np.array(p) < 0.05) > 0.9


def test_candidates_that_avoid_the_curve_are_not_significant():
    random = np.random.default_rng(13)
    magnitude, distance = catalogue(random)
    chosen = drawn(random, distance**2, 20)
    assert p_of(distance, magnitude_strata(magnitude), chosen, 1) > 0.9


def test_matching_equals_the_magnitude_distribution_to_the_width_of_a_stratum():
    random = np.random.default_rng(14)
    magnitude, _ = catalogue(random)
    stratum = magnitude_strata(magnitude)
    chosen = drawn(random, np.exp(-(magnitude - 18)), 40)
    subsets = matched_subsets(stratum, chosen, 500, 3)
    assert abs(np.mean(magnitude[subsets]) - magnitude[chosen].mean()) < 0.25
    assert magnitude.mean() - magnitude[chosen].mean() > 1.0
