"""The verdicts on what each part of a model is worth, as a table of the summary page."""

import pandas as pd

#: Columns of the verdict table, by quantity; the TPR's is at the FPR that its test set resolves.
COMPARED_QUANTITIES = {"partial_auc": "partial AUC", "tpr": "TPR", "auroc": "AUROC"}


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
