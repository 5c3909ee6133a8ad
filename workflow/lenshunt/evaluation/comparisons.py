"""Is one model better than another? Paired differences of all comparisons, as CSV and LaTeX."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lenshunt.config import FUSED
from lenshunt.core import latex_table, tex_text, write_csv, write_text
from lenshunt.core.ranking_metrics import PARTIAL_FPR, lenses_found
from lenshunt.evaluation.bootstrap import QUANTITIES, Run, paired_bootstrap, system_counts
from lenshunt.evaluation.challenge_metrics import FEW, one_class_reason
from lenshunt.evaluation.differences import (
    NOT_RESOLVED,
    UNDEFINED,
    TrainingScatter,
    at_least_paired,
    pooled_scatter,
    resolved_rate,
    seeds_and_samples,
)
from lenshunt.evaluation.metrics_table import part_seed
from lenshunt.evaluation.scored_tests import ScoredTest, read_scored_tests

#: Columns of the table: one row per comparison, test set and quantity.
COMPARISON_COLUMNS = (
    "comparison",
    "model",
    "against",
    "dataset",
    "quantity",
    "fpr",
    "value_model",
    "value_against",
    "difference",
    "low",
    "high",
    "verdict",
    "seeds",
    "seed_min",
    "seed_max",
    "n_lens",
    "n_nonlens",
    "note",
)
FPR_OF = {"partial_auc": PARTIAL_FPR, "auroc": 1.0}
VALUES = ("value_model", "value_against")
LATEX_QUANTITIES = {"partial_auc": r"pAUC$_{\rm FPR\leq0.1}$", "tpr": "TPR", "auroc": "AUROC"}


def common_runs(runs: list[Run], model: str, against: str) -> tuple[list[tuple[Run, Run]], str]:
    """Pairs of runs to subtract, one per seed that both have, and a note on what that leaves out.

    The fusion of all seeds is one score, set against every seed of the other.
    Raises ValueError where one of both has no scores, or none of a common seed.
    """
    seeds = {name: sorted(s for m, s in runs if m == name) for name in (model, against)}
    for name, found in seeds.items():
        if not found:
            known = ", ".join(dict.fromkeys(m for m, _ in runs))
            raise ValueError(f"comparison of {model} with {against}: no scores of {name} ({known})")
    if model == FUSED:
        pairs = [((model, seeds[model][0]), (against, seed)) for seed in seeds[against]]
        notes = ["the fusion is one score: its own training scatter is not included"]
    else:
        common = sorted(set(seeds[model]) & set(seeds[against]))
        pairs = [((model, seed), (against, seed)) for seed in common]
        single = sorted(set(seeds[model]) ^ set(seeds[against]))
        notes = [f"seed {seed} of one model alone is left out" for seed in single]
    if not pairs:
        raise ValueError(
            f"comparison of {model} with {against}: no common seed ({model} has {seeds[model]}, "
            f"{against} has {seeds[against]}); train both with the same seeds"
        )
    if len(pairs) == 1:
        notes.append("one seed: training scatter not included")
    return pairs, "; ".join(notes)


def compare(
    *,
    predictions: Mapping[str, str],
    comparisons: Mapping[str, tuple[str, str]],
    out_csv: str,
    out_tex: str,
    bootstraps: int,
    seed: int,
) -> None:
    """Compare models on every test set (see `test_sets`) of their experiment.

    predictions : Parquet table by label, of every model and seed and of their fusion
    comparisons : (model, against) by name
    out_csv : columns COMPARISON_COLUMNS; out_tex : the same without what is undefined
    Raises ValueError as `read_scored_tests` and `common_runs`.
    """
    tests = read_scored_tests(predictions)
    parts = [
        compare_on(test, comparisons, bootstraps, part_seed(seed, name)).assign(dataset=name)
        for name, test in tests.items()
    ]
    table = pd.concat(parts, ignore_index=True)[list(COMPARISON_COLUMNS)]
    write_csv(table, out_csv, "%.10g")
    write_text(comparisons_latex(table), out_tex)


def compare_on(
    test: ScoredTest, comparisons: Mapping[str, tuple[str, str]], bootstraps: int, seed: int
) -> pd.DataFrame:
    """Every comparison on one test set: COMPARISON_COLUMNS but `dataset`, three rows each.

    comparisons : (model, against) by name. Values, differences and bounds are NaN where they are
    undefined (one class) or not resolved (too few non-lenses for any FPR); bounds also where
    fewer than ten systems have a lens, or a non-lens, and of a partial area that rests on
    non-lenses of fewer than ten systems. The note says why.
    """
    pairs = {name: common_runs(list(test.scores), *pair) for name, pair in comparisons.items()}
    used = {run for found, _ in pairs.values() for pair in found for run in pair}
    measured = _measured(test, used, bootstraps, seed)
    rows = []
    for name, (model, against) in comparisons.items():
        runs, note = pairs[name]
        for quantity in QUANTITIES:
            row: dict[str, object] = {
                "comparison": name,
                "model": model,
                "against": against,
                "quantity": quantity,
            }
            row |= {"seeds": len(runs), "n_lens": measured.n_lens, "n_nonlens": measured.n_nonlens}
            row["fpr"] = measured.rate if quantity == "tpr" else FPR_OF[quantity]
            row |= measured.numbers(runs, quantity, part_seed(seed, name, quantity))
            notes = [str(row["note"]), test.note, note]
            rows.append(row | {"note": "; ".join(n for n in notes if n)})
    return pd.DataFrame(rows).reindex(columns=[c for c in COMPARISON_COLUMNS if c != "dataset"])


@dataclass(frozen=True)
class _Measured:
    """Quantities of every run on one test set: plain [3] and resampled [b, 3].

    found : lenses above the threshold of `rate`, bool [n1]; rate : FPR that the non-lenses
    resolve, NaN for none; reason : why nothing is defined, or ""; lens_systems, nonlens_systems :
    number of systems with an object of the class
    """

    n_lens: int
    n_nonlens: int
    lens_systems: int
    nonlens_systems: int
    rate: float
    reason: str
    plain: dict[Run, np.ndarray]
    resampled: dict[Run, np.ndarray]
    found: dict[Run, np.ndarray]

    def numbers(self, pairs: list[tuple[Run, Run]], quantity: str, seed: int) -> dict[str, object]:
        """Values, difference, bounds, verdict and note of one quantity."""
        if self.reason:
            return {"verdict": UNDEFINED, "note": f"undefined: {self.reason}"}
        if quantity == "tpr" and np.isnan(self.rate):
            systems = f"non-lenses of {self.nonlens_systems} systems"
            note = f"not resolved: {systems} resolve no FPR <= {PARTIAL_FPR:g}"
            return {"verdict": NOT_RESOLVED, "note": note}
        at = QUANTITIES.index(quantity)
        first, second = (np.array([self.plain[pair[i]][at] for pair in pairs]) for i in (0, 1))
        drawn = [self.resampled[a][:, at] - self.resampled[b][:, at] for a, b in pairs]
        difference = seeds_and_samples(
            first - second,
            np.stack(drawn, axis=1),
            self.scatter(quantity),
            fixed=pairs[0][0][0] == FUSED,
            seed=seed,
        )
        if quantity == "tpr":
            lenses = [(self.found[a], self.found[b]) for a, b in pairs]
            difference = at_least_paired(difference, lenses)
        numbers: dict[str, object] = {
            "value_model": first.mean(),
            "value_against": second.mean(),
            **vars(difference),
            "verdict": difference.verdict,
            "note": "",
        }
        note = self._no_interval(quantity)
        if note:
            numbers |= {"low": np.nan, "high": np.nan, "verdict": NOT_RESOLVED, "note": note}
        return numbers

    def scatter(self, quantity: str) -> TrainingScatter:
        """Scatter of a quantity between the seeds of a model, pooled over the models compared."""
        at = QUANTITIES.index(quantity)
        by_model: dict[str, list[float]] = {}
        for (model, _), values in self.plain.items():
            by_model.setdefault(model, []).append(float(values[at]))
        return pooled_scatter(np.array(values) for values in by_model.values())

    def _no_interval(self, quantity: str) -> str:
        """Why no bootstrap can tell the interval; "" where it can."""
        if min(self.lens_systems, self.nonlens_systems) < FEW:
            return f"no interval: a class has fewer than {FEW} systems"
        if quantity == "partial_auc" and np.isnan(self.rate):
            systems = f"{self.nonlens_systems} systems of non-lenses"
            return f"no interval: fewer than {FEW} of {systems} at its FPR"
        return ""


def _measured(test: ScoredTest, runs: set[Run], bootstraps: int, seed: int) -> _Measured:
    """Everything that the comparisons of one test set need, bootstrapped together."""
    lens, systems = test.lens, test.rows["system_id"].to_numpy(str)
    n_lens, n_nonlens = int(lens.sum()), int((~lens).sum())
    reason = one_class_reason(n_lens, n_nonlens)
    lens_systems, nonlens_systems = system_counts(lens, systems)
    rate = resolved_rate(nonlens_systems)
    counts = (n_lens, n_nonlens, lens_systems, nonlens_systems, rate, reason)
    if reason:
        return _Measured(*counts, plain={}, resampled={}, found={})
    scores = {run: test.scores[run] for run in sorted(runs)}
    # Without a rate the TPR is not looked at; any will do.
    used = PARTIAL_FPR if np.isnan(rate) else rate
    plain, resampled = paired_bootstrap(lens, systems, scores, used, bootstraps, seed)
    found = {run: lenses_found(lens, values, used) for run, values in scores.items()}
    return _Measured(*counts, plain=plain, resampled=resampled, found=found)


def comparisons_latex(table: pd.DataFrame) -> str:
    """LaTeX table: one line per test set, comparison and quantity; verdicts last."""
    header = ["Test set", "Comparison", "Quantity", "Model", "Against", "Difference", "Verdict"]
    lines = []
    for _, row in table[table["verdict"] != UNDEFINED].iterrows():
        quantity = LATEX_QUANTITIES[str(row["quantity"])]
        if row["quantity"] == "tpr" and not np.isnan(row["fpr"]):
            quantity = rf"TPR$_{{\rm FPR\leq{row['fpr']:g}}}$"
        values = ["--" if np.isnan(row[c]) else f"{row[c]:.4f}" for c in VALUES]
        names = [tex_text(row["dataset"]), tex_text(row["comparison"]), quantity]
        lines.append([*names, *values, _latex_difference(row), str(row["verdict"])])
    return latex_table("lllrrrl", header, lines)


def _latex_difference(row: pd.Series) -> str:
    """Difference with its interval, as far as there are any."""
    if np.isnan(row["difference"]):
        return "--"
    value = f"${row['difference']:+.4f}$"
    return value if np.isnan(row["low"]) else f"{value} $[{row['low']:+.4f}, {row['high']:+.4f}]$"
