"""Tables of the summary page: each reads a product as the rooms before it write it."""

import json

import numpy as np
import pytest
from evaluation_tables import prediction_table, written
from training_toy import toy_table

from lenshunt.core import write_json
from lenshunt.evaluation import calibrate, evaluate
from lenshunt.reporting import data_tables, scores
from lenshunt.training.regression import TARGETS, regression_report, target_table


def test_what_a_pretraining_reports_is_shown(tmp_path):
    galaxies = toy_table(np.full(30, -1))
    learned = regression_report(galaxies, target_table(galaxies).astype(float))
    path = str(tmp_path / "resnet18.json")
    views = {"retrieval_top1": 0.5, "alignment": 0.25, "uniformity": -2.0}
    learned["contrastive"] = {"n": 30, "projection": views, "features": views}
    write_json({"backbone": "resnet18", "epoch": 3, **learned}, path)
    alone = str(tmp_path / "alone.json")
    write_json({"backbone": "vit", "epoch": 3, **learned, "contrastive": {}}, alone)
    table = data_tables.pretraining_table({"galaxies/resnet18": path, "galaxies/vit": alone})
    row = table.iloc[0]
    shown = ["retrieval top-1", "alignment", "uniformity"]
    assert row[shown].tolist() == ["0.500", "0.250", "-2.000"]
    assert table.iloc[1][shown].tolist() == ["-", "-", "-"]
    assert (row["backbone"], row["test galaxies"]) == ("galaxies/resnet18", 30)
    assert (row["sigma_NMAD"], row["R^2 redshift"]) == ("0.000", "1.000")
    # The toy galaxies all have one axis ratio: no spread to explain.
    assert row["R^2 axis_ratio"] == "-"
    assert [f"R^2 {name}" for name in TARGETS] == list(row.index[5:-3])


@pytest.mark.parametrize("lens_fraction, shown", [(0.5, "["), (1.0, "undefined")])
def test_metrics_are_shown_with_interval_or_word(tmp_path, lens_fraction, shown):
    table = prediction_table(400, lens_fraction=lens_fraction)
    out = {"out_csv": str(tmp_path / "m.csv"), "out_tex": str(tmp_path / "m.tex")}
    evaluate(predictions={"a": written(table, tmp_path)}, bootstraps=50, seed=0, **out)
    row = scores.metrics_table(out["out_csv"]).iloc[0]
    assert shown in row["AUROC"]
    assert row["lenses"] + row["non-lenses"] == 100


def test_a_calibration_is_shown_before_and_after(tmp_path):
    path = str(tmp_path / "a.json")
    calibrate(
        predictions=written(prediction_table(4000, stretch=2.5), tmp_path),
        out=str(tmp_path / "a.parquet"),
        parameters=path,
    )
    row = scores.calibration_table({("ground", "a"): path}).iloc[0]
    assert (row["test set"], row["lenses / non-lenses"]) == ("demo", "500 / 500")
    assert float(row["ECE after"]) < float(row["ECE before"])


def test_a_model_without_a_search_has_no_candidates_to_show(tmp_path):
    model = {
        "n_images": 60,
        "n_systems": 21,
        "image_plane_rms_arcsec": 0.318,
        "critical_curves": {"2": {"einstein_radius_arcsec": None}},
        "candidates": None,
    }
    path = tmp_path / "numbers.json"
    path.write_text(json.dumps({"models": {"a": model}}))
    row = data_tables.cluster_table({"smacs0723": str(path)}).iloc[0]
    assert row["image-plane RMS (arcsec)"] == "0.318"
    assert row["candidates / scanned"] == "no field scanned"
    assert row["p-value"] == row["theta_E at z=2 (arcsec)"] == "-"
