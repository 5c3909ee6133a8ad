"""Bologna metrics: definitions, ties, intervals, and what happens where they are undefined."""

import numpy as np
import pytest

from lenshunt.evaluation import METRICS, bologna_metrics, fnr_metrics, wilson_interval


def metrics(labels, scores, **options):
    return bologna_metrics(np.array(labels), np.array(scores), **options).set_index("metric")


def test_all_metrics_have_their_published_names_and_the_number_of_non_lenses_beside_them():
    table = bologna_metrics(np.array([1, 0, 1, 0]), np.array([3.0, 2.0, 1.0, 0.0]))
    assert tuple(table["metric"]) == METRICS
    assert (table["n_nonlens"] == 2).all()


def test_tpr_at_0fp_stops_before_the_first_false_positive():
    table = metrics([1, 1, 0, 1, 0], [5.0, 4.0, 3.0, 2.0, 1.0])
    assert table.loc["tpr_at_0fp", "value"] == pytest.approx(2 / 3, abs=1e-15)


def test_a_lens_that_ties_with_the_first_false_positive_is_not_counted():
    table = metrics([1, 1, 0, 1], [5.0, 4.0, 4.0, 3.0])
    assert table.loc["tpr_at_0fp", "value"] == pytest.approx(1 / 3, abs=1e-15)


def test_tpr_at_10fp_allows_nine_false_positives_whatever_their_rate():
    # Nine non-lenses on top, then a lens, then the tenth, then another lens.
    labels = [0] * 9 + [1] + [0] + [1] + [0] * 5
    scores = np.arange(len(labels), 0, -1.0)
    assert metrics(labels, scores).loc["tpr_at_10fp", "value"] == 0.5


def test_tpr_at_10fp_of_fewer_than_ten_non_lenses_says_that_it_says_nothing():
    row = metrics([1, 0, 1], [1.0, 2.0, 0.0]).loc["tpr_at_10fp"]
    assert row["value"] == 1.0
    assert "says nothing" in row["note"]


def test_a_false_positive_rate_is_reached_exactly_not_only_undercut():
    labels = np.r_[np.zeros(30, int), np.ones(10, int)]
    # Three false positives of thirty rank above every lens: FPR 0.1, which is allowed.
    scores = np.r_[10.0 + np.arange(3), np.zeros(27), np.ones(10)]
    assert metrics(labels, scores).loc["tpr_at_fpr_0.1", "value"] == 1.0


@pytest.mark.parametrize(
    "n_nonlens, resolved", [(99, ()), (100, ("1e-2",)), (1000, ("1e-2", "1e-3"))]
)
def test_rates_that_the_non_lenses_do_not_resolve_are_reported_as_such(n_nonlens, resolved):
    labels = np.r_[np.zeros(n_nonlens, int), np.ones(5, int)]
    table = metrics(labels, np.arange(len(labels)) % 7 * 1.0, bootstraps=50)
    for rate in ("1e-2", "1e-3", "1e-4"):
        row = table.loc[f"tpr_at_fpr_{rate}"]
        assert np.isfinite(row["value"]) == (rate in resolved)
        assert ("not resolved" in row["note"]) == (rate not in resolved)


@pytest.mark.parametrize("labels, word", [([1, 1, 1], "no non-lens"), ([0, 0], "no lens")])
def test_one_class_is_undefined_with_the_reason(labels, word):
    table = bologna_metrics(np.array(labels), np.arange(len(labels)) * 1.0)
    assert table["value"].isna().all()
    assert table["note"].str.startswith(f"undefined: {word}").all()


def test_an_empty_set_is_undefined_not_a_crash():
    table = bologna_metrics(np.array([], int), np.array([]))
    assert table["note"].eq("undefined: no labelled objects").all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_an_error_naming_the_sample(bad):
    with pytest.raises(ValueError, match="galaxy-2"):
        bologna_metrics(
            np.array([0, 1, 1]),
            np.array([0.0, 1.0, bad]),
            sample_ids=np.array(["galaxy-0", "galaxy-1", "galaxy-2"]),
        )


def test_a_label_of_minus_one_is_refused():
    with pytest.raises(ValueError, match="label -1"):
        bologna_metrics(np.array([0, -1]), np.array([0.0, 1.0]))


def test_wilson_interval_is_the_published_one():
    # Newcombe 1998, Statistics in Medicine 17, 857, table I: 81/263 and 0/20.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_tail_metrics_have_wilson_intervals_and_areas_the_bootstrap():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 200)
    kinds = metrics(labels, rng.normal(size=400) + labels)["interval"]
    assert kinds["tpr_at_0fp"].startswith("Wilson")
    assert kinds["tpr_at_10fp"].startswith("Wilson")
    assert kinds["tpr_at_fpr_1e-2"].startswith("Wilson")
    assert kinds["auroc"] == "stratified bootstrap"


def test_a_tpr_of_one_keeps_an_interval_of_finite_width():
    labels = np.repeat([0, 1], 200)
    row = metrics(labels, labels + np.linspace(0, 0.5, 400)).loc["tpr_at_fpr_0.1"]
    assert row["value"] == 1.0
    assert row["low"] < 0.99


@pytest.mark.parametrize("n_lens, n_nonlens", [(1, 1), (9, 200), (200, 9)])
def test_areas_of_tiny_sets_have_no_interval_and_say_so(n_lens, n_nonlens):
    labels = np.repeat([1, 0], [n_lens, n_nonlens])
    scores = np.random.default_rng(0).normal(size=len(labels)) + labels
    table = metrics(labels, scores, bootstraps=50).loc[["auroc", "auprc", "f_beta_0.001"]]
    assert table["value"].notna().all()
    assert table[["low", "high"]].isna().all(axis=None)
    assert (table["interval"] == "").all()
    assert table["note"].str.startswith("no interval: a class has fewer than 10").all()


def test_classes_that_separate_have_no_interval_of_zero_width():
    labels = np.repeat([0, 1], 50)
    row = metrics(labels, labels + np.linspace(0, 0.5, 100), bootstraps=50).loc["auroc"]
    assert row["value"] == 1.0
    assert np.isnan(row["low"])
    assert "every resample" in row["note"]


def test_ten_of_each_class_have_an_interval():
    labels = np.repeat([0, 1], 10)
    scores = np.random.default_rng(1).normal(size=20) + labels
    row = metrics(labels, scores, bootstraps=200).loc["auroc"]
    assert row["low"] < row["value"] < row["high"]
    assert row["note"] == ""


def test_intervals_repeat_with_the_seed_and_change_with_it():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    scores = rng.normal(size=200) + labels
    first, again, other = (metrics(labels, scores, seed=s).loc["auroc", "low"] for s in (1, 1, 2))
    assert first == again != other


def test_fnr_is_what_the_tpr_leaves():
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1], [2000, 300])
    scores = rng.normal(size=2300) + 1.5 * labels
    tpr = metrics(labels, scores, bootstraps=50)
    fnr = fnr_metrics(tpr.reset_index()).set_index("metric")
    for rate in ("0.1", "1e-3"):
        left = 1 - tpr.loc[f"tpr_at_fpr_{rate}", "value"]
        assert fnr.loc[f"fnr_at_fpr_{rate}", "value"] == pytest.approx(left, abs=1e-15)
        row, opposite = fnr.loc[f"fnr_at_fpr_{rate}"], tpr.loc[f"tpr_at_fpr_{rate}"]
        assert row["low"] < row["value"] < row["high"]
        assert (row["low"], row["high"]) == (1 - opposite["high"], 1 - opposite["low"])
        assert row["interval"] == opposite["interval"]


@pytest.mark.parametrize("copies", [1, 9])
def test_views_of_one_object_make_no_interval_narrower(copies):
    """Every object seen `copies` times with the same score tells no more than seen once."""
    rng = np.random.default_rng(6)
    labels = np.repeat([0, 1], 200)
    scores = rng.normal(size=400) + 1.5 * labels
    once = metrics(labels, scores, bootstraps=2000)
    seen = np.tile(np.arange(400), copies)
    again = metrics(labels[seen], scores[seen], bootstraps=2000, seed=1, systems=seen)
    blind = metrics(labels[seen], scores[seen], bootstraps=2000, seed=1)
    tables = (once, again, blind)
    for name in ("auroc", "auprc", "tpr_at_fpr_0.1", "tpr_at_0fp"):
        assert again.loc[name, "value"] == pytest.approx(once.loc[name, "value"], abs=1e-12)
        width, together, apart = (t.loc[name, "high"] - t.loc[name, "low"] for t in tables)
        assert together == pytest.approx(width, rel=0.12)
        assert apart == pytest.approx(width / np.sqrt(copies), rel=0.2)
