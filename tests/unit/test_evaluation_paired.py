"""Paired bootstrap of rankings: against sklearn, weights and all, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from lenshunt.evaluation.curves import false_positives_allowed, true_positives_at
from lenshunt.evaluation.paired import (
    QUANTITIES,
    SystemDraws,
    paired_bootstrap,
    ranked,
    ranking_quantities,
)


def scored(seed: int, n: int = 300, levels: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores of n objects; scores rounded to `levels` values tie."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) < n // 3
    scores = rng.normal(size=n) + labels
    return labels, scores if levels is None else np.round(scores * levels / 6)


def quantities(labels, scores, weights=None, rate=0.1) -> dict[str, float]:
    weights = np.ones(len(labels), int) if weights is None else weights
    found = ranking_quantities(ranked(labels, scores), weights[None], rate)[0]
    return dict(zip(QUANTITIES, found.tolist(), strict=True))


@pytest.mark.parametrize("levels", [None, 40, 8, 2])
def test_resampled_areas_are_those_of_sklearn_on_the_repeated_objects(levels):
    labels, scores = scored(1, levels=levels)
    weights = SystemDraws(labels, np.arange(len(labels)), seed=2).weights(5)
    for drawn in weights:
        found = quantities(labels, scores, drawn)
        again = np.repeat(np.arange(len(labels)), drawn)
        y, s = labels[again], scores[again]
        assert found["auroc"] == pytest.approx(roc_auc_score(y, s), abs=1e-12)
        assert found["partial_auc"] == pytest.approx(roc_auc_score(y, s, max_fpr=0.1), abs=1e-12)
        allowed = false_positives_allowed(0.1, int((~y).sum()))
        assert found["tpr"] == true_positives_at(s[y], s[~y], allowed) / y.sum()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=40))
def test_any_scores_with_any_ties_agree_with_sklearn(objects):
    labels = np.array([label for label, _ in objects])
    scores = np.array([score for _, score in objects], float)
    if labels.all() or not labels.any():
        labels[0] = not labels[0]
    found = quantities(labels, scores)
    assert found["auroc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    wanted = roc_auc_score(labels, scores, max_fpr=0.1)
    assert found["partial_auc"] == pytest.approx(wanted, abs=1e-12)


def test_by_hand_a_tie_is_half_a_pair_and_no_true_positive():
    # Lenses at 3, 2 and 1, non-lenses at 2 and 0: the lens at 2 ties with a non-lens.
    labels = np.array([True, True, True, False, False])
    found = quantities(labels, np.array([3.0, 2.0, 1.0, 2.0, 0.0]), rate=0.1)
    # Of six pairs four are in order, one is a tie, and one is wrong.
    assert found["auroc"] == pytest.approx(4.5 / 6)
    assert found["tpr"] == pytest.approx(1 / 3)


def test_chance_is_one_half_and_perfection_one():
    labels = np.arange(40) < 20
    assert quantities(labels, np.zeros(40)) == {"partial_auc": 0.5, "tpr": 0.0, "auroc": 0.5}
    assert quantities(labels, labels * 1.0) == pytest.approx(dict.fromkeys(QUANTITIES, 1.0))


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
    labels, scores = scored(4)
    runs = {("a", 1): scores, ("b", 1): scores[::-1].copy(), ("same", 1): 2 * scores + 1}
    systems = np.arange(len(labels))
    plain, drawn = paired_bootstrap(labels, systems, runs, 0.1, bootstraps=70, seed=5)
    assert drawn["a", 1].shape == (70, len(QUANTITIES))
    np.testing.assert_array_equal(drawn["a", 1], drawn["same", 1])
    np.testing.assert_array_equal(plain["a", 1], plain["same", 1])
    _, alone = paired_bootstrap(labels, systems, {("a", 1): scores}, 0.1, 70, seed=5)
    np.testing.assert_array_equal(alone["a", 1], drawn["a", 1])
