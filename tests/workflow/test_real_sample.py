"""The whole DAG on real public files: every reader, PSF matching, metrics and the overlay."""

import json

import pandas as pd
import pytest

pytestmark = pytest.mark.real
REAL = ("--configfile", "tests/workflow/real_sample.yaml")


@pytest.fixture(scope="module")
def results(real_data, checkout):
    """Folder of the results, and what the run printed."""
    printed = checkout.snakemake(*REAL, "--cores", "2")
    return checkout.root / "results/real_sample", printed


def psf_residuals(folder, name, grid) -> pd.DataFrame:
    return pd.read_csv(folder / f"psf/{grid}/{name}.csv")


def test_the_run_prints_the_number_of_real_objects(results):
    folder, printed = results
    assert printed.count("| hsc_stamps | stamps | 27 |") == 1
    assert "| bologna_ground | bologna | 6 |" in printed
    assert "| bologna_space | bologna | 8 |" in printed
    assert "| hst_lenses | hst_lenses | 6 | 3 |" in printed
    assert (folder / "summary.html").exists()


def test_one_lens_in_several_files_stays_in_one_split(results):
    splits = pd.read_parquet(results[0] / "splits/hst_lenses.parquet")
    assert splits.groupby("system_id")["split"].nunique().max() == 1


def test_real_hsc_psfs_are_matched_to_three_in_a_thousand(results):
    table = psf_residuals(results[0], "hsc_stamps", "ground")
    assert len(table) == 135
    assert table["residual"].max() <= 0.003


def test_real_hst_psfs_are_matched_to_one_percent(results):
    for name in ("hst_lenses", "hst_galaxies"):
        table = psf_residuals(results[0], name, "space")
        assert table["residual"].max() <= 0.01


def test_real_des_psfs_are_matched_to_one_percent_and_sharpening_is_told(results):
    table = psf_residuals(results[0], "des_lrg", "ground").fillna({"explanation": ""})
    assert len(table) == 30
    assert table["matched"].all()
    assert table["residual"].max() <= 0.007
    assert table["peak_gain"].max() <= 2.0
    told = table["explanation"].str.contains("sharpened")
    assert (told == (table["peak_gain"] > 1.25)).all()
    assert 0 < told.sum() < 10


def test_the_published_image_plane_rms_comes_out(results):
    numbers = json.loads((results[0] / "cluster/smacs0723/numbers.json").read_text())
    (model,) = numbers["models"].values()
    assert model["n_images"] == 60
    assert model["image_plane_rms_arcsec"] == pytest.approx(0.32, abs=0.01)


def test_what_a_handful_of_objects_cannot_tell_is_not_claimed(results):
    metrics = pd.read_csv(results[0] / "tables/metrics/space.csv")
    whole = metrics[(metrics["stratum"] == "all") & (metrics["label"] == "fused")]
    lenses_only = whole[(whole["dataset"] == "hst_lenses") & (whole["metric"] == "auroc")]
    assert lenses_only["value"].isna().all()
    assert lenses_only["note"].str.len().gt(0).all()
    tiny = whole[whole["metric"] == "tpr_at_fpr_1e-3"]
    assert tiny["value"].isna().all()
