"""The summary page says what the products say."""

import pandas as pd
import pytest

from lenshunt.reporting import data_tables, scores
from lenshunt.reporting.summary import Products, markdown_table, summary_text


def test_a_markdown_table_escapes_its_own_separator():
    text = markdown_table(pd.DataFrame({"a|b": ["x|y"]}))
    assert text.splitlines()[2] == "| x\\|y |"


def test_a_table_without_rows_is_a_sentence():
    assert markdown_table(pd.DataFrame()) == "Nothing to show.\n"


@pytest.fixture
def metrics_csv(tmp_path):
    rows = [
        ("auroc", 0.91, 0.88, 0.94, ""),
        ("tpr_at_fpr_1e-3", None, None, None, "not resolved: 100 non-lenses"),
        ("auprc", None, None, None, "undefined: one class"),
        ("f_beta_0.001", 0.8, None, None, "too few objects"),
    ]
    table = pd.DataFrame(rows, columns=["metric", "value", "low", "high", "note"])
    table = table.assign(
        label="resnet18-1", dataset="demo", stratum="all", n_lens=50, n_nonlens=100
    )
    low = {"metric": "fnr_at_fpr_0.1", "stratum": "flux_ratio=low", "n_lens": 20}
    table = pd.concat([table, pd.DataFrame([{"value": 0.41, "low": 0.3, "high": 0.5, **low}])])
    same = ["label", "dataset", "n_nonlens", "note"]
    table[same] = table[same].ffill()
    table.assign(model="resnet18").to_csv(tmp_path / "metrics.csv", index=False)
    return str(tmp_path / "metrics.csv")


def test_metrics_come_with_intervals_or_say_why_not(metrics_csv):
    row = scores.metrics_table(metrics_csv).iloc[0]
    assert row["AUROC"] == "0.910 [0.880, 0.940]"
    assert row["TPR at FPR 1e-3"] == "not resolved"
    assert row["AUPRC"] == "undefined"
    assert row["F_beta"] == "0.800"
    assert row["TPR0"] == "-"
    assert row["FNR, flux ratio < 0.1"] == "0.410 [0.300, 0.500]"
    assert (row["lenses"], row["non-lenses"]) == (50, 100)


def test_too_many_missed_faint_lenses_are_a_warning(metrics_csv):
    (warning,) = scores.faint_lens_warnings(metrics_csv)
    assert warning == (
        "Warning: on demo, 1 of 1 scores miss more than 30% of the 20 lenses of flux ratio < 0.1 "
        "at FPR <= 0.1: resnet18-1 41%."
    )
    table = pd.read_csv(metrics_csv)
    table.loc[table["stratum"] != "all", "value"] = 0.3
    table.to_csv(metrics_csv, index=False)
    assert scores.faint_lens_warnings(metrics_csv) == []


def test_the_summary_warns_and_shows_published_scores_as_not_comparable(metrics_csv, tmp_path):
    pd.DataFrame({"size_bytes": [1_000_000]}).to_csv(tmp_path / "manifest.csv", index=False)
    none = {key: {} for key in ("metadata", "rejected", "splits", "psf", "indexes")}
    manifest = str(tmp_path / "manifest.csv")
    more = {"metrics": {"ground": metrics_csv}, "manifest": manifest}
    shown = {
        reader: summary_text(Products(readers={"demo": reader}, **none, **more), seed=1)
        for reader in ("bologna", "castles")
    }
    for text in shown.values():
        assert "**Warning: on demo, 1 of 1 scores miss more than 30% of the 20 lenses" in text
        assert "for the TPR at FPR 0.1, and the FNR that it leaves, the wider of both" in text
    assert "A score on other data is not comparable" in shown["bologna"]
    assert "| CMU-DeepLens-Resnet-ground3 | CNN | 0.98 | 0.09 | 0.45 |" in shown["bologna"]
    assert "## Published scores" not in shown["castles"]


def test_published_scores_are_named_as_ours():
    ground = scores.published_table("ground")
    assert list(ground) == ["entry", "method", "AUROC", "TPR0", "TPR10 (a count)"]
    assert set(ground.columns[2:]) <= set(scores.MAIN_METRICS.values())


def test_psfs_over_the_gate_are_not_among_the_matched(tmp_path):
    pd.DataFrame(
        {
            "psf_id": ["a", "b"],
            "psf_source": ["shipped", "shipped"],
            "fwhm_arcsec": [0.7, 1.2],
            "target_fwhm_arcsec": [1.0, 1.0],
            "residual": [0.001, 0.05],
            "matched": [True, False],
        }
    ).to_csv(tmp_path / "psf.csv", index=False)
    row = data_tables.psf_table({("des", "ground"): str(tmp_path / "psf.csv")}).iloc[0]
    assert row["matched"] == "1 of 2"
    assert row["largest residual of matched"] == "0.10 %"
    assert row["largest residual of all"] == "5.00 %"
