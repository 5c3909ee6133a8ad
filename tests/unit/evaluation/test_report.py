"""The long table of metrics: test split only, strata, sets of one class, no foreign labels."""

import pandas as pd
import pytest
from evaluation_tables import prediction_table, written

from lenshunt.evaluation import METRIC_COLUMNS, POOLED, evaluate, test_sets
from lenshunt.evaluation.strata import has_flag, strata
from lenshunt.reporting.scores import published_scores

test_sets.__test__ = False  # a function of the library whose name begins like a test


@pytest.fixture
def run(tmp_path):
    def _run(tables: dict[str, pd.DataFrame], **options) -> pd.DataFrame:
        paths = {name: written(table, tmp_path, name) for name, table in tables.items()}
        out = {"out_csv": str(tmp_path / "m.csv"), "out_tex": str(tmp_path / "m.tex")}
        evaluate(predictions=paths, **{"bootstraps": 50, "seed": 1} | options, **out)
        return pd.read_csv(out["out_csv"])

    return _run


def value(metrics, metric="auroc", stratum="all", dataset="demo"):
    chosen = metrics[
        (metrics["metric"] == metric)
        & (metrics["stratum"] == stratum)
        & (metrics["dataset"] == dataset)
    ]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_only_the_test_split_is_scored(run):
    table = prediction_table(400)
    metrics = run({"resnet18": table})
    assert tuple(metrics.columns) == METRIC_COLUMNS
    row = value(metrics)
    test = table["split"] == "test"
    assert row["n_lens"] + row["n_nonlens"] == test.sum()
    table.loc[~test, "logit"] = 0.0
    assert value(run({"resnet18": table}))["value"] == row["value"]


def test_excluded_and_unlabelled_rows_stay_out(run):
    table = prediction_table(400)
    before = value(run({"a": table}))
    test = table.index[table["split"] == "test"]
    table.loc[test[:3], "excluded"] = True
    table.loc[test[3:5], "label"] = -1
    after = value(run({"a": table}))
    assert before["n_lens"] - after["n_lens"] == 5


@pytest.mark.parametrize("source", ["pretrain:galaxiesml", "weak:gzoo"])
def test_labels_that_are_none_never_reach_a_metric(run, source):
    foreign = prediction_table(8, dataset="foreign", source=source)
    both = pd.concat([prediction_table(80), foreign], ignore_index=True)
    with pytest.raises(ValueError, match=rf"foreign-00002.*{source}"):
        run({"a": both})


def test_flux_ratio_bins_set_their_lenses_against_all_non_lenses(run):
    table = prediction_table(800)
    test = table[table["split"] == "test"]
    low = (test["flux_ratio"] < 0.1).sum()
    row = value(run({"a": table}), "fnr_at_fpr_0.1", "flux_ratio=low")
    assert (row["n_lens"], row["n_nonlens"]) == (low, (test["label"] == 0).sum())
    assert "all non-lenses" in row["note"]


def test_the_three_flux_ratio_bins_are_reported_even_where_they_are_empty(run):
    table = prediction_table(80)
    table["flux_ratio"] = table["flux_ratio"].where(table["flux_ratio"].isna(), 0.5)
    row = value(run({"a": table}), "fnr_at_fpr_0.1", "flux_ratio=low")
    assert pd.isna(row["value"])
    assert row["note"].startswith("undefined: no lens")


def test_metrics_without_the_undetectable_lenses_stand_beside_those_with_them(run):
    table = prediction_table(400, undetectable=40)
    metrics = run({"a": table})
    whole, detectable = value(metrics), value(metrics, stratum="detectable")
    assert whole["n_lens"] - detectable["n_lens"] == 10
    assert "detectable" not in set(run({"a": prediction_table(400)})["stratum"])


def test_lenses_only_and_non_lenses_only_sets_of_one_survey_are_joined(run):
    parts = [
        prediction_table(40, dataset="castles", survey="hst", lens_fraction=1.0),
        prediction_table(60, dataset="relics", survey="hst", lens_fraction=0.0),
        prediction_table(60, dataset="sdss", survey="sdss"),
    ]
    metrics = run({"a": pd.concat(parts, ignore_index=True)})
    assert value(metrics, dataset="castles")["note"] == "undefined: no non-lens among 10 objects"
    joined = value(metrics, dataset="castles + relics")
    assert (joined["n_lens"], joined["n_nonlens"]) == (10, 15)
    assert value(metrics, dataset=POOLED)["n_nonlens"] == 15 + 8


def test_a_sample_with_four_test_objects_of_one_class_gives_a_table(run):
    metrics = run({"a": prediction_table(16, lens_fraction=1.0)})
    assert metrics["value"].isna().all()
    assert metrics["note"].str.startswith("undefined").all()


def test_a_table_without_test_objects_says_so(run):
    metrics = run({"a": prediction_table(40, split="train")})
    assert metrics["note"].eq("undefined: no labelled objects").all()


def test_adding_a_model_leaves_the_intervals_of_the_others_alone(run):
    table = prediction_table(200)
    alone = run({"a": table})
    both = run({"b": prediction_table(200, score_seed=5), "a": table})
    pd.testing.assert_frame_equal(
        alone, both[both["label"] == "a"].reset_index(drop=True), check_dtype=False
    )


def test_the_table_is_byte_identical_when_repeated(run, tmp_path):
    table = prediction_table(200)
    run({"a": table})
    first = [(tmp_path / name).read_bytes() for name in ("m.csv", "m.tex")]
    run({"a": table})
    assert first == [(tmp_path / name).read_bytes() for name in ("m.csv", "m.tex")]


def test_the_latex_table_names_what_is_undefined_and_escapes_names(run, tmp_path):
    run({"vit_small 0": prediction_table(40, lens_fraction=1.0)})
    text = (tmp_path / "m.tex").read_text()
    assert r"vit\_small 0 & demo & 10 / 0 & undefined" in text


def test_the_latex_table_shows_no_interval_where_there_is_none(run, tmp_path):
    run({"a": prediction_table(8)})
    cells = (tmp_path / "m.tex").read_text().splitlines()[4].split(" & ")
    assert cells[2] == "1 / 1"
    assert cells[6] in ("$0.000$", "$1.000$")  # AUROC of one pair
    assert "^{+" in cells[3]  # TPR0 keeps Wilson's


def test_a_table_that_is_no_prediction_names_file_and_columns(run):
    with pytest.raises(ValueError, match=r"a\.parquet: no columns .*logit"):
        run({"a": prediction_table(8).drop(columns="logit")})


def test_a_nan_logit_names_file_and_sample(run):
    table = prediction_table(8)
    table.loc[5, "logit"] = float("nan")
    with pytest.raises(ValueError, match=r"a\.parquet.*demo-00005"):
        run({"a": table})


def test_a_flag_is_found_whole_not_as_part_of_another():
    table = prediction_table(4)
    table["flags"] = ["undetectable", "edge,undetectable", "undetectable_arc", ""]
    assert has_flag(table, "undetectable").tolist() == [True, True, False, False]


def test_every_object_with_a_magnitude_is_in_exactly_one_magnitude_bin():
    table = prediction_table(300)
    rows = [s.rows for s in strata(table) if s.name.startswith("magnitude=")]
    assert (sum(r.astype(int) for r in rows) == 1).all()


def test_the_published_table_holds_all_entries_of_both_halves():
    ground, space = published_scores("ground"), published_scores("space")
    assert (len(ground), len(space)) == (10, 14)
    best = ground.set_index("name").loc["CMU-DeepLens-Resnet-ground3"]
    assert (best["auroc"], best["tpr_at_0fp"], best["tpr_at_10fp"]) == (0.98, 0.09, 0.45)
    with pytest.raises(ValueError, match="ground, space"):
        published_scores("balloon")
