"""Candidate lists of a search: ranking, units, and what single models measured."""

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from evaluation_tables import prediction_table, run_calibrate

from lenshunt.evaluation import fuse
from lenshunt.search import CANDIDATE_COLUMNS, rank_candidates


def ranked(folder, prevalence=1e-3):
    table = pd.concat(
        [
            prediction_table(400, score_seed=3),
            prediction_table(30, dataset="field", source="unlabelled", split="search"),
        ],
        ignore_index=True,
    )
    run_calibrate(table, folder)
    rank_candidates(
        predictions=str(folder / "p-cal.parquet"),
        parameters=str(folder / "p.json"),
        prevalence=prevalence,
        out_ecsv=str(folder / "c.ecsv"),
        out_parquet=str(folder / "c.parquet"),
    )
    return pd.read_parquet(folder / "c.parquet")


def test_candidates_are_all_scanned_objects_ranked_at_the_prevalence(tmp_path):
    candidates = ranked(tmp_path)
    assert tuple(candidates.columns) == CANDIDATE_COLUMNS
    assert len(candidates) == 30
    assert candidates["probability"].is_monotonic_decreasing
    assert (candidates["probability"] < candidates["probability_calibrated"]).all()


def test_the_candidate_list_carries_units_and_its_prevalence(tmp_path):
    candidates = ranked(tmp_path)
    table = Table.read(tmp_path / "c.ecsv", format="ascii.ecsv")
    assert str(table["ra"].unit) == "deg"
    assert str(table["magnitude_i"].unit) == "mag(AB)"
    assert table.meta["prevalence"] == 1e-3
    assert list(table["sample_id"]) == list(candidates["sample_id"])


def test_candidates_show_what_the_members_of_a_fusion_measured_with_units(tmp_path):
    scanned = prediction_table(12, dataset="field", source="unlabelled", split="search")
    table = pd.concat([prediction_table(80, split="val_calibrate"), scanned], ignore_index=True)
    number = np.arange(len(table), dtype=float)
    measured = {
        "pinn": {"chi2_gain": number, "theta_e": np.where(number % 2, 1.0 + number / 50, np.nan)},
        "bayes": {"epistemic": number / 100, "aleatoric": 0.3 + 0 * number},
        "plain": {},
    }
    paths = []
    for name, own in measured.items():
        folder = tmp_path / name
        folder.mkdir()
        run_calibrate(table.assign(model=name, seed=1, **own), folder)
        paths.append(str(folder / "p-cal.parquet"))
    fuse(predictions=paths, out=str(tmp_path / "f.parquet"), parameters=str(tmp_path / "f.json"))
    rank_candidates(
        predictions=str(tmp_path / "f.parquet"),
        parameters=str(tmp_path / "f.json"),
        prevalence=1e-3,
        out_ecsv=str(tmp_path / "c.ecsv"),
        out_parquet=str(tmp_path / "c.parquet"),
    )
    candidates = Table.read(tmp_path / "c.ecsv", format="ascii.ecsv")
    expected = table.assign(**measured["pinn"], **measured["bayes"]).set_index("sample_id")
    expected = expected.loc[list(candidates["sample_id"])]
    members = ["pinn-1:chi2_gain", "pinn-1:theta_e", "bayes-1:epistemic", "bayes-1:aleatoric"]
    assert candidates.colnames == [*CANDIDATE_COLUMNS, *members]
    for member in members:
        quantity = member.split(":")[1]
        for name in (member, quantity):
            values = np.ma.filled(np.ma.asarray(candidates[name], float), np.nan)
            np.testing.assert_allclose(values, expected[quantity])
    assert str(candidates["theta_e"].unit) == str(candidates["pinn-1:theta_e"].unit) == "arcsec"
    assert "pinn-1" in candidates["pinn-1:theta_e"].description
    assert "nats" in candidates["epistemic"].description
    assert np.ma.count_masked(candidates["theta_e"]) == 6
    assert np.ma.count_masked(candidates["chi2_gain"]) == 0


def test_what_no_model_measures_is_missing_in_the_candidate_list(tmp_path):
    ranked(tmp_path)
    candidates = Table.read(tmp_path / "c.ecsv", format="ascii.ecsv")
    for quantity in ("chi2_gain", "theta_e", "epistemic", "aleatoric"):
        assert candidates[quantity].mask.all()


def test_candidates_without_a_search_set_are_an_error(tmp_path):
    run_calibrate(prediction_table(40), tmp_path)
    with pytest.raises(ValueError, match="no rows of split `search`"):
        rank_candidates(
            predictions=str(tmp_path / "p-cal.parquet"),
            parameters=str(tmp_path / "p.json"),
            prevalence=1e-3,
            out_ecsv=str(tmp_path / "c.ecsv"),
            out_parquet=str(tmp_path / "c.parquet"),
        )
