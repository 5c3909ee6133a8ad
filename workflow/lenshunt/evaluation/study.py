"""The study table: one row per model and test set, seeds averaged, with their scatter."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from lenshunt.config import FUSED_LABEL
from lenshunt.evaluation.calibration import calibration_numbers
from lenshunt.evaluation.ensembles import FUSED, partial_auc
from lenshunt.evaluation.paired import Run
from lenshunt.evaluation.predictions import write_text
from lenshunt.evaluation.prevalence import prevalence_shift
from lenshunt.evaluation.report import tex_text
from lenshunt.evaluation.scored_tests import ScoredTest, read_scored_tests

#: Columns that are taken from the long table of metrics: (stratum, metric) there.
FROM_METRICS = {
    "auroc": ("all", "auroc"),
    "tpr_at_0fp": ("all", "tpr_at_0fp"),
    "tpr_at_10fp": ("all", "tpr_at_10fp"),
    "tpr_at_fpr_0.1": ("all", "tpr_at_fpr_0.1"),
    "tpr_at_fpr_1e-3": ("all", "tpr_at_fpr_1e-3"),
    "fnr_low_flux_ratio": ("flux_ratio=low", "fnr_at_fpr_0.1"),
}
#: Numbers of a model, in the order of the table, with their LaTeX names.
NUMBERS = {
    "auroc": "AUROC",
    "partial_auc": r"pAUC$_{\rm FPR\leq0.1}$",
    "tpr_at_0fp": r"TPR$_0$",
    "tpr_at_10fp": r"TPR$_{10}$",
    "tpr_at_fpr_0.1": r"TPR$_{\rm FPR\leq0.1}$",
    "tpr_at_fpr_1e-3": r"TPR$_{\rm FPR\leq10^{-3}}$",
    "fnr_low_flux_ratio": r"FNR$_{\rm low}$",
    "ece_before": "ECE before",
    "ece_after": "ECE after",
}
#: Columns before the numbers; every number NAME has NAME_min and NAME_max beside it.
IDENTITY = ("dataset", "model", "seeds", "n_lens", "n_nonlens", "parameters")


def study_table(
    *,
    predictions: Mapping[str, str],
    members: Collection[str],
    metrics_csv: str,
    parameters: str,
    out_csv: str,
    out_tex: str,
) -> None:
    """Write the study table of an experiment.

    predictions : Parquet table by label, of every model and seed and of their fusion
    members : models that are fused; mere ablations are not
    metrics_csv : the long table of `evaluate`; parameters : JSON, trainable values by model
    out_csv : IDENTITY, then each of NUMBERS with the smallest and largest of its seeds
    Test sets of one class are left out: all their numbers are undefined, for the reasons that
    the table of metrics gives. ECE is the debiased one, on the test set of the row, whose lens
    fraction is taken as known: logits are moved to it from that of val_calibrate.
    Raises ValueError as `read_scored_tests`, and where the metrics are of other objects.
    """
    metrics = pd.read_csv(metrics_csv)
    counts: dict[str, int] = json.loads(Path(parameters).read_text())
    rows = [
        row
        for dataset, test in read_scored_tests(predictions).items()
        if test.rows["label"].nunique() == 2
        for row in _rows(dataset, test, members, metrics, counts)
    ]
    spread = [f"{name}{end}" for name in NUMBERS for end in ("", "_min", "_max")]
    table = pd.DataFrame(rows, columns=[*IDENTITY, *spread])
    write_text(table.to_csv(index=False, float_format="%.10g"), out_csv)
    write_text(study_latex(table), out_tex)


def _rows(
    dataset: str,
    test: ScoredTest,
    members: Collection[str],
    metrics: pd.DataFrame,
    counts: Mapping[str, int],
) -> list[dict[str, object]]:
    """One row per model of one test set."""
    runs = list(test.scores)
    # The fusion works with all its members, each seed of them a network of its own.
    sizes = dict(counts) | {FUSED_LABEL: sum(counts[m] for m, _ in runs if m in members)}
    rows = []
    for model in dict.fromkeys(m for m, _ in runs):
        seeds = [run for run in runs if run[0] == model]
        row: dict[str, object] = {"dataset": dataset, "model": model, "seeds": len(seeds)}
        row |= {"n_lens": int(test.lens.sum()), "n_nonlens": int((~test.lens).sum())}
        row["parameters"] = sizes[model]
        numbers = pd.DataFrame([_numbers(dataset, test, run, metrics) for run in seeds])
        for name in NUMBERS:
            values = numbers[name]
            row |= {name: values.mean(skipna=False), f"{name}_min": values.min()}
            row[f"{name}_max"] = values.max()
        rows.append(row)
    return rows


def _numbers(
    dataset: str, test: ScoredTest, run: Run, metrics: pd.DataFrame
) -> dict[str, float | None]:
    """NUMBERS of one model and seed on one test set; NaN where one is not resolved."""
    model = FUSED if run[0] == FUSED_LABEL else run[0]
    own = metrics[
        (metrics["dataset"] == dataset) & (metrics["model"] == model) & (metrics["seed"] == run[1])
    ].set_index(["stratum", "metric"])
    if own.empty:
        raise ValueError(f"no metrics of {run[0]}, seed {run[1]}, on {dataset}: make them again")
    counted = [int(own[name]["all", "auroc"]) for name in ("n_lens", "n_nonlens")]
    common = [int(test.lens.sum()), int((~test.lens).sum())]
    if counted != common:
        raise ValueError(
            f"the metrics of {run[0]}, seed {run[1]}, on {dataset} are of {counted[0]} lenses and "
            f"{counted[1]} non-lenses, but all tables have {common[0]} and {common[1]} in common; "
            "predict with all models on the same data sets, and make the metrics again"
        )
    # A set without a known flux ratio has the low bin all the same, without a value.
    known = own["value"]
    found: dict[str, float | None] = {n: float(known[key]) for n, key in FROM_METRICS.items()}
    labels = test.rows["label"].to_numpy()
    found["partial_auc"] = partial_auc(labels, test.scores[run])
    prior, prevalence = test.priors[run], float(test.lens.mean())
    for when, values in (("before", test.logits[run]), ("after", test.scores[run])):
        there = prevalence_shift(values, prior, prevalence) if 0 < prior < 1 else values
        found[f"ece_{when}"] = calibration_numbers(labels, there)["ece_debiased"]
    return found


def study_latex(table: pd.DataFrame) -> str:
    """LaTeX (booktabs) table: mean of the seeds, below and above it their smallest and largest."""
    names = ["Test set", "Model", "Seeds", r"$N_{\rm lens}$", r"$N_{\rm nonlens}$"]
    lines = [
        r"\begin{tabular}{ll" + "r" * (len(IDENTITY) - 2 + len(NUMBERS)) + "}",
        r"\toprule",
        " & ".join([*names, "Parameters", *NUMBERS.values()]) + r" \\",
        r"\midrule",
    ]
    for _, row in table.iterrows():
        counts = [str(row[name]) for name in IDENTITY[2:5]]
        size = f"{row['parameters'] / 1e6:.2f}\\,M"
        cells = [_cell(*(row[f"{n}{end}"] for end in ("", "_min", "_max"))) for n in NUMBERS]
        named = [tex_text(row["dataset"]), tex_text(row["model"])]
        lines.append(" & ".join([*named, *counts, size, *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _cell(value: float, low: float, high: float) -> str:
    """A mean with the range of its seeds; two dashes where it is not resolved."""
    if np.isnan(value):
        return "--"
    return f"${value:.3f}$" if low == high else f"${value:.3f}_{{{low:.3f}}}^{{{high:.3f}}}$"
