"""The study table, the verdicts of the summary page and the forest plot."""

import json

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import prediction_table, written

from lenshunt.evaluation import compare, evaluate, study_table
from lenshunt.evaluation.calibration import calibration_numbers
from lenshunt.evaluation.ensembles import partial_auc
from lenshunt.evaluation.study import IDENTITY, NUMBERS
from lenshunt.figures.comparisons import draw_comparisons
from lenshunt.report.ablations import comparisons_table


def tables(n: int = 600, **more) -> dict[str, pd.DataFrame]:
    """Two seeds of two models and their fusion, by label."""
    found = {}
    for name, separation in (("a", 1.5), ("b", 2.5)):
        for seed in (1, 2):
            found[f"{name}-{seed}"] = prediction_table(
                n, split="test", model=name, model_seed=seed,
                separation=separation, score_seed=seed + 10 * len(found), **more,
            )  # fmt: skip
    fused = prediction_table(n, split="test", model="ensemble", model_seed=-1, **more)
    return found | {"fused": fused}


@pytest.fixture
def study(tmp_path):
    """(tables of predictions, the study table, its LaTeX)."""
    found = tables()
    for table in found.values():
        table["logit_calibrated"] = 0.5 * table["logit"]
    paths = {label: written(table, tmp_path, label) for label, table in found.items()}
    metrics = str(tmp_path / "m.csv")
    evaluate(
        predictions=paths, out_csv=metrics, out_tex=str(tmp_path / "m.tex"), bootstraps=50, seed=0
    )
    (tmp_path / "sizes.json").write_text(json.dumps({"a": 1000, "b": 2_000_000}))
    out = tmp_path / "s.csv"
    study_table(
        predictions=paths,
        members=["a", "b"],
        metrics_csv=metrics,
        parameters=str(tmp_path / "sizes.json"),
        out_csv=str(out),
        out_tex=str(tmp_path / "s.tex"),
    )
    return found, pd.read_csv(out), (tmp_path / "s.tex").read_text()


def test_a_row_holds_the_mean_and_the_range_of_its_seeds(study):
    found, table, _ = study
    assert list(table.columns[: len(IDENTITY)]) == list(IDENTITY)
    row = table[table["model"] == "a"].iloc[0]
    own = [found["a-1"], found["a-2"]]
    areas = [partial_auc(t["label"].to_numpy(), t["logit"].to_numpy()) for t in own]
    assert row["partial_auc"] == pytest.approx(np.mean(areas))
    assert (row["partial_auc_min"], row["partial_auc_max"]) == pytest.approx(
        (min(areas), max(areas))
    )
    for when, column in (("before", "logit"), ("after", "logit_calibrated")):
        errors = [
            calibration_numbers(t["label"].to_numpy(), t[column].to_numpy())["ece_debiased"]
            for t in own
        ]
        assert row[f"ece_{when}"] == pytest.approx(np.mean(errors))
    assert row["auroc_min"] < row["auroc"] < row["auroc_max"]
    assert (row["seeds"], row["n_lens"], row["n_nonlens"]) == (2, 300, 300)


def test_a_fusion_has_the_parameters_of_all_its_members(study):
    table = study[1].set_index("model")
    assert list(table.index) == ["a", "b", "fused"]
    assert list(table["parameters"]) == [1000, 2_000_000, 2 * 2_001_000]
    assert table.loc["fused", "auroc_min"] == table.loc["fused", "auroc_max"]


def test_what_is_not_resolved_is_empty_and_two_dashes(study):
    _, table, latex = study
    assert table["tpr_at_fpr_1e-3"].isna().all()
    assert table["fnr_low_flux_ratio"].between(0, 1).all()
    lines = [line for line in latex.splitlines() if line.startswith("demo")]
    assert len(lines) == 3
    assert all(line.count(" -- ") == 1 for line in lines)
    assert all(line.count("&") == len(IDENTITY) + len(NUMBERS) - 1 for line in lines)


def test_metrics_of_another_run_are_an_error(study, tmp_path):
    paths = {"a-1": str(tmp_path / "a-1.parquet")}
    metrics = pd.read_csv(tmp_path / "m.csv")
    metrics[metrics["model"] != "a"].to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(ValueError, match="no metrics of a, seed 1, on demo"):
        study_table(
            predictions=paths,
            members=["a"],
            metrics_csv=str(tmp_path / "m.csv"),
            parameters=str(tmp_path / "sizes.json"),
            out_csv=str(tmp_path / "s2.csv"),
            out_tex=str(tmp_path / "s2.tex"),
        )


def test_an_ablation_is_no_member_of_the_fusion(study, tmp_path):
    labels = ("a-1", "a-2", "b-1", "b-2", "fused")
    out = tmp_path / "s2.csv"
    study_table(
        predictions={label: str(tmp_path / f"{label}.parquet") for label in labels},
        members=["a"],
        metrics_csv=str(tmp_path / "m.csv"),
        parameters=str(tmp_path / "sizes.json"),
        out_csv=str(out),
        out_tex=str(tmp_path / "s2.tex"),
    )
    table = pd.read_csv(out).set_index("model")
    assert list(table["parameters"]) == [1000, 2_000_000, 2 * 1000]


def test_metrics_of_other_objects_are_an_error(study, tmp_path):
    found, *_ = study
    paths = {"a-1": str(tmp_path / "a-1.parquet")}
    paths["b-1"] = written(found["b-1"].iloc[50:], tmp_path, "fewer")
    with pytest.raises(ValueError, match=r"a, seed 1, on demo are of 300 lenses.*have 250 and 300"):
        study_table(
            predictions=paths,
            members=["a", "b"],
            metrics_csv=str(tmp_path / "m.csv"),
            parameters=str(tmp_path / "sizes.json"),
            out_csv=str(tmp_path / "s2.csv"),
            out_tex=str(tmp_path / "s2.tex"),
        )


@pytest.mark.parametrize("n, lens_fraction, sets", [(600, 0.5, 1), (30, 0.5, 1), (30, 1.0, 0)])
def test_verdicts_are_tabulated_and_drawn_of_any_set(tmp_path, n, lens_fraction, sets):
    found = tables(n, lens_fraction=lens_fraction)
    paths = {label: written(table, tmp_path, label) for label, table in found.items()}
    csv = str(tmp_path / "c.csv")
    compare(
        predictions=paths,
        comparisons={"more": ("b", "a"), "fusion": ("fused", "a")},
        out_csv=csv,
        out_tex=str(tmp_path / "c.tex"),
        bootstraps=100,
        seed=0,
    )
    shown = comparisons_table(csv)
    assert len(shown) == 2 * sets
    if n == 600:
        assert shown.loc[0, "AUROC"].startswith("better: +0.")
        assert shown.loc[0, "TPR"].endswith("at FPR 0.1")
    elif sets:
        assert shown.loc[0, "TPR"] == "not resolved"
        assert shown.loc[0, "partial AUC"].endswith("no interval")
    out = tmp_path / "c.pdf"
    draw_comparisons(comparisons_csv=csv, out=str(out))
    assert out.stat().st_size > 2000
    first = out.with_suffix(".png").read_bytes()
    draw_comparisons(comparisons_csv=csv, out=str(out))
    assert out.with_suffix(".png").read_bytes() == first


def test_calibration_is_judged_at_the_lens_fraction_of_the_test_set(tmp_path):
    """Logits that are right among as many lenses as non-lenses, tested where lenses are rare."""
    rng = np.random.default_rng(1)
    table = prediction_table(6000, split="test", model="a", model_seed=1)
    table.loc[(table.index // 2) % 2 == 0, "split"] = "val_calibrate"
    # two unit normals 2 apart: their log ratio of likelihoods is 2 x, about the middle
    table["logit"] = 2 * (rng.normal(size=6000) + np.where(table["label"] == 1, 1.0, -1.0))
    table["logit_calibrated"] = table["logit"]
    lenses = table.index[(table["split"] == "test") & (table["label"] == 1)]
    table = table.drop(lenses[150:]).reset_index(drop=True)
    path = written(table, tmp_path, "a-1")
    (tmp_path / "sizes.json").write_text('{"a": 1}')
    metrics, out = str(tmp_path / "m.csv"), str(tmp_path / "s.csv")
    tex = str(tmp_path / "t.tex")
    evaluate(predictions={"a-1": path}, out_csv=metrics, out_tex=tex, bootstraps=50, seed=0)
    study_table(
        predictions={"a-1": path}, members=["a"], metrics_csv=metrics,
        parameters=str(tmp_path / "sizes.json"), out_csv=out, out_tex=tex,
    )  # fmt: skip
    test = table[table["split"] == "test"]
    unshifted = calibration_numbers(test["label"].to_numpy(), test["logit"].to_numpy())
    assert unshifted["ece_debiased"] > 0.08
    assert pd.read_csv(out)["ece_after"].iloc[0] < 0.02
