"""Bootstraps: who is drawn with whom, and that they equal plain loops in distribution."""

import numpy as np
import pytest

from lenshunt.evaluation.bootstrap import (
    QUANTITIES,
    ObjectDraws,
    SystemDraws,
    bootstrap_interval,
    bootstrap_metrics,
    paired_bootstrap,
    resampled,
)

#: First resamples of seed 1, and an interval of 500.
OBJECTS = [[0, 2, 1, 0, 0, 0, 4], [0, 3, 0, 0, 0, 2, 2]]
SYSTEMS = [[1, 0, 2, 0, 2, 1, 1], [1, 0, 2, 0, 3, 0, 1]]
ROWS = (6.82375, 12.0025)


def test_systems_come_together_and_kinds_keep_their_numbers():
    # Ten lenses with their own hosts, five lone lenses, seven lone non-lenses.
    systems = np.r_[np.arange(10), np.arange(10), np.arange(100, 112)]
    labels = np.r_[np.ones(10, bool), np.zeros(10, bool), np.arange(12) < 5]
    drawn = SystemDraws(labels, systems, seed=3).weights(200)
    np.testing.assert_array_equal(drawn[:, :10], drawn[:, 10:20])
    for part, total in ((slice(0, 10), 10), (slice(20, 25), 5), (slice(25, 32), 7)):
        assert (drawn[:, part].sum(axis=1) == total).all()
    assert np.abs(drawn.mean(axis=0) - 1).max() < 0.4


def test_both_models_see_the_same_resamples_whatever_else_is_compared():
    rng = np.random.default_rng(4)
    labels = np.arange(300) < 100
    scores = rng.normal(size=300) + labels
    runs = {("a", 1): scores, ("b", 1): scores[::-1].copy(), ("same", 1): 2 * scores + 1}
    systems = np.arange(len(labels))
    plain, drawn = paired_bootstrap(labels, systems, runs, 0.1, bootstraps=70, seed=5)
    assert drawn["a", 1].shape == (70, len(QUANTITIES))
    np.testing.assert_array_equal(drawn["a", 1], drawn["same", 1])
    np.testing.assert_array_equal(plain["a", 1], plain["same", 1])
    _, alone = paired_bootstrap(labels, systems, {("a", 1): scores}, 0.1, 70, seed=5)
    np.testing.assert_array_equal(alone["a", 1], drawn["a", 1])


@pytest.mark.parametrize("decimals", [None, 1])
def test_the_bootstrap_equals_a_plain_loop_in_distribution(decimals):
    """Same mean and width as resampling by hand, with and without ties."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(3)
    labels = np.repeat([True, False], [120, 180])
    scores = rng.normal(size=300) + labels
    if decimals is not None:
        scores = scores.round(decimals)
    ours = bootstrap_metrics(labels, scores, 3000, 1, 0.1)
    lens, nonlens = scores[labels], scores[~labels]
    plain = {"auroc": [], "auprc": [], "tpr": []}
    for _ in range(300):
        a, b = rng.choice(lens, len(lens)), rng.choice(nonlens, len(nonlens))
        y, s = np.r_[np.ones(len(a)), np.zeros(len(b))], np.r_[a, b]
        plain["auroc"].append(roc_auc_score(y, s))
        plain["auprc"].append(average_precision_score(y, s))
        plain["tpr"].append(np.mean(a > np.sort(b)[::-1][18]))
    for name, values in plain.items():
        width = np.std(values)
        assert np.mean(ours[name]) == pytest.approx(np.mean(values), abs=0.25 * width)
        assert np.std(ours[name]) == pytest.approx(width, rel=0.15)


def test_the_auroc_interval_covers_the_truth_about_as_often_as_it_says():
    from scipy.stats import norm

    rng = np.random.default_rng(4)
    truth, inside = norm.cdf(1.5 / np.sqrt(2)), 0
    labels = np.repeat([True, False], 80)
    for i in range(200):
        auroc = bootstrap_metrics(labels, rng.normal(size=160) + 1.5 * labels, 200, i, 0.1)["auroc"]
        low, high = np.quantile(auroc, (0.025, 0.975))
        inside += low <= truth <= high
    assert 0.88 <= inside / 200 <= 0.99


@pytest.mark.slow
def test_the_bootstrap_of_systems_equals_a_plain_loop_in_distribution():
    """Systems of a lens and its own host, of several lenses, and of one object each."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(7)
    labels = np.repeat([True, False], [150, 250])
    systems = np.r_[np.arange(150) // 3 * 3, np.arange(0, 200, 2), np.arange(1000, 1150)]
    scores = (rng.normal(size=400) + labels + rng.normal(size=2000)[systems]).round(1)
    ours = bootstrap_metrics(labels, scores, 3000, 1, 0.1, systems)
    both = np.intersect1d(systems[labels], systems[~labels])
    kinds = [both, np.setdiff1d(systems[labels], both), np.setdiff1d(systems[~labels], both)]
    rows = {system: np.flatnonzero(systems == system) for system in np.unique(systems)}
    plain = {"auroc": [], "auprc": [], "tpr": []}
    for _ in range(400):
        drawn = np.concatenate([rows[s] for kind in kinds for s in rng.choice(kind, len(kind))])
        y, s = labels[drawn], scores[drawn]
        plain["auroc"].append(roc_auc_score(y, s))
        plain["auprc"].append(average_precision_score(y, s))
        plain["tpr"].append(np.mean(s[y] > np.sort(s[~y])[::-1][int(0.1 * (~y).sum() + 1e-9)]))
    for name, values in plain.items():
        width = np.std(values)
        assert np.mean(ours[name]) == pytest.approx(np.mean(values), abs=0.25 * width)
        assert np.std(ours[name]) == pytest.approx(width, rel=0.15)


def test_strata_keep_their_sizes_under_resampling():
    values = np.repeat([0.0, 1.0], [5, 95])
    assert bootstrap_interval(values, lambda v: float(v.mean()), 0, strata=values) == (0.95, 0.95)


def test_streams_of_random_numbers_stay_those_of_published_intervals():
    lens = np.arange(7) < 3
    weights = ObjectDraws(3, 4, seed=1).weights(2)
    np.testing.assert_array_equal(weights, OBJECTS)
    weights = SystemDraws(lens, np.array([0, 1, 2, 3, 4, 5, 0]), seed=1).weights(2)
    np.testing.assert_array_equal(weights, SYSTEMS)
    low, high = bootstrap_interval(np.arange(20.0), lambda v: float(v.mean()), 1)
    assert (low, high) == pytest.approx(ROWS, abs=1e-12)


def test_every_statistic_sees_the_same_resamples_as_many_as_asked_for():
    draws = ObjectDraws(300, 40_000, seed=1)
    found = resampled(draws, {"a": lambda w: w[:, :5], "b": lambda w: 2 * w[:, :5]}, 7)
    assert found["a"].shape == (7, 5)
    np.testing.assert_array_equal(2 * found["a"], found["b"])
    assert len(np.unique(found["a"], axis=0)) > 1
