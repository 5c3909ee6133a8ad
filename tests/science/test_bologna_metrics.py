"""Bologna metrics against scikit-learn, to 1e-12, on random, tied and hand-made scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, fbeta_score, roc_auc_score, roc_curve

from lenshunt.evaluation import bologna_metrics, roc_points


def peer_tpr(labels, scores, allowed):
    """Highest TPR of scikit-learn's ROC curve with at most `allowed` false positives."""
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    return tpr[np.round(fpr * np.sum(labels == 0)) <= allowed].max()


def peer_f_beta(labels, scores):
    """Highest F_beta over all thresholds, one call of scikit-learn per threshold."""
    beta = np.sqrt(0.001)
    return max(fbeta_score(labels, scores >= t, beta=beta) for t in np.unique(scores))


def assert_equal_to_peer(labels, scores):
    ours = bologna_metrics(labels, scores, bootstraps=50).set_index("metric")["value"]
    n_nonlens = int(np.sum(labels == 0))
    assert ours["auroc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert ours["auprc"] == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    assert ours["tpr_at_0fp"] == pytest.approx(peer_tpr(labels, scores, 0), abs=1e-12)
    assert ours["tpr_at_10fp"] == pytest.approx(peer_tpr(labels, scores, 9), abs=1e-12)
    for name, rate in (("0.1", 0.1), ("1e-2", 1e-2), ("1e-3", 1e-3), ("1e-4", 1e-4)):
        value = ours[f"tpr_at_fpr_{name}"]
        if np.isfinite(value):
            fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
            assert value == pytest.approx(tpr[fpr <= rate].max(), abs=1e-12)
        else:
            assert rate * n_nonlens < 1


scored_sets = st.integers(2, 120).flatmap(
    lambda n: st.tuples(
        hnp.arrays(int, n, elements=st.integers(0, 1)),
        hnp.arrays(float, n, elements=st.integers(-6, 6).map(lambda i: i / 4)),
    )
)


@given(scored_sets)
@settings(max_examples=80, deadline=None)
def test_small_sets_with_many_ties_equal_scikit_learn(drawn):
    labels, scores = drawn
    if len(np.unique(labels)) == 2:
        assert_equal_to_peer(labels, scores)


@given(scored_sets)
@settings(max_examples=40, deadline=None)
def test_f_beta_equals_scikit_learn_over_all_thresholds(drawn):
    labels, scores = drawn
    if len(np.unique(labels)) == 2:
        ours = bologna_metrics(labels, scores, bootstraps=50).set_index("metric")["value"]
        assert ours["f_beta_0.001"] == pytest.approx(peer_f_beta(labels, scores), abs=1e-12)


@pytest.mark.parametrize("decimals", [None, 2, 0])
@pytest.mark.parametrize("fraction", [0.5, 0.02])
def test_twenty_thousand_scores_equal_scikit_learn(decimals, fraction):
    rng = np.random.default_rng(1)
    labels = (rng.random(20000) < fraction).astype(int)
    scores = rng.normal(size=20000) + 2 * labels
    assert_equal_to_peer(labels, scores if decimals is None else scores.round(decimals))


@given(scored_sets)
@settings(max_examples=30, deadline=None)
def test_metrics_do_not_change_under_a_monotonic_map_of_the_scores(drawn):
    labels, scores = drawn
    first, second = (
        bologna_metrics(labels, s, bootstraps=50)["value"] for s in (scores, np.exp(scores) * 3)
    )
    np.testing.assert_array_equal(first, second)


@given(scored_sets)
@settings(max_examples=30, deadline=None)
def test_bounds_enclose_the_wilson_values(drawn):
    labels, scores = drawn
    table = bologna_metrics(labels, scores, bootstraps=50)
    known = table[table["interval"].str.contains("Wilson")]
    assert (known["low"] <= known["value"] + 1e-12).all()
    assert (known["value"] <= known["high"] + 1e-12).all()


def test_the_roc_curve_is_scikit_learns():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 500)
    scores = (rng.normal(size=500) + labels).round(1)
    fpr, tpr = roc_points(labels, scores)
    peer_fpr, peer_tpr_, _ = roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(fpr, peer_fpr, atol=1e-12)
    np.testing.assert_allclose(tpr, peer_tpr_, atol=1e-12)
