"""Metrics of rankings: against scikit-learn, weights, ties and all, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, fbeta_score, roc_auc_score, roc_curve

from lenshunt.core.ranking_metrics import (
    BETA_SQUARED,
    auroc,
    cumulative_counts,
    false_positives_allowed,
    lenses_found,
    partial_auc,
    ranked,
    roc_counts,
    roc_of,
)

#: Objects of both classes whose few scores tie: (lens, score).
SETS = st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=40)


def both_classes(objects) -> tuple[np.ndarray, np.ndarray]:
    lens = np.array([is_lens for is_lens, _ in objects])
    if lens.all() or not lens.any():
        lens[0] = not lens[0]
    return lens, np.array([score for _, score in objects], float)


def scored(seed: int, n: int = 300, levels: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores of n objects; scores rounded to `levels` values tie."""
    rng = np.random.default_rng(seed)
    lens = np.arange(n) < n // 3
    scores = rng.normal(size=n) + lens
    return lens, scores if levels is None else np.round(scores * levels / 6)


@pytest.mark.slow
@pytest.mark.parametrize("levels", [None, 40, 8, 2])
def test_weighted_metrics_are_those_of_sklearn_on_the_repeated_objects(levels):
    lens, scores = scored(1, levels=levels)
    weights = np.random.default_rng(2).integers(0, 4, (5, len(lens)))
    roc = roc_counts(ranked(lens, scores), weights)
    for i, drawn in enumerate(weights):
        again = np.repeat(np.arange(len(lens)), drawn)
        y, s = lens[again], scores[again]
        assert roc.auroc()[i] == pytest.approx(roc_auc_score(y, s), abs=1e-12)
        wanted = roc_auc_score(y, s, max_fpr=0.1)
        assert roc.partial_auc(0.1)[i] == pytest.approx(wanted, abs=1e-12)
        wanted = average_precision_score(y, s)
        assert roc.average_precision()[i] == pytest.approx(wanted, abs=1e-12)
        beta = np.sqrt(BETA_SQUARED)
        wanted = max(fbeta_score(y, s >= threshold, beta=beta) for threshold in np.unique(s))
        assert roc.f_beta()[i] == pytest.approx(wanted, abs=1e-12)
        fpr, tpr, _ = roc_curve(y, s, drop_intermediate=False)
        assert roc.tpr(0.1)[i] == tpr[fpr <= 0.1].max()
        false = np.rint(fpr * (~y).sum())
        assert roc.tpr_within(0)[i] == tpr[false <= 0].max()
        assert roc.tpr_within(9)[i] == tpr[false <= 9].max()


@settings(max_examples=60, deadline=None)
@given(SETS, st.sampled_from([0.01, 0.1, 0.37, 0.9]))
def test_any_scores_with_any_ties_agree_with_sklearn(objects, max_fpr):
    lens, scores = both_classes(objects)
    assert auroc(lens, scores) == pytest.approx(roc_auc_score(lens, scores), abs=1e-12)
    wanted = roc_auc_score(lens, scores, max_fpr=max_fpr)
    assert partial_auc(lens, scores, max_fpr) == pytest.approx(wanted, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(SETS)
def test_negated_scores_have_the_area_that_is_left(objects):
    lens, scores = both_classes(objects)
    assert auroc(lens, -scores) == pytest.approx(1 - auroc(lens, scores), abs=1e-15)
    assert auroc(~lens, scores) == pytest.approx(1 - auroc(lens, scores), abs=1e-15)


@settings(max_examples=60, deadline=None)
@given(SETS, st.sampled_from([np.exp, lambda x: x**3, lambda x: 7 * x - 100, np.arctan]))
def test_a_monotonic_map_of_the_scores_and_the_order_of_the_file_change_no_bit(objects, scale):
    lens, scores = both_classes(objects)
    roc, order = roc_of(lens, scores), np.random.default_rng(0).permutation(len(lens))
    again = roc_of(lens[order], scale(scores)[order])
    for name in ("auroc", "partial_auc", "average_precision", "f_beta"):
        assert getattr(again, name)() == getattr(roc, name)()
    assert again.tpr(0.1) == roc.tpr(0.1)


def test_by_hand_a_tie_is_half_a_pair_and_no_true_positive():
    # Lenses at 3, 2 and 1, non-lenses at 2 and 0: the lens at 2 ties with a non-lens.
    lens, scores = np.array([1, 1, 1, 0, 0]), np.array([3.0, 2.0, 1.0, 2.0, 0.0])
    # Of six pairs four are in order, one is a tie, and one is wrong.
    assert auroc(lens, scores) == pytest.approx(4.5 / 6)
    assert roc_of(lens == 1, scores).tpr(0.1) == pytest.approx(1 / 3)
    np.testing.assert_array_equal(lenses_found(lens == 1, scores, 0.1), [True, False, False])
    tp, fp, threshold = cumulative_counts(lens == 1, scores)
    np.testing.assert_array_equal([tp, fp, threshold], [[1, 2, 3, 3], [0, 1, 1, 2], [3, 2, 1, 0]])


@pytest.mark.parametrize("size", [1, 3, 7, 30, 73, 1000])
def test_chance_is_one_half_and_perfection_one_to_the_last_bit(size):
    """Epochs and fusions of equal rank must tie, whatever their scores."""
    lens = np.arange(3 * size) < size
    even, perfect = roc_of(lens, np.zeros(3 * size)), roc_of(lens, lens + np.arange(3 * size) / 1e6)
    assert (even.auroc(), perfect.auroc()) == (0.5, 1.0)
    assert even.partial_auc() == pytest.approx(0.5, abs=1e-15)
    assert perfect.partial_auc() == 1.0
    assert (even.tpr(0.1), perfect.tpr(0.1)) == (0.0, 1.0)


@pytest.mark.parametrize("levels", [None, 8])
@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.5])
def test_the_lenses_that_are_found_are_as_many_as_the_tpr_says(levels, rate):
    lens, scores = scored(3, levels=levels)
    assert lenses_found(lens, scores, rate).mean() == roc_of(lens, scores).tpr(rate)


def test_a_false_positive_rate_allows_every_whole_number_that_it_reaches():
    for n in range(10, 3000, 10):
        assert false_positives_allowed(0.1, n) == n // 10
        assert false_positives_allowed(0.1, n - 1) == n // 10 - 1
    assert false_positives_allowed(1e-3, 999) == 0


def test_an_area_without_both_classes_or_with_a_score_that_is_nan_is_undefined():
    scores = np.array([1.0, 2.0])
    for labels in ([1, 1], [0, 0]):
        assert np.isnan(auroc(np.array(labels), scores))
        assert np.isnan(partial_auc(np.array(labels), scores))
    assert np.isnan(auroc(np.array([1, 0]), np.array([1.0, np.nan])))


def test_a_score_that_is_nan_has_no_rank():
    lens, scores = np.array([True, False]), np.array([np.nan, 1.0])
    for function in (ranked, cumulative_counts, partial_auc):
        with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
            function(lens, scores)
