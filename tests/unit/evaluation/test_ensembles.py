"""Ensembles: the choice on validation, honest second calibration, what is reported and survives."""

import json

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import prediction_table
from scipy.special import expit
from score_figures import entries

from lenshunt.core.ranking_metrics import partial_auc
from lenshunt.evaluation import calibrate, evaluate, fuse
from lenshunt.evaluation.ensembles import choose
from lenshunt.reporting import scores
from lenshunt.reporting.figures.flux_ratio import fnr_figure
from lenshunt.training.scores import validation_scores

METHODS = ("mean", "bayes", "stacking")


def test_the_choosing_score_is_the_one_that_stops_training():
    labels = np.arange(500) % 2
    logits = np.random.default_rng(0).normal(size=500) + labels
    monitored = validation_scores(labels, logits, np.full(500, np.nan))
    assert partial_auc(labels, logits) == monitored["val_partial_auc"]


def fits(**values):
    return {
        name: {"fitted": value != "no", "note": "not fitted: x", "val_select": value}
        for name, value in values.items()
    }


@pytest.mark.parametrize(
    "values, chosen",
    [
        ({"mean": 0.8, "bayes": 0.9, "stacking": 0.85}, "bayes"),
        ({"mean": 0.9, "bayes": 0.9, "stacking": 0.9}, "mean"),
        ({"mean": 0.8, "bayes": 0.9, "stacking": 0.9}, "bayes"),
        ({"mean": 0.8, "bayes": "no", "stacking": 0.9}, "stacking"),
        ({"mean": 0.8, "bayes": "no", "stacking": "no"}, "mean"),
        ({"mean": None, "bayes": None, "stacking": None}, "mean"),
    ],
)
def test_the_best_on_validation_is_taken_and_a_tie_goes_to_the_mean(values, chosen):
    assert choose(fits(**values), "auto", "x.parquet")[0] == chosen


def test_a_configured_method_is_taken_and_never_replaced():
    values = fits(mean=0.9, bayes=0.8, stacking="no")
    assert choose(values, "bayes", "x.parquet") == ("bayes", "configured")
    with pytest.raises(ValueError, match=r"x\.parquet: fusion stacking .* not fitted: x.*auto or"):
        choose(values, "stacking", "x.parquet")


def written_members(folder, n=1600, seed=0, members=None, **metadata):
    """Calibrated tables of four members, three of them alike, and their paths."""
    base = prediction_table(n, **metadata)
    signal = (base["label"].to_numpy() == 1).astype(int)
    matrix = np.eye(4)
    matrix[:3, :3] = 0.95
    np.fill_diagonal(matrix, 1)
    noise = np.random.default_rng(seed).multivariate_normal(np.zeros(4), matrix, n)
    paths = []
    for j in range(members or 4):
        table = base.assign(logit=2 * (noise[:, j] + 1.5 * (signal - 0.5)), model=f"m{j}", seed=1)
        if j == 1:
            table["chi2_gain"] = noise[:, 0]
        raw, out = folder / f"raw{j}.parquet", folder / f"m{j}-1.parquet"
        table.to_parquet(raw, index=False)
        calibrate(predictions=str(raw), out=str(out), parameters=str(folder / f"m{j}-1.json"))
        paths.append(str(out))
    return paths


def run_fuse(paths, folder, name="fused", **options):
    out, parameters = folder / f"{name}.parquet", folder / f"{name}.json"
    fuse(predictions=paths, out=str(out), parameters=str(parameters), **options)
    return pd.read_parquet(out), json.loads(parameters.read_text())


@pytest.fixture(scope="module")
def fused(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fused")
    return folder, *run_fuse(written_members(folder), folder)


def test_every_method_is_written_and_the_best_on_val_select_is_taken(fused):
    _, table, numbers = fused
    methods = numbers["fusion"]["methods"]
    assert tuple(methods) == METHODS
    values = {name: fit["val_select"] for name, fit in methods.items()}
    assert numbers["fusion"]["chosen"] == max(values, key=values.get) != "mean"
    assert numbers["fusion"]["select"]["n_lens"] + numbers["fusion"]["select"]["n_nonlens"] == 400
    chosen = table[f"{numbers['fusion']['chosen']}:logit_calibrated"]
    assert table["logit_calibrated"].to_numpy() == pytest.approx(chosen.to_numpy())
    assert table["probability"].to_numpy() == pytest.approx(expit(chosen))
    # What is true of the calibration of one model is true of the chosen one at the top level.
    assert numbers["a"] == methods[numbers["fusion"]["chosen"]]["calibration"]["a"]


def test_test_objects_do_not_move_the_choice_or_a_parameter(fused, tmp_path):
    _, _, numbers = fused
    paths = written_members(tmp_path)
    for path in paths:
        table = pd.read_parquet(path)
        test = (table["split"] == "test").to_numpy()
        table.loc[test, "logit_calibrated"] *= -1
        table.to_parquet(path, index=False)
    _, other = run_fuse(paths, tmp_path)
    assert other["fusion"]["chosen"] == numbers["fusion"]["chosen"]
    for method in METHODS:
        ours, theirs = (n["fusion"]["methods"][method] for n in (numbers, other))
        assert ours["weights"] == theirs["weights"]
        assert ours["calibration"]["a"] == theirs["calibration"]["a"]


def test_the_fused_score_is_calibrated_on_the_test_split(fused):
    numbers = fused[2]
    for method in METHODS:
        after = numbers["fusion"]["methods"][method]["calibration"]["test"]["demo"]["after"]
        assert after["ece_debiased"] < 0.04


def test_what_single_models_say_survives_under_their_names(fused):
    folder, table, _ = fused
    own = pd.read_parquet(folder / "m1-1.parquet").set_index("sample_id").loc[table["sample_id"]]
    assert (table["m1-1:chi2_gain"].to_numpy() == own["chi2_gain"].to_numpy()).all()
    assert (table["m1-1:logit_calibrated"].to_numpy() == own["logit_calibrated"].to_numpy()).all()
    assert "m0-1:chi2_gain" not in table
    assert "chi2_gain" not in table


def test_a_fusion_is_byte_identical_when_repeated(fused, tmp_path):
    folder = fused[0]
    run_fuse([str(folder / f"m{j}-1.parquet") for j in range(4)], tmp_path)
    for name in ("fused.parquet", "fused.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_labelled_objects_of_val_calibrate_hold_cross_fitted_scores(fused):
    _, table, numbers = fused
    fit = numbers["fusion"]["methods"][numbers["fusion"]["chosen"]]
    members = table[[f"{name}:logit_calibrated" for name in fit["weights"]]].to_numpy(float)
    plain = members @ np.array(list(fit["weights"].values())) + fit["intercept"]
    held = (table["split"] == "val_calibrate").to_numpy()
    assert table["logit"].to_numpy()[~held] == pytest.approx(plain[~held])
    assert np.abs(table["logit"].to_numpy()[held] - plain[held]).min() > 0


def test_a_search_is_scored_by_the_fitted_method_in_any_order_of_members(fused, tmp_path):
    folder, table, numbers = fused
    unlabelled = table.assign(split="search", label=-1)
    paths = []
    for j in (2, 0, 3, 1):
        own = pd.read_parquet(folder / f"m{j}-1.parquet").assign(split="search", label=-1)
        own.to_parquet(tmp_path / f"{j}.parquet", index=False)
        paths.append(str(tmp_path / f"{j}.parquet"))
    found, copied = run_fuse(paths, tmp_path, fitted=str(folder / "fused.json"), fusion="stacking")
    assert copied == numbers
    seen = (table["split"] != "val_calibrate").to_numpy()
    for column in ("logit", "logit_calibrated", "mean:logit_calibrated"):
        expected = unlabelled[column].to_numpy()[seen]
        assert found[column].to_numpy()[seen] == pytest.approx(expected)


def test_a_search_without_one_of_the_members_names_it(fused, tmp_path):
    folder = fused[0]
    paths = [str(folder / f"m{j}-1.parquet") for j in (0, 1, 3)]
    with pytest.raises(ValueError, match=r"m2-1 has no scores here"):
        run_fuse(paths, tmp_path, fitted=str(folder / "fused.json"))
    with pytest.raises(ValueError, match="no `fusion`"):
        run_fuse(paths, tmp_path, fitted=str(folder / "m0-1.json"))


def test_a_model_without_a_score_for_an_object_is_named(fused, tmp_path):
    folder = fused[0]
    table = pd.read_parquet(folder / "m2-1.parquet")
    table[table["sample_id"] != "demo-00007"].to_parquet(tmp_path / "m2-1.parquet", index=False)
    whole, short = str(folder / "m0-1.parquet"), str(tmp_path / "m2-1.parquet")
    for paths in ([whole, short], [short, whole]):
        with pytest.raises(ValueError, match=r"m2-1\S*.*: no score for 1 samples.*demo-00007"):
            run_fuse(paths, tmp_path)
    table.loc[3, "logit_calibrated"] = np.nan
    table.to_parquet(short, index=False)
    with pytest.raises(ValueError, match=r"m2-1\.parquet: 1 logit_calibrated.*demo-00003"):
        run_fuse([whole, short], tmp_path)


def test_one_model_twice_is_refused(fused, tmp_path):
    path = str(fused[0] / "m0-1.parquet")
    with pytest.raises(ValueError, match="a second table of m0-1"):
        run_fuse([path, path], tmp_path)


def test_too_few_objects_fit_no_weights_and_say_so_everywhere(tmp_path):
    table, numbers = run_fuse(written_members(tmp_path, n=60), tmp_path)
    methods = numbers["fusion"]["methods"]
    assert numbers["fusion"]["chosen"] == "mean"
    for name in ("bayes", "stacking"):
        assert not methods[name]["fitted"]
        assert "lens systems" in methods[name]["note"]
        assert f"{name}:logit_calibrated" not in table
    with pytest.raises(ValueError, match="fusion bayes is configured but not fitted"):
        run_fuse([str(tmp_path / f"m{j}-1.parquet") for j in range(4)], tmp_path, fusion="bayes")
    metrics = measured(tmp_path)
    rows = metrics[metrics["label"] == "fused (stacking)"]
    assert rows["value"].isna().all()
    assert rows["note"].str.startswith("not fitted: ").all()
    assert "not fitted" in (tmp_path / "m.tex").read_text()
    shown = scores.metrics_table(str(tmp_path / "m.csv")).set_index("model")
    assert shown.loc["fused (stacking)", "AUROC"] == "not fitted"


def measured(folder):
    evaluate(
        predictions={"m0-1": str(folder / "m0-1.parquet"), "fused": str(folder / "fused.parquet")},
        fusions={"fused": str(folder / "fused.json")},
        out_csv=str(folder / "m.csv"),
        out_tex=str(folder / "m.tex"),
        bootstraps=50,
        seed=1,
    )
    return pd.read_csv(folder / "m.csv")


def test_the_metrics_table_has_a_row_of_every_method_and_the_chosen_one(fused):
    folder, _, numbers = fused
    metrics = measured(folder)
    labels = ["m0-1", *(f"fused ({method})" for method in METHODS), "fused"]
    assert list(dict.fromkeys(metrics["label"])) == labels
    chosen = metrics[metrics["label"] == f"fused ({numbers['fusion']['chosen']})"]
    same = metrics[metrics["label"] == "fused"]
    columns = ["metric", "stratum", "value", "low", "high"]
    pd.testing.assert_frame_equal(
        chosen[columns].reset_index(drop=True), same[columns].reset_index(drop=True)
    )
    assert set(same["model"]) == {"fused"}
    assert entries(fnr_figure(str(folder / "m.csv"))) == ["m0", "fused"]


def test_the_report_says_which_method_is_taken_and_why(fused):
    folder, _, numbers = fused
    paths = {("ground", "m0-1"): folder / "m0-1.json", ("ground", "fused"): folder / "fused.json"}
    table = scores.fusion_table({key: str(path) for key, path in paths.items()})
    assert table["method"].tolist() == list(METHODS)
    taken = table[table["taken"].str.startswith("yes: highest partial AUC")]
    assert taken["method"].tolist() == [numbers["fusion"]["chosen"]]
    bayes_row = table[table["method"] == "bayes"].iloc[0]
    assert float(bayes_row["members worth"]) == pytest.approx(2, abs=0.4)


def test_a_single_model_is_its_own_mean(tmp_path):
    table, numbers = run_fuse(written_members(tmp_path, n=200, members=1), tmp_path)
    assert table["logit"].to_numpy() == pytest.approx(table["m0-1:logit_calibrated"].to_numpy())
    assert "only member" in numbers["fusion"]["methods"]["bayes"]["note"]
