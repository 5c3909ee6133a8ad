"""Calibration, ensembles and prevalence."""

import json

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import prediction_table, run_calibrate, written
from scipy.special import expit

from lenshunt.evaluation import (
    apply_calibration,
    at_own_fraction,
    equal_mass_bins,
    expected_calibration_error,
    fit_calibration,
    fuse,
    prevalence_shift,
    purity_table,
    threshold_for_purity,
)
from lenshunt.evaluation.calibration import METHODS, apply_parameters


def sample(n, stretch=1.0, shift=0.0, seed=0):
    """Labels drawn from calibrated logits, and those logits stretched and shifted."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, n)
    return (rng.random(n) < expit(logits)).astype(int), stretch * logits + shift


def test_slope_and_intercept_are_recovered():
    labels, logits = sample(40000, stretch=2.0, shift=1.5)
    fit = fit_calibration(labels, logits)
    assert fit["a"] == pytest.approx(0.5, rel=0.03)
    assert fit["b"] == pytest.approx(-0.75, abs=0.05)
    assert fit["prior"] == pytest.approx(labels.mean())


def test_a_temperature_has_no_intercept():
    labels, logits = sample(20000, stretch=2.0)
    fit = fit_calibration(labels, logits, "temperature")
    assert fit["b"] == 0.0
    assert fit["a"] == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_the_order_of_the_scores(method):
    labels, logits = sample(500)
    fit = fit_calibration(labels, logits, method)
    calibrated = apply_parameters(fit, np.sort(logits))
    assert np.isfinite(calibrated).all()
    assert (np.diff(calibrated) >= 0).all()


def test_isotonic_never_claims_certainty_from_a_finite_set():
    fit = fit_calibration(np.array([0, 0, 1, 1]), np.array([-2.0, -1.0, 1.0, 2.0]), "isotonic")
    p = expit(apply_parameters(fit, np.array([-50.0, 50.0])))
    assert p == pytest.approx([1 / 6, 5 / 6])


def test_classes_that_separate_keep_a_finite_slope():
    logits = np.r_[np.linspace(-3, -1, 50), np.linspace(1, 3, 50)]
    fit = fit_calibration(np.repeat([0, 1], 50), logits)
    assert 0 < fit["a"] < 100


def test_a_score_that_is_upside_down_is_flattened_not_turned_round():
    labels, logits = sample(2000)
    fit = fit_calibration(labels, -logits)
    assert 0 < fit["a"] <= 0.01
    assert "does not order" in fit["note"]


@pytest.mark.parametrize("labels", [[1, 0, 1], [1] * 20, []])
def test_too_few_or_one_class_keeps_the_identity_and_says_so(labels):
    fit = fit_calibration(np.array(labels), np.arange(len(labels)) * 1.0)
    assert (fit["a"], fit["b"], fit["prior"]) == (1.0, 0.0, 0.5)
    assert "not calibrated" in fit["note"]


def test_an_unknown_method_names_the_choices():
    with pytest.raises(ValueError, match="logit, temperature, isotonic"):
        fit_calibration(np.array([0, 1]), np.array([0.0, 1.0]), "beta")


def test_a_perfect_forecaster_of_300_shows_five_per_cent_plain_and_far_less_debiased():
    plain, debiased = [], []
    for seed in range(200):
        labels, logits = sample(300, seed=seed)
        plain.append(expected_calibration_error(labels, expit(logits)))
        debiased.append(expected_calibration_error(labels, expit(logits), debiased=True))
    assert 0.03 < np.mean(plain) < 0.07
    assert np.mean(debiased) < 0.3 * np.mean(plain)
    assert (np.array(debiased) <= np.array(plain) + 1e-12).all()


@pytest.mark.parametrize(
    "n, stretch, within", [(300, 1.5, 0.015), (2000, 1.3, 0.007), (2000, 2.0, 0.002)]
)
def test_the_debiased_error_is_as_near_the_truth_as_its_docstring_says(n, stretch, within):
    labels, logits = sample(500000, stretch=stretch)
    truth = expected_calibration_error(labels, expit(logits))
    sets = [sample(n, stretch=stretch, seed=seed) for seed in range(60)]
    debiased = [expected_calibration_error(y, expit(x), debiased=True) for y, x in sets]
    assert np.mean(debiased) == pytest.approx(truth, abs=within)


def test_an_error_well_out_of_the_noise_is_not_debiased_away():
    labels, logits = sample(5000, stretch=3.0)
    plain = expected_calibration_error(labels, expit(logits))
    debiased = expected_calibration_error(labels, expit(logits), debiased=True)
    assert plain > 0.08
    assert debiased == pytest.approx(plain, rel=0.03)


def test_the_error_does_not_depend_on_the_order_of_equal_scores():
    labels = np.repeat([0, 1], [1500, 500])
    same = np.full(2000, 0.25)
    few = np.tile([0.1, 0.4, 0.4, 0.9], 500)
    rng = np.random.default_rng(0)
    for probability in (same, few):
        for debiased in (False, True):
            sorted_by_label = expected_calibration_error(labels, probability, debiased=debiased)
            order = rng.permutation(2000)
            shuffled = expected_calibration_error(
                labels[order], probability[order], debiased=debiased
            )
            assert sorted_by_label == pytest.approx(shuffled, abs=1e-12)
    assert expected_calibration_error(labels, same) == pytest.approx(0, abs=1e-12)


def test_bins_end_where_the_probability_changes_and_are_about_equal():
    assert equal_mass_bins(np.array([])) == []
    probability = np.random.default_rng(0).integers(0, 100, 3000) / 100
    bins = equal_mass_bins(probability)
    assert sorted(np.concatenate(bins)) == list(range(3000))
    values = [set(probability[part]) for part in bins]
    assert len(set.union(*values)) == sum(map(len, values))
    assert all(150 < len(part) < 250 for part in bins)


def test_ece_of_two_hand_made_bins():
    labels, p = np.array([0, 1, 1, 1]), np.array([0.2, 0.4, 0.9, 0.9])
    assert expected_calibration_error(labels, p, bins=2) == pytest.approx(0.5 * 0.2 + 0.5 * 0.1)


def test_calibration_lowers_the_error_on_2000_test_objects_below_five_per_cent(tmp_path):
    table = prediction_table(8000, stretch=2.5)
    out, numbers = run_calibrate(table, tmp_path)
    before, after = numbers["test"]["demo"]["before"], numbers["test"]["demo"]["after"]
    assert after["n"] == 2000
    assert after["ece_debiased"] < 0.02 < before["ece_debiased"]
    for name in ("brier", "log_loss"):
        assert after[name] < before[name]
    assert out["probability"].to_numpy() == pytest.approx(expit(out["logit_calibrated"]))


def test_the_fit_sees_val_calibrate_alone(tmp_path):
    table = prediction_table(400)
    _, first = run_calibrate(table, tmp_path)
    table.loc[table["split"] != "val_calibrate", "logit"] *= 7
    _, second = run_calibrate(table, tmp_path)
    assert (first["a"], first["b"], first["n"]) == (second["a"], second["b"], 100)


def test_excluded_objects_are_not_calibrated_on(tmp_path):
    table = prediction_table(400)
    table.loc[table["split"] == "val_calibrate", "excluded"] = True
    _, numbers = run_calibrate(table, tmp_path)
    assert numbers["n"] == 0
    assert "not calibrated" in numbers["note"]


def test_numbers_are_given_per_test_set_and_say_its_survey(tmp_path):
    parts = [
        prediction_table(80, dataset="a", survey="hsc"),
        prediction_table(80, dataset="b", survey="sdss"),
        prediction_table(20, dataset="lenses", survey="hst", lens_fraction=1.0),
    ]
    _, numbers = run_calibrate(pd.concat(parts, ignore_index=True), tmp_path)
    found = numbers["test"]
    assert [(name, part["survey"]) for name, part in found.items()] == [
        ("a", "hsc"), ("b", "sdss"), ("lenses", "hst"),
    ]  # fmt: skip
    assert [found[name]["after"]["n"] for name in "ab"] == [20, 20]
    assert found["lenses"]["after"] is None
    assert found["lenses"]["note"] == "undefined: no non-lens among 5 objects"


def test_no_test_objects_gives_no_test_set_and_a_note_not_a_crash(tmp_path):
    _, numbers = run_calibrate(prediction_table(40, split="val_calibrate"), tmp_path)
    assert numbers["test"] == {}
    assert "no labelled test objects" in numbers["note"]


def test_a_fitted_calibration_can_be_applied_to_another_set(tmp_path):
    _, numbers = run_calibrate(prediction_table(400, stretch=2.0), tmp_path)
    other = written(prediction_table(10, dataset="field", split="search"), tmp_path, "field")
    apply_calibration(
        predictions=other, parameters=str(tmp_path / "p.json"), out=str(tmp_path / "f.parquet")
    )
    out = pd.read_parquet(tmp_path / "f.parquet")
    assert out["logit_calibrated"].to_numpy() == pytest.approx(
        numbers["a"] * out["logit"].to_numpy() + numbers["b"]
    )


def calibrated_models(folder, n=400, models=3, **options):
    paths = []
    for i in range(models):
        table = prediction_table(n, score_seed=i, model_seed=i, **options)
        run_calibrate(table, folder, f"model{i}")
        paths.append(str(folder / f"model{i}-cal.parquet"))
    return paths


def test_fusing_is_the_plain_mean_of_calibrated_logits_calibrated_again(tmp_path):
    paths = calibrated_models(tmp_path)
    # Row order must not matter: samples are matched by name.
    shuffled = pd.read_parquet(paths[1]).sample(frac=1, random_state=0)
    shuffled.to_parquet(paths[1], index=False)
    out, parameters = str(tmp_path / "fused.parquet"), str(tmp_path / "fused.json")
    fuse(predictions=paths, out=out, parameters=parameters, fusion="mean")
    fused = pd.read_parquet(out).set_index("sample_id")
    logits = np.stack(
        [pd.read_parquet(p).set_index("sample_id")["logit_calibrated"][fused.index] for p in paths]
    )
    assert fused["logit"].to_numpy() == pytest.approx(logits.mean(axis=0))
    assert fused["logit_std"].to_numpy() == pytest.approx(logits.std(axis=0, ddof=1))
    numbers = json.loads((tmp_path / "fused.json").read_text())
    again = numbers["a"] * fused["logit"] + numbers["b"]
    assert fused["logit_calibrated"].to_numpy() == pytest.approx(again.to_numpy())
    assert set(fused["model"]) == {"fused"}


def test_one_model_alone_has_no_spread(tmp_path):
    paths = calibrated_models(tmp_path, models=1)
    out = tmp_path / "fused.parquet"
    fuse(predictions=paths, out=str(out), parameters=str(tmp_path / "fused.json"))
    assert pd.read_parquet(out)["logit_std"].isna().all()


def test_fusing_predictions_of_other_samples_names_table_and_sample(tmp_path):
    paths = calibrated_models(tmp_path, n=40, models=2)
    table = pd.read_parquet(paths[1])
    table[table["sample_id"] != "demo-00007"].to_parquet(paths[1], index=False)
    with pytest.raises(ValueError, match=r"model1-cal\.parquet.*demo-00007"):
        fuse(predictions=paths, out=str(tmp_path / "x"), parameters=str(tmp_path / "y"))


def test_a_rarer_lens_is_less_probable_by_bayes():
    shifted = expit(prevalence_shift(np.array([0.0, 5.0]), 0.5, 1e-3))
    odds = 1e-3 / 0.999
    assert shifted == pytest.approx([odds / (1 + odds), np.exp(5) * odds / (1 + np.exp(5) * odds)])
    with pytest.raises(ValueError, match="between 0 and 1"):
        prevalence_shift(np.array([0.0]), 1.0, 1e-3)


def test_purity_at_prevalence_is_what_a_sky_of_that_prevalence_gives():
    labels = np.r_[np.ones(100, int), np.zeros(1000, int)]
    scores = np.r_[np.full(80, 2.0), np.zeros(20), np.full(10, 2.0), np.full(990, -1.0)]
    table = purity_table(labels, scores, 1e-2)
    row = table.iloc[0]
    assert row["completeness"] == 0.8
    assert row["purity"] == pytest.approx(0.01 * 0.8 / (0.01 * 0.8 + 0.99 * 0.01))
    assert bool(row["resolved"])
    assert threshold_for_purity(table, 0.4) == 0.0  # twenty more lenses, no false positive
    # Thirty lenses above every non-lens are pure only for want of non-lenses.
    unresolved = purity_table(labels, scores + np.r_[np.full(30, 5.0), np.zeros(1070)], 1e-2)
    assert unresolved["purity"].iloc[0] == 1.0
    assert np.isnan(threshold_for_purity(unresolved, 0.9))
    assert np.isnan(threshold_for_purity(table, 0.9))


def test_a_test_set_is_judged_at_its_own_lens_fraction(tmp_path):
    """Scores that are right among as many lenses as non-lenses, tested where lenses are rare."""
    fitted = prediction_table(8000, stretch=1.5)
    rare = prediction_table(
        6000, dataset="rare", lens_fraction=0.07, split="test", score_seed=3, stretch=1.5
    )
    table, numbers = run_calibrate(pd.concat([fitted, rare], ignore_index=True), tmp_path)
    assert numbers["prior"] == 0.5
    for found in numbers["test"].values():
        assert found["after"]["ece_debiased"] < 0.025
    own = table[table["dataset"] == "rare"]
    labels, logits = own["label"].to_numpy(), own["logit_calibrated"].to_numpy()
    assert expected_calibration_error(labels, expit(logits)) > 0.08
    moved = expit(at_own_fraction(labels, logits, 0.5))
    assert moved.mean() == pytest.approx(0.07, abs=0.01)
