"""The study table, the verdicts of the summary page and the forest plot."""

import json

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import prediction_table, written
from scipy.special import expit

from lenshunt.core.ranking_metrics import partial_auc
from lenshunt.evaluation import compare, evaluate, study_table
from lenshunt.evaluation.calibration import calibration_numbers, expected_calibration_error
from lenshunt.evaluation.intervals import percentile_interval
from lenshunt.evaluation.study import IDENTITY, NUMBERS, resampled_errors
from lenshunt.reporting.figures.comparisons import draw_comparisons
from lenshunt.reporting.scores import comparisons_table


def tables(n: int = 600, **more) -> dict[str, pd.DataFrame]:
    """Two seeds of two models and their fusion, by label."""
    found = {}
    for name, separation in (("a", 1.5), ("b", 2.5)):
        for seed in (1, 2):
            found[f"{name}-{seed}"] = prediction_table(
                n, split="test", model=name, model_seed=seed,
                separation=separation, score_seed=seed + 10 * len(found), **more,
            )  # fmt: skip
    fused = prediction_table(n, split="test", model="fused", model_seed=-1, **more)
    return found | {"fused": fused}


def made(folder, paths, members=("a", "b"), name="s"):
    """The study table of `paths`, from the metrics and sizes in `folder`, and its LaTeX."""
    out = {end: folder / f"{name}.{end}" for end in ("csv", "tex")}
    study_table(
        predictions=paths,
        members=members,
        metrics_csv=str(folder / "m.csv"),
        parameters=str(folder / "sizes.json"),
        out_csv=str(out["csv"]),
        out_tex=str(out["tex"]),
        bootstraps=200,
        seed=0,
    )
    return pd.read_csv(out["csv"]), out["tex"].read_text()


def measured(folder, found):
    """Paths of tables of predictions, whose metrics and sizes are written beside them."""
    paths = {label: written(table, folder, label) for label, table in found.items()}
    out = {"out_csv": str(folder / "m.csv"), "out_tex": str(folder / "m.tex")}
    evaluate(predictions=paths, bootstraps=50, seed=0, **out)
    (folder / "sizes.json").write_text(json.dumps({"a": 1000, "b": 2_000_000}))
    return paths


@pytest.fixture
def study(tmp_path):
    """(tables of predictions, the study table, its LaTeX)."""
    found = tables()
    for table in found.values():
        table["logit_calibrated"] = 0.5 * table["logit"]
    return found, *made(tmp_path, measured(tmp_path, found))


def test_a_row_holds_the_mean_and_the_range_of_its_seeds(study):
    found, table, _ = study
    assert list(table.columns[: len(IDENTITY)]) == list(IDENTITY)
    row = table[table["model"] == "a"].iloc[0]
    own = [found["a-1"], found["a-2"]]
    areas = [partial_auc(t["label"].to_numpy(), t["logit"].to_numpy()) for t in own]
    assert row["partial_auc"] == pytest.approx(np.mean(areas))
    assert (row["partial_auc_seed_min"], row["partial_auc_seed_max"]) == pytest.approx(
        (min(areas), max(areas))
    )
    for when, column in (("before", "logit"), ("after", "logit_calibrated")):
        errors = [
            calibration_numbers(t["label"].to_numpy(), t[column].to_numpy())["ece_debiased"]
            for t in own
        ]
        assert row[f"ece_{when}"] == pytest.approx(np.mean(errors))
    assert row["auroc_seed_min"] < row["auroc"] < row["auroc_seed_max"]
    assert (row["seeds"], row["n_lens"], row["n_nonlens"]) == (2, 300, 300)


def test_a_fusion_has_the_parameters_of_all_its_members(study):
    table = study[1].set_index("model")
    assert list(table.index) == ["a", "b", "fused"]
    assert list(table["parameters"]) == [1000, 2_000_000, 2 * 2_001_000]
    assert table.loc["fused", "auroc_seed_min"] == table.loc["fused", "auroc_seed_max"]


def test_what_is_not_resolved_is_empty_and_two_dashes(study):
    _, table, latex = study
    assert table["tpr_at_fpr_1e-3"].isna().all()
    assert table["fnr_low_flux_ratio"].between(0, 1).all()
    lines = [line for line in latex.splitlines() if line.startswith("demo")]
    assert len(lines) == 3
    assert all(line.count(" -- ") == 1 for line in lines)
    lines += [line for line in latex.splitlines() if "seeds from, to" in line]
    assert len(lines) == 3 + 2  # the fusion is one score
    assert all(line.count("&") == len(IDENTITY) + len(NUMBERS) - 1 for line in lines)


def test_metrics_of_another_run_are_an_error(study, tmp_path):
    paths = {"a-1": str(tmp_path / "a-1.parquet")}
    metrics = pd.read_csv(tmp_path / "m.csv")
    metrics[metrics["model"] != "a"].to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(ValueError, match="no metrics of a, seed 1, on demo"):
        made(tmp_path, paths)


def test_an_ablation_is_no_member_of_the_fusion(study, tmp_path):
    labels = ("a-1", "a-2", "b-1", "b-2", "fused")
    paths = {label: str(tmp_path / f"{label}.parquet") for label in labels}
    table, _ = made(tmp_path, paths, members=["a"])
    table = table.set_index("model")
    assert list(table["parameters"]) == [1000, 2_000_000, 2 * 1000]


def test_metrics_of_other_objects_are_an_error(study, tmp_path):
    found, *_ = study
    paths = {"a-1": str(tmp_path / "a-1.parquet")}
    paths["b-1"] = written(found["b-1"].iloc[50:], tmp_path, "fewer")
    with pytest.raises(ValueError, match=r"a, seed 1, on demo are of 300 lenses.*have 250 and 300"):
        made(tmp_path, paths)


@pytest.mark.slow
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
    found, _ = made(tmp_path, measured(tmp_path, {"a-1": table}), members=["a"])
    test = table[table["split"] == "test"]
    unshifted = calibration_numbers(test["label"].to_numpy(), test["logit"].to_numpy())
    assert unshifted["ece_debiased"] > 0.08
    assert found["ece_after"].iloc[0] < 0.02
    assert found["ece_after_high"].iloc[0] < 0.05


def test_every_number_has_an_interval_over_systems_apart_from_the_range_of_seeds(study, tmp_path):
    _, table, _ = study
    metrics = pd.read_csv(tmp_path / "m.csv")
    for _, row in table.iterrows():
        for name in set(NUMBERS) - {"tpr_at_fpr_1e-3"}:
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            assert low <= row[name] <= high
            assert 0 < high - low < 0.35
    own = metrics[(metrics["model"] == "a") & (metrics["stratum"] == "all")]
    lows = own.loc[own["metric"] == "auroc", "low"]
    assert table.loc[0, "auroc_low"] == pytest.approx(lows.mean())
    assert table[["tpr_at_fpr_1e-3_low", "tpr_at_fpr_1e-3_high"]].isna().all(axis=None)


def test_views_of_one_system_widen_the_intervals_of_the_study(tmp_path):
    """The same tables, of which one says that every six objects are views of one."""
    widths = []
    for views in (1, 6):
        found = {"a-1": prediction_table(1200, split="test", model="a", model_seed=1)}
        number = np.arange(1200) // views * views
        found["a-1"]["system_id"] = [f"system-{i}" for i in number]
        # Views of one system have one score.
        found["a-1"]["logit"] = found["a-1"]["logit"].to_numpy()[number]
        found["a-1"]["logit_calibrated"] = 0.3 * found["a-1"]["logit"]
        table, _ = made(tmp_path, measured(tmp_path, found), members=["a"])
        ends = {name: table[[f"{name}_low", f"{name}_high"]].iloc[0] for name in NUMBERS}
        names = ("auroc", "partial_auc", "tpr_at_fpr_0.1", "ece_after")
        widths.append([ends[name].iloc[1] - ends[name].iloc[0] for name in names])
    assert (np.array(widths[1]) > 1.5 * np.array(widths[0])).all()


@pytest.mark.slow
def test_test_sets_are_taken_apart_not_as_a_whole(tmp_path):
    parts = {name: tables(200, dataset=name) for name in ("x", "y")}
    found = {
        label: pd.concat([part[label] for part in parts.values()], ignore_index=True)
        for label in parts["x"]
    }
    table, _ = made(tmp_path, measured(tmp_path, found))
    assert list(table["dataset"].unique()) == ["x", "y"]
    assert list(table["model"]) == 2 * ["a", "b", "fused"]


@pytest.mark.parametrize("stretch", [1.0, 1.5])
def test_the_interval_of_the_calibration_error_covers_the_truth(stretch):
    """Resampled errors of many test sets enclose the error of a very large one."""
    rng = np.random.default_rng(0)

    def sample(n):
        logits = rng.normal(0, 2, n)
        return rng.random(n) < expit(logits / stretch), logits

    labels, logits = sample(400_000)
    truth = expected_calibration_error(labels, expit(logits), debiased=True)
    inside = 0
    for seed in range(60):
        labels, logits = sample(1500)
        errors = resampled_errors(labels, np.arange(1500), {("", ("a", 1)): logits}, 200, seed)
        low, high = percentile_interval(errors["", ("a", 1)])
        inside += low - 1e-3 <= truth <= high
    assert inside >= 51
