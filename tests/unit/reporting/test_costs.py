"""The table of what models cost, from benchmark files as Snakemake writes them."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from snakemake.benchmark import BenchmarkRecord, write_benchmark_records

from lenshunt.reporting.costs import COLUMNS, run_cost, write_costs


def benchmark(folder: Path, name: str, seconds: float, pss_mb: float | None) -> str:
    """A benchmark file; without `pss_mb` that of a job too short to be sampled."""
    record = BenchmarkRecord(running_time=seconds)
    if pss_mb is not None:
        # workers share pages with their parent: the plain sum counts them several times
        record.max_rss, record.max_pss, record.data_collected = 3 * pss_mb, pss_mb, True
    path = str(folder / f"{name}.tsv")
    write_benchmark_records([record], path, False)
    return path


@pytest.fixture
def written(tmp_path) -> tuple[pd.DataFrame, str]:
    """Table and LaTeX of a model with two seeds and of one that took no time."""
    sizes = tmp_path / "sizes.json"
    sizes.write_text(json.dumps({"resnet18": 11_200_000, "vit_small": 22_000_000}))
    jobs = {
        "train": {("resnet18", 1): (100.0, 900.0), ("resnet18", 2): (140.0, 1000.0)},
        "predict": {("resnet18", 1): (10.0, 500.0), ("resnet18", 2): (12.0, 400.0)},
    }
    paths = {}
    for job, runs in jobs.items():
        runs["vit_small", 1] = (0.1, None)
        paths[job] = {
            run: benchmark(tmp_path, f"{job}-{run[0]}-{run[1]}", *cost)
            for run, cost in runs.items()
        }
    out = {"out_csv": str(tmp_path / "costs.csv"), "out_tex": str(tmp_path / "costs.tex")}
    write_costs(parameters=str(sizes), trained=paths["train"], predicted=paths["predict"], **out)
    assert not list(tmp_path.glob("*.partial"))
    return pd.read_csv(out["out_csv"]), Path(out["out_tex"]).read_text()


def test_seconds_are_means_over_the_seeds_and_memory_is_the_largest(written):
    table, _ = written
    assert list(table.columns) == list(COLUMNS)
    row = table.set_index("model").loc["resnet18"]
    assert row.to_dict() == {
        "seeds": 2,
        "parameters_millions": 11.2,
        "train_wall_s": 120.0,
        "train_peak_memory_mb": 1000.0,
        "predict_wall_s": 11.0,
        "predict_peak_memory_mb": 500.0,
    }


def test_memory_of_a_job_too_short_to_be_sampled_is_not_made_up(written):
    table, latex = written
    row = table.set_index("model").loc["vit_small"]
    assert row[["train_wall_s", "predict_wall_s"]].tolist() == [0.1, 0.1]
    assert row[["train_peak_memory_mb", "predict_peak_memory_mb"]].isna().all()
    assert r"vit\_small & 1 & 22.00 & 0 & -- & 0 & -- \\" in latex


def test_a_job_that_ran_elsewhere_has_no_cost(tmp_path):
    assert all(math.isnan(value) for value in run_cost(str(tmp_path / "copied.tsv")).values())


@pytest.mark.parametrize(
    "text, missing", [("s\th:m:s\n1.0\t0:00:01\n", "max_pss"), ("s\tmax_pss\n", "row")]
)
def test_a_file_that_is_no_benchmark_is_named(tmp_path, text, missing):
    path = tmp_path / "bad.tsv"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"bad\.tsv: no {missing}; is this a benchmark file"):
        run_cost(str(path))
