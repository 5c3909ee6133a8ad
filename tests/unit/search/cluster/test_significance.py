"""Random catalogues that match in magnitude, and p-values that mean what they say."""

import numpy as np
import pytest

from lenshunt.search.cluster.significance import magnitude_strata, matched_subsets, p_value


@pytest.fixture
def magnitude():
    values = np.random.default_rng(0).uniform(18, 26, 300)
    values[::25] = np.nan
    return values


def test_subsets_have_the_candidates_magnitudes_and_no_object_twice(magnitude):
    stratum = magnitude_strata(magnitude)
    chosen = np.zeros(300, dtype=bool)
    chosen[[0, 3, 10, 77, 140, 141, 142, 250, 275]] = True
    subsets = matched_subsets(stratum, chosen, 50, seed=1)
    wanted = np.sort(stratum[chosen])
    for subset in subsets:
        assert len(set(subset)) == chosen.sum()
        assert np.array_equal(np.sort(stratum[subset]), wanted)


def test_objects_without_a_magnitude_are_their_own_stratum(magnitude):
    assert set(magnitude_strata(magnitude)[::25]) == {0}
    assert 0 not in magnitude_strata(magnitude)[1:25]


def test_the_same_seed_draws_the_same_subsets(magnitude):
    stratum, chosen = magnitude_strata(magnitude), np.arange(300) < 20
    one, two, other = (matched_subsets(stratum, chosen, 5, seed) for seed in (4, 4, 5))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_p_values_of_random_candidates_are_uniform(magnitude):
    random = np.random.default_rng(7)
    distance, stratum = random.exponential(5.0, 300), magnitude_strata(magnitude)
    p = []
    for seed in range(150):
        chosen = np.zeros(300, dtype=bool)
        chosen[random.choice(300, 15, replace=False)] = True
        subsets = matched_subsets(stratum, chosen, 99, seed)
        p.append(p_value(np.median(distance[chosen]), np.median(distance[subsets], axis=1)))
    assert np.mean(p) == pytest.approx(0.5, abs=0.08)
    assert np.mean(np.array(p) <= 0.05) < 0.12


def test_a_p_value_is_never_zero():
    assert p_value(0.0, np.ones(99)) == 0.01
    assert p_value(2.0, np.ones(99)) == 1.0


def test_a_distance_to_no_curve_has_no_p_value():
    assert np.isnan(p_value(np.nan, np.full(99, np.nan)))
