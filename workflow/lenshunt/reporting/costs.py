"""What the models of an experiment cost: parameters, time and memory of training and prediction."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from lenshunt.core import latex_table, tex_text, write_csv, write_text

#: Columns of the table, with their LaTeX names and how many decimals are shown there.
COLUMNS = {
    "model": ("Model", 0),
    "seeds": ("Seeds", 0),
    "parameters_millions": (r"$10^6$ parameters", 2),
    "train_wall_s": ("Training (s)", 0),
    "train_peak_memory_mb": ("its memory (MB)", 0),
    "predict_wall_s": ("Prediction (s)", 0),
    "predict_peak_memory_mb": ("its memory (MB)", 0),
}
#: Model and seed -> path of a benchmark file of Snakemake.
Benchmarks = Mapping[tuple[str, int], str]


def write_costs(
    *,
    parameters: str,
    trained: Benchmarks,
    predicted: Benchmarks,
    out_csv: str,
    out_tex: str,
) -> None:
    """Write what each model costs, as CSV and LaTeX: one row per model, with COLUMNS.

    parameters : JSON, trainable values by model
    Seconds are means over the seeds that have a benchmark file, memory is that of the seed that
    took most.
    """
    counts: dict[str, int] = json.loads(Path(parameters).read_text())
    rows = []
    for model in dict.fromkeys(name for name, _ in trained):
        row: dict[str, object] = {"model": model, "parameters_millions": counts[model] / 1e6}
        for job, files in (("train", trained), ("predict", predicted)):
            runs = pd.DataFrame(
                [run_cost(path) for (name, _), path in files.items() if name == model]
            )
            row["seeds"] = len(runs)
            row[f"{job}_wall_s"] = runs["wall_s"].mean()
            row[f"{job}_peak_memory_mb"] = runs["peak_memory_mb"].max()
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    write_csv(table, out_csv, "%.6g")
    write_text(costs_latex(table), out_tex)


def run_cost(path: str) -> dict[str, float]:
    """`wall_s` and `peak_memory_mb` of one job.

    NaN where there is no such file, as of a training that was copied from another machine, and
    memory of a job that ended before it was sampled.
    path : benchmark file of Snakemake. Memory is the largest sum over the job's processes that a
        sample found, shared pages counted once (its max_pss, in MB of 2^20 bytes).
    Raises ValueError naming a file that has not these columns or not a row.
    """
    if not Path(path).exists():
        return {"wall_s": math.nan, "peak_memory_mb": math.nan}
    table = pd.read_csv(path, sep="\t", na_values=["-", "NA"])
    missing = [name for name in ("s", "max_pss") if name not in table]
    if missing or table.empty:
        raise ValueError(
            f"{path}: no {' and '.join(missing) or 'row'}; is this a benchmark file of Snakemake? "
            "Remove it, and its job runs again"
        )
    last = table.iloc[-1]
    return {"wall_s": float(last["s"]), "peak_memory_mb": float(last["max_pss"])}


def costs_latex(table: pd.DataFrame) -> str:
    """The table in LaTeX; two dashes where a number is not known."""
    lines = []
    for _, row in table.iterrows():
        cells = [tex_text(row["model"])]
        for name, (_, decimals) in list(COLUMNS.items())[1:]:
            cells.append("--" if pd.isna(row[name]) else f"{row[name]:.{decimals}f}")
        lines.append(cells)
    header = [name for name, _ in COLUMNS.values()]
    return latex_table("l" + "r" * (len(header) - 1), header, lines)
