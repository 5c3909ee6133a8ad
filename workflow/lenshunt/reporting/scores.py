"""Tables of scores on the summary page: metrics, calibration, fusion, published ones, verdicts."""

from collections.abc import Mapping

import pandas as pd
from astropy.table import Table

from lenshunt.config import FUSED
from lenshunt.core import RESOURCES
from lenshunt.evaluation import STAGES, sets_apart
from lenshunt.reporting.data_tables import number_text, read_json
from lenshunt.training.scores import FNR_LOW_MAX

#: Faint lenses missed: stratum and metric.
FNR_LOW = ("flux_ratio=low", "fnr_at_fpr_0.1")
#: Columns of the main table by (stratum, metric), in its order.
MAIN_METRICS = {
    ("all", "auroc"): "AUROC",
    ("all", "auprc"): "AUPRC",
    ("all", "tpr_at_0fp"): "TPR0",
    ("all", "tpr_at_10fp"): "TPR10 (a count)",
    ("all", "tpr_at_fpr_0.1"): "TPR at FPR 0.1",
    ("all", "tpr_at_fpr_1e-2"): "TPR at FPR 1e-2",
    ("all", "tpr_at_fpr_1e-3"): "TPR at FPR 1e-3",
    ("all", "tpr_at_fpr_1e-4"): "TPR at FPR 1e-4",
    ("all", "f_beta_0.001"): "F_beta",
    FNR_LOW: "FNR, flux ratio < 0.1",
}
#: Words of a note that say why a metric has no value; else it is undefined.
NO_VALUE = ("not resolved", "not fitted")
#: Columns of the verdict table, by quantity; the TPR's is at the FPR that its test set resolves.
COMPARED_QUANTITIES = {"partial_auc": "partial AUC", "tpr": "TPR", "auroc": "AUROC"}
PUBLISHED = RESOURCES / "published" / "lens_finding_challenge.ecsv"


def metrics_table(path: str) -> pd.DataFrame:
    """Main metrics of one experiment, all test objects of each data set, with 95 % intervals."""
    metrics = pd.read_csv(path)
    rows = []
    for (dataset, label), part in metrics.groupby(["dataset", "label"], sort=False):
        entries = {(entry["stratum"], entry["metric"]): entry for _, entry in part.iterrows()}
        row: dict[str, object] = {"test set": dataset, "model": label}
        whole = part[part["stratum"] == "all"].iloc[0]
        row["lenses"], row["non-lenses"] = whole["n_lens"], whole["n_nonlens"]
        for key, name in MAIN_METRICS.items():
            row[name] = _with_interval(entries[key]) if key in entries else "-"
        rows.append(row)
    columns = ["test set", "model", "lenses", "non-lenses", *MAIN_METRICS.values()]
    return pd.DataFrame(rows, columns=columns)


def _with_interval(entry: pd.Series) -> str:
    if pd.isna(entry["value"]):
        note = str(entry["note"])
        return next((word for word in NO_VALUE if word in note), "undefined")
    if pd.isna(entry["low"]):
        return f"{entry['value']:.3f}"
    return f"{entry['value']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]"


def faint_lens_warnings(path: str) -> list[str]:
    """A sentence for every test set on which a model misses too many lenses of low flux ratio."""
    metrics = pd.read_csv(path)
    chosen = (metrics["stratum"] == FNR_LOW[0]) & (metrics["metric"] == FNR_LOW[1])
    # The chosen way of fusing stands for all of them.
    other_fusion = metrics["model"].astype(str).str.startswith(f"{FUSED}:")
    metrics = metrics[chosen & ~other_fusion & metrics["value"].notna()]
    found = []
    for dataset in sets_apart(metrics["dataset"]):
        rows = metrics[metrics["dataset"] == dataset]
        over = rows[rows["value"] > FNR_LOW_MAX]
        if len(over):
            names = ", ".join(f"{r['label']} {r['value']:.0%}" for _, r in over.iterrows())
            found.append(
                f"Warning: on {dataset}, {len(over)} of {len(rows)} scores miss more than "
                f"{FNR_LOW_MAX:.0%} of the {rows['n_lens'].iloc[0]} lenses of flux ratio < 0.1 "
                f"at FPR <= 0.1: {names}."
            )
    return found


def calibration_table(parameters: Mapping[tuple[str, str], str]) -> pd.DataFrame:
    """Calibration of every model: its fit, and its errors on each test set before and after.

    parameters : JSON of calibrations by (experiment, label)
    """
    rows = []
    for (experiment, label), path in parameters.items():
        fitted = read_json(path)
        fit = {
            "experiment": experiment,
            "model": label,
            "fitted on": fitted["n"],
            "a": number_text(fitted["a"]),
            "b": number_text(fitted["b"]),
        }
        nothing = {"n_lens": 0, "n_nonlens": 0, "note": ""} | dict.fromkeys(STAGES)
        for name, tested in (fitted["test"] or {"-": nothing}).items():
            row = fit | {"test set": name}
            row["lenses / non-lenses"] = f"{tested['n_lens']} / {tested['n_nonlens']}"
            for stage in STAGES:
                numbers = tested[stage] or {}
                row[f"ECE {stage}"] = number_text(numbers.get("ece"))
                row[f"debiased ECE {stage}"] = number_text(numbers.get("ece_debiased"))
                row[f"Brier {stage}"] = number_text(numbers.get("brier"))
            row["note"] = "; ".join(n for n in (fitted["note"], tested["note"]) if n)
            rows.append(row)
    return pd.DataFrame(rows)


def fusion_table(parameters: Mapping[tuple[str, str], str]) -> pd.DataFrame:
    """Ways to fuse the members of every experiment: the validation score that chose, weights.

    parameters : JSON of calibrations by (experiment, label); those of single models are passed by
    """
    rows = []
    for (experiment, _), path in parameters.items():
        fusion = read_json(path).get("fusion")
        if fusion is None:
            continue
        for method, numbers in fusion["methods"].items():
            chosen = method == fusion["chosen"]
            weights = numbers.get("weights", {})
            rows.append(
                {
                    "experiment": experiment,
                    "method": method,
                    f"val_select: {fusion['select']['score']}": number_text(numbers["val_select"]),
                    "lenses / non-lenses": "{n_lens} / {n_nonlens}".format(**fusion["select"]),
                    "members worth": number_text(numbers.get("members_effective")),
                    "weights": ", ".join(f"{name} {w:.2f}" for name, w in weights.items()) or "-",
                    "taken": f"yes: {fusion['why']}" if chosen else numbers["note"] or "no",
                }
            )
    return pd.DataFrame(rows)


def published_table(variant: str) -> pd.DataFrame:
    """Entries of one half of the Lens Finding Challenge, with the names of our main table.

    variant : `ground` or `space`
    """
    names = {"auroc": "AUROC", "tpr_at_0fp": "TPR0", "tpr_at_10fp": "TPR10 (a count)"}
    columns = {"name": "entry", "method": "method", **names}
    return published_scores(variant)[list(columns)].rename(columns=columns)


def published_scores(variant: str) -> pd.DataFrame:
    """Entries of one half of the challenge, in the published order.

    variant : `ground` or `space`. Columns name, variant, auroc, tpr_at_0fp, tpr_at_10fp, method.
    A score on other data is not comparable; see the table's own meta data.
    """
    table = Table.read(PUBLISHED, format="ascii.ecsv").to_pandas()
    chosen = table[table["variant"] == variant]
    if chosen.empty:
        known = ", ".join(sorted(table["variant"].unique()))
        raise ValueError(f"{PUBLISHED}: no entries for {variant!r}; it has {known}")
    return chosen.reset_index(drop=True)


def comparisons_table(path: str) -> pd.DataFrame:
    """Verdict and difference of every comparison on every test set that has both classes."""
    table = pd.read_csv(path)
    table = table[table["verdict"] != "undefined"]
    rows = []
    for (dataset, name), part in table.groupby(["dataset", "comparison"], sort=False):
        first = part.iloc[0]
        row: dict[str, object] = {"test set": dataset, "comparison": name}
        row |= {"model": first["model"], "against": first["against"], "seeds": first["seeds"]}
        row["lenses / non-lenses"] = f"{first['n_lens']} / {first['n_nonlens']}"
        for _, entry in part.iterrows():
            row[COMPARED_QUANTITIES[entry["quantity"]]] = _verdict(entry)
        rows.append(row)
    return pd.DataFrame(rows)


def _verdict(entry: pd.Series) -> str:
    """The verdict with the difference behind it: better: +0.031 [+0.012, +0.050]."""
    if pd.isna(entry["difference"]):
        return str(entry["verdict"])
    at = f" at FPR {entry['fpr']:g}" if entry["quantity"] == "tpr" else ""
    text = f"{entry['verdict']}: {entry['difference']:+.4f}"
    if pd.isna(entry["low"]):
        return f"{text}{at}, no interval"
    return f"{text} [{entry['low']:+.4f}, {entry['high']:+.4f}]{at}"
