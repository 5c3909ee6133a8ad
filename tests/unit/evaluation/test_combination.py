"""Ways to combine calibrated log odds: known best combinations, honest folds, when not to fit."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit as log_odds

from lenshunt.core.ranking_metrics import partial_auc
from lenshunt.evaluation.combination import (
    FITS,
    bayes,
    cross_fitted,
    mean,
    stacking,
    system_folds,
    why_not_fitted,
)


def names_of(n):
    return np.array([f"system-{i:05d}" for i in range(n)])


def calibrated_members(n, separations, correlation, seed=0, prior=0.5):
    """Labels, log odds of members that are each calibrated, and the true log odds of all.

    Scores are normal given the class, of unit width, `separations` [k] apart, with `correlation`
    [k, k]: the log odds of member j alone are separations[j] x score + prior's, of all together
    (correlation^-1 separations) . scores + prior's.
    """
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < prior).astype(int)
    noise = rng.multivariate_normal(np.zeros(len(separations)), correlation, n)
    scores = noise + np.outer(labels - 0.5, separations)
    truth = scores @ np.linalg.solve(correlation, separations) + log_odds(prior)
    return labels, scores * separations + log_odds(prior), truth


@pytest.mark.parametrize("fit", [bayes, stacking])
def test_log_odds_of_independent_members_add_less_the_prior_counted_twice(fit):
    prior = 0.2
    labels, members, truth = calibrated_members(40000, np.array([1.5, 1.0]), np.eye(2), prior=prior)
    found = fit(members, labels, names_of(len(labels)))
    assert found.weights == pytest.approx([1, 1], rel=0.05)
    # Each member counts the prior once: the sum of both counts it once too often.
    assert found.intercept == pytest.approx(-log_odds(prior), abs=0.1)
    assert found.logits(members) == pytest.approx(truth, abs=0.5)


def test_bayes_counts_what_two_identical_members_say_once():
    labels, members, truth = calibrated_members(40000, np.array([1.5]), np.eye(1))
    found = bayes(np.c_[members, members], labels, names_of(len(labels)))
    assert found.weights == pytest.approx([0.5, 0.5], rel=0.05)
    assert found.details["members_effective"] == pytest.approx(1, rel=0.05)
    assert found.logits(np.c_[members, members]) == pytest.approx(truth, abs=0.3)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.8])
def test_equally_correlated_members_are_worth_the_published_number(correlation):
    # k / (1 + (k - 1) rho) independent ones: Clemen & Winkler 1985, Operations Research 33, 427.
    k = 4
    matrix = np.full((k, k), correlation) + (1 - correlation) * np.eye(k)
    labels, members, _ = calibrated_members(40000, np.full(k, 1.5), matrix)
    found = bayes(members, labels, names_of(len(labels)))
    worth = k / (1 + (k - 1) * correlation)
    assert found.details["members_effective"] == pytest.approx(worth, rel=0.05)


def three_alike_and_one(n, seed):
    matrix = np.eye(4)
    matrix[:3, :3] = 0.95
    np.fill_diagonal(matrix, 1)
    return calibrated_members(n, np.full(4, 1.5), matrix, seed=seed)


def test_three_alike_members_do_not_outvote_an_independent_one():
    labels, members, _ = three_alike_and_one(300, 0)
    tested, unseen, truth = three_alike_and_one(40000, 1)
    best = partial_auc(tested, truth)
    found = {
        name: partial_auc(tested, fit(members, labels, names_of(300)).logits(unseen))
        for name, fit in FITS.items()
    }
    assert best - found["mean"] > 0.02
    assert best - found["bayes"] < 0.005
    assert best - found["stacking"] < 0.01


def test_a_member_that_knows_nothing_gets_little_weight():
    labels, members, _ = calibrated_members(3000, np.array([2.0]), np.eye(1))
    noise = np.random.default_rng(9).normal(size=(3000, 1))
    for fit in (bayes, stacking):
        weights = fit(np.c_[members, noise], labels, names_of(3000)).weights
        assert abs(weights[1]) < 0.15 * weights[0]


def test_weights_by_bayes_are_never_negative():
    labels, members, _ = calibrated_members(
        60, np.full(8, 1.0), np.full((8, 8), 0.9) + 0.1 * np.eye(8)
    )
    assert (bayes(members, labels, names_of(60)).weights >= 0).all()


def test_folds_keep_systems_together_and_have_both_classes():
    rng = np.random.default_rng(3)
    systems = np.array([f"s{i}" for i in rng.integers(0, 40, 400)])
    labels = np.array([int(int(name[1:]) < 10) for name in systems])
    folds = system_folds(systems, labels)
    assert pd.Series(folds).groupby(systems).nunique().max() == 1
    for fold in range(5):
        assert set(labels[folds == fold]) == {0, 1}
    order = rng.permutation(400)
    assert (system_folds(systems[order], labels[order]) == folds[order]).all()


def test_folds_of_too_few_systems_are_refused():
    with pytest.raises(ValueError, match="3 systems of label 1 cannot fill 5 folds"):
        system_folds(names_of(20), np.r_[np.ones(3, int), np.zeros(17, int)])


def test_a_cross_fitted_score_never_saw_another_image_of_its_system():
    # Labels without any relation to the scores, each system in eight equal files: a fit that
    # sees the system can learn it by heart, an honest one cannot know.
    rng = np.random.default_rng(0)
    systems, labels = np.repeat(names_of(40), 8), np.repeat(np.arange(40) % 2, 8)
    members = np.repeat(rng.normal(size=(40, 20)), 8, axis=0)
    seen = stacking(members, labels, np.array([f"file-{i}" for i in range(320)])).logits(members)
    honest = cross_fitted(stacking, members, labels, systems)
    assert partial_auc(labels, seen) > 0.75
    assert partial_auc(labels, honest) < 0.6


@pytest.mark.parametrize(
    "lenses, nonlenses, reason",
    [(9, 50, "9 lens systems"), (50, 9, "9 non-lens systems"), (10, 10, "")],
)
def test_fewer_than_ten_systems_of_a_class_fit_nothing(lenses, nonlenses, reason):
    labels = np.r_[np.ones(lenses, int), np.zeros(nonlenses, int)]
    members = np.random.default_rng(0).normal(size=(len(labels), 2))
    found = why_not_fitted(members, labels, names_of(len(labels)), ["a-1", "b-1"])
    assert found.startswith(reason)
    assert bool(found) == bool(reason)


def test_many_files_of_one_lens_are_one_lens():
    labels = np.r_[np.ones(40, int), np.zeros(40, int)]
    systems = np.r_[np.repeat(["only"], 40), names_of(40)]
    members = np.random.default_rng(0).normal(size=(80, 2))
    assert "1 lens systems" in why_not_fitted(members, labels, systems, ["a-1", "b-1"])


def test_a_member_that_says_the_same_of_all_is_named():
    labels = np.arange(40) % 2
    members = np.c_[np.random.default_rng(0).normal(size=40), np.zeros(40)]
    assert why_not_fitted(members, labels, names_of(40), ["a-1", "b-1"]).startswith("b-1 gives all")


def test_the_mean_weighs_all_alike():
    assert mean(np.eye(3), np.zeros(3), names_of(3)).weights == pytest.approx([1 / 3] * 3)
