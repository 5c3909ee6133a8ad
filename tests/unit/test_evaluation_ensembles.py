"""Ensembles: known best combinations, honest second calibration, the choice, what survives."""

import json

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import prediction_table
from scipy.special import expit
from scipy.special import logit as log_odds

from lenshunt.evaluation import calibrate, evaluate, fuse
from lenshunt.evaluation.combination import (
    FITS,
    bayes,
    cross_fitted,
    mean,
    stacking,
    system_folds,
    why_not_fitted,
)
from lenshunt.evaluation.ensembles import choose, partial_auc
from lenshunt.figures.flux_ratio import draw_fnr
from lenshunt.report import tables
from lenshunt.training.scores import validation_scores

METHODS = ("mean", "bayes", "stacking")


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


def test_the_choosing_score_is_the_one_that_stops_training():
    labels, members, _ = calibrated_members(500, np.array([1.5]), np.eye(1))
    monitored = validation_scores(labels, members[:, 0], np.full(500, np.nan))
    assert partial_auc(labels, members[:, 0]) == pytest.approx(monitored["val_partial_auc"])
    assert partial_auc(np.ones(5, int), members[:5, 0]) is None


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
        after = numbers["fusion"]["methods"][method]["calibration"]["test"]["after"]
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
    shown = tables.metrics_table(str(tmp_path / "m.csv")).set_index("model")
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
    assert set(same["model"]) == {"ensemble"}
    draw_fnr(metrics_csv=str(folder / "m.csv"), out=str(folder / "fnr.pdf"))
    assert (folder / "fnr.png").stat().st_size > 2000


def test_the_report_says_which_method_is_taken_and_why(fused):
    folder, _, numbers = fused
    paths = {("ground", "m0-1"): folder / "m0-1.json", ("ground", "fused"): folder / "fused.json"}
    table = tables.fusion_table({key: str(path) for key, path in paths.items()})
    assert table["method"].tolist() == list(METHODS)
    taken = table[table["taken"].str.startswith("yes: highest partial AUC")]
    assert taken["method"].tolist() == [numbers["fusion"]["chosen"]]
    bayes_row = table[table["method"] == "bayes"].iloc[0]
    assert float(bayes_row["members worth"]) == pytest.approx(2, abs=0.4)


def test_a_single_model_is_its_own_mean(tmp_path):
    table, numbers = run_fuse(written_members(tmp_path, n=200, members=1), tmp_path)
    assert table["logit"].to_numpy() == pytest.approx(table["m0-1:logit_calibrated"].to_numpy())
    assert "only member" in numbers["fusion"]["methods"]["bayes"]["note"]
    assert mean(np.eye(3), np.zeros(3), names_of(3)).weights == pytest.approx([1 / 3] * 3)
