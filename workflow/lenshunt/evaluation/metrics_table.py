"""The long table of metrics: model x data set x stratum x metric, as CSV and LaTeX."""

import zlib
from collections.abc import Mapping

import numpy as np
import pandas as pd
from tqdm import tqdm

from lenshunt.core import latex_interval, latex_table, tex_text, write_csv, write_text
from lenshunt.evaluation.challenge_metrics import METRICS, bologna_metrics, fnr_metrics
from lenshunt.evaluation.ensembles import chosen_method, fusion_methods
from lenshunt.evaluation.predictions import labelled_rows, read_predictions
from lenshunt.evaluation.strata import strata, test_sets

#: Columns of the long table.
METRIC_COLUMNS = (
    "label",
    "dataset",
    "model",
    "seed",
    "stratum",
    "metric",
    "value",
    "low",
    "high",
    "interval",
    "n_lens",
    "n_nonlens",
    "note",
)
LATEX_METRICS = {
    "tpr_at_0fp": r"TPR$_0$",
    "tpr_at_10fp": r"TPR$_{10}$",
    "tpr_at_fpr_0.1": r"TPR$_{\rm FPR\leq0.1}$",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f_beta_0.001": r"F$_\beta$",
}


def evaluate(
    *,
    predictions: dict[str, str],
    out_csv: str,
    out_tex: str,
    bootstraps: int,
    seed: int,
    fusions: Mapping[str, str] | None = None,
) -> None:
    """Metrics of every model on the test split: per set (see `test_sets`) and per stratum.

    predictions : Parquet table by the model's label in the report. Metrics are taken of
    `logit_calibrated` where the table has it (calibrated models are one monotonic map away from
    their logits, but pooled sets of an ensemble are not), else of `logit`.
    fusions : JSON of a fusion by the label of its table: every method gets rows under
    "LABEL (METHOD)", model fused:METHOD; those of the chosen one stand under LABEL as well.
    A method that is not fitted gets its reason.
    out_csv : columns METRIC_COLUMNS; out_tex : the stratum `all` for a paper
    """
    parts = []
    for label, path in tqdm(predictions.items(), desc="metrics", unit="model", disable=None):
        table = read_predictions(path)
        test = labelled_rows(table, "test", path)
        model, model_seed = _identity(table)
        for dataset, rows in test_sets(test).items():
            fusion = (fusions or {}).get(label)
            found = (
                {(label, model): set_metrics(rows, bootstraps, part_seed(seed, label, dataset))}
                if fusion is None
                else _method_metrics(label, model, rows, fusion, bootstraps, seed, dataset)
            )
            for (name, kind), part in found.items():
                identity = {"label": name, "dataset": dataset, "model": kind, "seed": model_seed}
                parts.append(part.assign(**identity))
    metrics = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    metrics = metrics.reindex(columns=list(METRIC_COLUMNS))
    write_csv(metrics, out_csv, "%.10g")
    write_text(metrics_latex(metrics), out_tex)


def _method_metrics(
    label: str,
    model: str,
    rows: pd.DataFrame,
    fusion: str,
    bootstraps: int,
    seed: int,
    dataset: str,
) -> dict[tuple[str, str], pd.DataFrame]:
    """Metrics of one test set by every method of a fusion, by (label, model); the chosen last."""
    found = {}
    for method, note in fusion_methods(fusion).items():
        name = f"{label} ({method})"
        column = f"{method}:logit_calibrated"
        found[(name, f"{model}:{method}")] = (
            _without_scores(rows, note)
            if note
            else set_metrics(
                rows.assign(logit_calibrated=rows[column]),
                bootstraps,
                part_seed(seed, name, dataset),
            )
        )
    chosen = chosen_method(fusion)
    found[(label, model)] = found[(f"{label} ({chosen})", f"{model}:{chosen}")]
    return found


def _without_scores(rows: pd.DataFrame, note: str) -> pd.DataFrame:
    """Metrics of the stratum `all` without values, and the reason."""
    lens = rows["label"] == 1
    return pd.DataFrame({"metric": METRICS, "stratum": "all", "value": np.nan}).assign(
        low=np.nan,
        high=np.nan,
        interval="",
        n_lens=int(lens.sum()),
        n_nonlens=int((~lens).sum()),
        note=note,
    )


def set_metrics(test: pd.DataFrame, bootstraps: int, seed: int) -> pd.DataFrame:
    """Metrics of one test set in all its strata; flux-ratio bins with false-negative rates.

    test : labelled rows. A set of one class has the stratum `all` alone: where the whole is
    undefined, so is every part. Returns the columns of `bologna_metrics` and stratum.
    """
    score = "logit_calibrated" if "logit_calibrated" in test else "logit"
    labels, scores = test["label"].to_numpy(), test[score].to_numpy(float)
    ids = test["sample_id"].to_numpy()
    systems = pd.factorize(test["system_id"])[0]
    parts = []
    for stratum in strata(test):
        if test["label"].nunique() < 2 and stratum.name != "all":
            break
        rows = stratum.rows
        part = bologna_metrics(
            labels[rows],
            scores[rows],
            bootstraps=bootstraps,
            seed=part_seed(seed, stratum.name),
            sample_ids=ids[rows],
            systems=systems[rows],
        )
        if stratum.name == "all" or stratum.name.startswith("flux_ratio="):
            part = pd.concat([part, fnr_metrics(part)], ignore_index=True)
        part["stratum"] = stratum.name
        notes = [[note, stratum.note] for note in part["note"]]
        part["note"] = ["; ".join(n for n in pair if n) for pair in notes]
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _identity(table: pd.DataFrame) -> tuple[str, int]:
    """Model and seed of a table of predictions, the same in all its rows."""
    if table.empty:
        return "", -1
    return str(table["model"].iloc[0]), int(table["seed"].iloc[0])


def part_seed(seed: int, *names: str) -> int:
    """Seed of one part: does not depend on which other parts are evaluated."""
    return zlib.crc32("\0".join((str(seed), *names)).encode())


def metrics_latex(metrics: pd.DataFrame) -> str:
    """LaTeX table of the stratum `all`: one line per model and data set."""
    numbers = r"$N_{\rm lens}$ / $N_{\rm nonlens}$"
    header = ["Model", "Data set", numbers, *LATEX_METRICS.values()]
    lines = []
    whole = metrics[metrics["stratum"] == "all"]
    for (label, dataset), rows in whole.groupby(["label", "dataset"], sort=False):
        by_name = rows.set_index("metric")
        counts = f"{int(rows['n_lens'].iloc[0])} / {int(rows['n_nonlens'].iloc[0])}"
        cells = [_latex_cell(by_name.loc[[name]].iloc[0]) for name in LATEX_METRICS]
        lines.append([tex_text(label), tex_text(dataset), counts, *cells])
    return latex_table("ll" + "r" * (len(header) - 2), header, lines)


def _latex_cell(row: pd.Series) -> str:
    """Value with its interval, if it has one; the word of the note where there is no value."""
    if np.isnan(row["value"]):
        return str(row["note"]).split(":")[0]
    return latex_interval(row["value"], row["low"], row["high"])
