"""The summary page says what the products say."""

import pandas as pd
import pytest

from lenshunt.report import tables
from lenshunt.report.summary import markdown_table


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
    table.to_csv(tmp_path / "metrics.csv", index=False)
    return str(tmp_path / "metrics.csv")


def test_metrics_come_with_intervals_or_say_why_not(metrics_csv):
    row = tables.metrics_table(metrics_csv).iloc[0]
    assert row["AUROC"] == "0.910 [0.880, 0.940]"
    assert row["TPR at FPR 1e-3"] == "not resolved"
    assert row["AUPRC"] == "undefined"
    assert row["F_beta"] == "0.800"
    assert row["TPR0"] == "-"
    assert (row["lenses"], row["non-lenses"]) == (50, 100)


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
    row = tables.psf_table({("des", "ground"): str(tmp_path / "psf.csv")}).iloc[0]
    assert row["matched"] == "1 of 2"
    assert row["largest residual of matched"] == "0.10 %"
    assert row["largest residual of all"] == "5.00 %"
