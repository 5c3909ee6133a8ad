"""Comparisons of models: verdicts, notes, errors, and whether 95 % intervals are 95 %."""

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import prediction_table, written
from scipy.stats import binomtest, norm

from lenshunt.core.ranking_metrics import lenses_found
from lenshunt.evaluation import COMPARISON_COLUMNS, compare
from lenshunt.evaluation.bootstrap import paired_bootstrap
from lenshunt.evaluation.comparisons import common_runs
from lenshunt.evaluation.differences import (
    TrainingScatter,
    pooled_scatter,
    resolved_rate,
    seeds_and_samples,
)
from lenshunt.evaluation.intervals import bonett_price

ONE_SEED = "one seed: training scatter not included"


def compared(folder, tables, pairs, bootstraps=200) -> pd.DataFrame:
    """The table of comparisons of these tables of predictions."""
    paths = {str(i): written(table, folder, f"p{i}") for i, table in enumerate(tables)}
    out = {"out_csv": str(folder / "c.csv"), "out_tex": str(folder / "c.tex")}
    compare(predictions=paths, comparisons=pairs, bootstraps=bootstraps, seed=0, **out)
    return pd.read_csv(out["out_csv"], keep_default_na=True)


def model(name: str, seed: int = 1, n: int = 800, **more) -> pd.DataFrame:
    values = {"score_seed": seed, "split": "test", **more}
    return prediction_table(n, model=name, model_seed=seed, **values)


def test_a_model_with_the_same_scores_differs_by_nothing_and_is_not_resolved(tmp_path):
    table = compared(tmp_path, [model("a"), model("b")], {"twins": ("a", "b")})
    assert tuple(table.columns) == COMPARISON_COLUMNS
    assert (table["difference"] == 0).all()
    assert (table["verdict"] == "not resolved").all()
    assert (table["low"] <= 0).all()
    assert (table["high"] >= 0).all()
    assert (table["note"] == ONE_SEED).all()


def test_a_much_better_model_is_better_and_the_other_way_round_worse(tmp_path):
    tables = [model("a", separation=3.0), model("b", separation=1.0, score_seed=9)]
    table = compared(tmp_path, tables, {"on": ("a", "b"), "off": ("b", "a")})
    by_name = table.set_index(["comparison", "quantity"])
    assert (by_name.loc["on", "verdict"] == "better").all()
    assert (by_name.loc["off", "verdict"] == "worse").all()
    forth, back = (by_name.loc[name, "difference"] for name in ("on", "off"))
    np.testing.assert_allclose(forth, -back)
    assert (table["low"] < table["difference"]).all()
    assert (table["difference"] < table["high"]).all()
    latex = (tmp_path / "c.tex").read_text()
    assert latex.count("better") == latex.count("worse") == 3


def test_seeds_are_averaged_and_their_extremes_shown(tmp_path):
    tables = [model(name, seed, score_seed=10 * seed + len(name)) for name in ("a", "bb")
              for seed in (1, 2, 3)]  # fmt: skip
    row = compared(tmp_path, tables, {"x": ("a", "bb")}).set_index("quantity").loc["auroc"]
    assert row["seeds"] == 3
    assert row["seed_min"] < row["difference"] < row["seed_max"]
    assert row["difference"] == pytest.approx(row["value_model"] - row["value_against"])
    assert not isinstance(row["note"], str)


def test_a_seed_that_one_model_lacks_is_left_out_and_told(tmp_path):
    tables = [model("a", 1), model("a", 2), model("b", 1, score_seed=7)]
    table = compared(tmp_path, tables, {"x": ("a", "b")})
    assert (table["seeds"] == 1).all()
    assert table["note"].str.contains("seed 2 of one model alone is left out").all()


def test_models_without_a_common_seed_or_without_scores_are_errors():
    runs = [("a", 1), ("b", 2)]
    with pytest.raises(ValueError, match=r"no common seed \(a has \[1\], b has \[2\]\)"):
        common_runs(runs, "a", "b")
    with pytest.raises(ValueError, match=r"comparison of a with c: no scores of c \(a, b\)"):
        common_runs(runs, "a", "c")


def test_a_fusion_is_set_against_every_seed(tmp_path):
    fused = model("fused", 1, separation=2.5).assign(seed=-1)
    tables = [model("a", 1), model("a", 2, score_seed=5), fused]
    table = compared(tmp_path, tables, {"x": ("fused", "a")})
    assert (table["seeds"] == 2).all()
    assert table["note"].str.startswith("the fusion is one score").all()


def test_objects_that_one_model_lacks_are_left_out_and_told(tmp_path):
    table = compared(tmp_path, [model("a"), model("b").iloc[100:]], {"x": ("a", "b")})
    assert (table["n_lens"] + table["n_nonlens"] == 700).all()
    assert table["note"].str.contains("700 of 800 objects scored by all").all()
    assert (table["difference"] == 0).all()


def test_models_without_a_common_test_object_are_an_error(tmp_path):
    tables = [model("a"), model("b", dataset="elsewhere")]
    with pytest.raises(ValueError, match=r"p1.parquet: shares no labelled test object with .*p0"):
        compared(tmp_path, tables, {"x": ("a", "b")})


def test_labels_that_differ_are_an_error_naming_the_object(tmp_path):
    other = model("b")
    other.loc[0, "label"] = 1 - other.loc[0, "label"]
    with pytest.raises(ValueError, match=r"p1.parquet: the label of demo-00000 is not that of"):
        compared(tmp_path, [model("a"), other], {"x": ("a", "b")})


def test_the_same_model_and_seed_twice_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"p1.parquet: a, seed 1, is also in .*p0.parquet"):
        compared(tmp_path, [model("a"), model("a")], {"x": ("a", "a")})


def test_one_class_is_undefined_and_says_so(tmp_path):
    tables = [model(name, lens_fraction=1.0, n=30) for name in ("a", "b")]
    table = compared(tmp_path, tables, {"x": ("a", "b")})
    assert (table["verdict"] == "undefined").all()
    assert table["difference"].isna().all()
    assert table["note"].str.startswith("undefined: no non-lens among 30 objects").all()


def test_too_few_objects_have_a_difference_without_an_interval(tmp_path):
    good = model("a", n=12, separation=9.0)
    tables = [good, good.assign(model="b", logit=-good["logit"])]
    table = compared(tmp_path, tables, {"x": ("a", "b")}).set_index("quantity")
    assert (table["verdict"] == "not resolved").all()
    assert table["low"].isna().all()
    assert table.loc["auroc", "difference"] == 1.0
    assert "fewer than 10 systems" in table.loc["auroc", "note"]
    assert "resolve no FPR" in table.loc["tpr", "note"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_sample_without_a_calibrated_score_is_an_error_naming_it(tmp_path, bad):
    other = model("b").assign(logit_calibrated=lambda table: table["logit"])
    other.loc[3, "logit_calibrated"] = bad
    with pytest.raises(ValueError, match=r"p1.parquet: 1 score values .*samples demo-00003\)"):
        compared(tmp_path, [model("a"), other], {"x": ("a", "b")})


@pytest.mark.parametrize(
    "systems, rate",
    [(99, None), (100, 0.1), (999, 0.1), (1000, 1e-2), (9999, 1e-2), (10_000, 1e-3),
     (20_000, 1e-3), (100_000, 1e-4)],
)  # fmt: skip
def test_a_rate_is_resolved_by_ten_false_positives(systems, rate):
    found = resolved_rate(systems)
    assert found == rate if rate else np.isnan(found)


@pytest.mark.parametrize("views, rate", [(1, 1e-2), (10, 0.1), (50, None)])
def test_views_of_one_object_resolve_no_lower_rate_than_the_object(tmp_path, views, rate):
    """1000 non-lenses; ten that pass at 1e-2 may all be views of one of them."""
    tables = []
    for name, seed in (("a", 1), ("b", 2)):
        table = model(name, n=1200, lens_fraction=1 / 6, score_seed=seed).assign(seed=1)
        nonlens = table["label"] == 0
        number = np.arange(1200)[nonlens] // views
        table.loc[nonlens, "system_id"] = [f"object-{i}" for i in number]
        tables.append(table)
    table = compared(tmp_path, tables, {"x": ("a", "b")}, bootstraps=50).set_index("quantity")
    assert (table["n_nonlens"] == 1000).all()
    if rate:
        assert table.loc["tpr", "fpr"] == rate
        assert table["low"].notna().all()
    else:
        assert "non-lenses of 20 systems resolve no FPR" in table.loc["tpr", "note"]
        assert "fewer than 10 of 20 systems" in table.loc["partial_auc", "note"]
        assert np.isnan(table.loc["partial_auc", "low"])


def test_the_paired_interval_needs_as_many_lenses_as_the_exact_test_of_mcnemar():
    for only_first in range(1, 12):
        low, _ = bonett_price(only_first, 0, 200)
        assert (low > 0) == (binomtest(only_first, only_first).pvalue < 0.05)


def test_lenses_found_do_not_profit_from_ties():
    lens = np.array([True, True, True, *[False] * 10])
    scores = np.array([3.0, 2.0, 1.0, 2.0, 1.5, *[0.0] * 8])
    # One of ten may pass; the second non-lens, at 1.5, may not, nor what is no higher.
    np.testing.assert_array_equal(lenses_found(lens, scores, 0.1), [True, True, False])


def test_scatter_is_pooled_over_models_with_several_seeds():
    found = pooled_scatter([np.array([1.0, 3.0]), np.array([0.0, 0.0, 3.0]), np.array([7.0])])
    assert found == TrainingScatter(variance=(2 + 6) / 3, freedom=3)
    assert pooled_scatter([np.array([1.0])]).freedom == 0


def binormal_auroc(separation: float) -> float:
    return float(norm.cdf(separation / np.sqrt(2)))


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_intervals_of_one_seed_cover_the_true_difference(shared):
    """200 pairs of score sets, their noise independent or shared: near 95 %."""
    rng = np.random.default_rng(11)
    n, truth, covered = 200, binormal_auroc(1.4) - binormal_auroc(1.1), 0
    labels = np.arange(n) < 80
    for trial in range(200):
        common = rng.normal(size=n) * np.sqrt(shared)
        scores = {
            (name, 1): common + np.sqrt(1 - shared) * rng.normal(size=n) + gap * labels
            for name, gap in (("a", 1.4), ("b", 1.1))
        }
        plain, drawn = paired_bootstrap(labels, np.arange(n), scores, 0.1, 150, seed=trial)
        a, b = (values[:, 2:] for values in drawn.values())
        value = plain["a", 1][2:] - plain["b", 1][2:]
        found = seeds_and_samples(value, a - b, TrainingScatter(0.0, 0), fixed=False, seed=trial)
        covered += found.low <= truth <= found.high
    assert 0.89 <= covered / 200 <= 0.985


@pytest.mark.parametrize("models, noise", [(1, 0.0), (2, 0.5), (6, 0.5)])
def test_intervals_of_two_seeds_cover_the_difference_between_trainings(models, noise):
    """Trainings scatter by 1, test samples by `noise`; a percentile of two seeds covers 50-60 %.

    models : pairs of models among which the scatter is pooled
    """
    rng = np.random.default_rng(5)
    covered, trials = 0, 500
    for trial in range(trials):
        trained = rng.normal(size=(2 * models, 2))
        sample = noise * rng.normal()
        plain = trained[0] - trained[1] + sample
        resampled = plain + noise * rng.normal(size=(300, 1))
        found = seeds_and_samples(plain, resampled, pooled_scatter(trained), False, trial)
        covered += found.low <= 0 <= found.high
    assert 0.92 <= covered / trials <= 0.995


@pytest.mark.parametrize("times, low, high", [(1, 0.01, 0.06), (2, 0.08, 0.17), (3, 0.14, 0.26)])
def test_two_seeds_understate_a_model_that_scatters_more_by_what_is_told(times, low, high):
    """Of 16 equal models the first scatters `times` as much; its false verdicts, no test noise."""
    rng = np.random.default_rng(2)
    wrong, trials = 0, 600
    for trial in range(trials):
        trained = rng.normal(size=(16, 2))
        trained[0] *= times
        plain = trained[0] - trained[1]
        resampled = np.tile(plain, (200, 1))
        found = seeds_and_samples(plain, resampled, pooled_scatter(trained), False, trial)
        wrong += found.verdict != "not resolved"
    assert low <= wrong / trials <= high
