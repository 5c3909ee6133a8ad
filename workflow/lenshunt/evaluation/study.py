"""The study table: per model and test set means over seeds, intervals, and the seeds' range."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from lenshunt.config import FUSED
from lenshunt.core import latex_interval, latex_table, tex_text, write_csv, write_text
from lenshunt.core.ranking_metrics import PARTIAL_FPR, partial_auc
from lenshunt.evaluation.bootstrap import (
    QUANTITIES,
    Run,
    SystemDraws,
    paired_bootstrap,
    resampled,
    system_counts,
)
from lenshunt.evaluation.calibrate import STAGES
from lenshunt.evaluation.calibration import (
    equal_mass_bins,
    expected_calibration_error,
    size_without_noise,
)
from lenshunt.evaluation.challenge_metrics import FEW
from lenshunt.evaluation.differences import resolved_rate
from lenshunt.evaluation.intervals import percentile_interval
from lenshunt.evaluation.metrics_table import part_seed
from lenshunt.evaluation.prevalence import at_own_fraction
from lenshunt.evaluation.scored_tests import ScoredTest, read_scored_tests
from lenshunt.evaluation.strata import sets_apart

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
#: Columns before the numbers; every number NAME has those of BESIDE beside it.
IDENTITY = ("dataset", "model", "seeds", "n_lens", "n_nonlens", "parameters")
#: 95 % interval over test systems; smallest and largest seed.
BESIDE = ("_low", "_high", "_seed_min", "_seed_max")
#: Lower and upper bound by the name of a number.
Bounds = dict[str, tuple[float, float]]


def study_table(
    *,
    predictions: Mapping[str, str],
    members: Collection[str],
    metrics_csv: str,
    parameters: str,
    out_csv: str,
    out_tex: str,
    bootstraps: int,
    seed: int,
) -> None:
    """Write the study table of an experiment, a row per model and test set.

    predictions : Parquet table by label, of every model and seed and of their fusion
    members : models that are fused; mere ablations are not
    metrics_csv : the long table of `evaluate`; parameters : JSON, trainable values by model
    out_csv : IDENTITY, then each of NUMBERS as mean of the seeds, with BESIDE. Intervals are over
    test systems, of these very trainings: of what `evaluate` gives, the mean over the seeds of
    its bounds, else as `study_intervals` finds them.
    Test sets are taken apart (see `sets_apart`); those of one class are left out: all their
    numbers are undefined, for the reasons that the table of metrics gives. ECE is the debiased
    one at the lens fraction of the test set, see `at_own_fraction`.
    Raises ValueError as `read_scored_tests`, and where the metrics are of other objects.
    """
    metrics = pd.read_csv(metrics_csv)
    counts: dict[str, int] = json.loads(Path(parameters).read_text())
    tests = read_scored_tests(predictions)
    rows = []
    for dataset in sets_apart(tests):
        test = tests[dataset]
        if test.rows["label"].nunique() == 2:
            bounds = study_intervals(test, bootstraps, part_seed(seed, dataset))
            rows += _rows(dataset, test, members, metrics, counts, bounds)
    numbers = [f"{name}{end}" for name in NUMBERS for end in ("", *BESIDE)]
    table = pd.DataFrame(rows, columns=[*IDENTITY, *numbers])
    write_csv(table, out_csv, "%.10g")
    write_text(study_latex(table), out_tex)


def _rows(
    dataset: str,
    test: ScoredTest,
    members: Collection[str],
    metrics: pd.DataFrame,
    counts: Mapping[str, int],
    bounds: Mapping[str, Bounds],
) -> list[dict[str, object]]:
    """One row per model of one test set; bounds : of `study_intervals`."""
    runs = list(test.scores)
    # The fusion works with all its members, each seed of them a network of its own.
    sizes = dict(counts) | {FUSED: sum(counts[m] for m, _ in runs if m in members)}
    logits = logits_at_own_fraction(test)
    rows = []
    for model in dict.fromkeys(m for m, _ in runs):
        seeds = [run for run in runs if run[0] == model]
        row: dict[str, object] = {"dataset": dataset, "model": model, "seeds": len(seeds)}
        row |= {"n_lens": int(test.lens.sum()), "n_nonlens": int((~test.lens).sum())}
        row["parameters"] = sizes[model]
        numbers = pd.DataFrame([_numbers(dataset, test, run, metrics, logits) for run in seeds])
        for name in NUMBERS:
            values, value = numbers[name], numbers[name].mean(skipna=False)
            low, high = bounds[model].get(name) or (
                numbers[f"{name}{end}"].mean(skipna=False) for end in ("_low", "_high")
            )
            # Percentiles of resamples need not enclose the value of the whole set.
            beside = (min(low, value), max(high, value), values.min(), values.max())
            row |= {name: value} | dict(zip((f"{name}{e}" for e in BESIDE), beside, strict=True))
        rows.append(row)
    return rows


def _numbers(
    dataset: str,
    test: ScoredTest,
    run: Run,
    metrics: pd.DataFrame,
    logits: Mapping[tuple[str, Run], np.ndarray],
) -> dict[str, float]:
    """NUMBERS of one model and seed on one test set, those of `evaluate` with their bounds.

    logits : of `logits_at_own_fraction`. NaN where a number is not resolved.
    """
    own = _own_metrics(dataset, test, run, metrics)
    found = {}
    for name, key in FROM_METRICS.items():
        # A set without a known flux ratio has the low bin all the same, without a value.
        for end, column in (("", "value"), ("_low", "low"), ("_high", "high")):
            found[f"{name}{end}"] = float(own[column][key])
    labels = test.rows["label"].to_numpy()
    found["partial_auc"] = partial_auc(labels, test.scores[run])
    for stage in STAGES:
        probability = expit(logits[stage, run])
        found[f"ece_{stage}"] = expected_calibration_error(labels, probability, debiased=True)
    return found


def _own_metrics(dataset: str, test: ScoredTest, run: Run, metrics: pd.DataFrame) -> pd.DataFrame:
    """Metrics of one model and seed on one test set by (stratum, metric), its objects checked."""
    own = metrics[
        (metrics["dataset"] == dataset) & (metrics["model"] == run[0]) & (metrics["seed"] == run[1])
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
    return own


def logits_at_own_fraction(test: ScoredTest) -> dict[tuple[str, Run], np.ndarray]:
    """Logits [n] by stage and run, at the lens fraction of the test set."""
    stages = dict(zip(STAGES, (test.logits, test.scores), strict=True))
    return {
        (stage, run): at_own_fraction(test.lens, values, test.priors[run])
        for stage, by_run in stages.items()
        for run, values in by_run.items()
    }


def study_intervals(test: ScoredTest, bootstraps: int, seed: int) -> dict[str, Bounds]:
    """95 % intervals of partial_auc, ece_before and ece_after of every model, seeds averaged.

    Systems are resampled, the same for all; trainings are as they are. NaN where fewer than ten
    systems have a lens or a non-lens, of a partial AUC also where fewer than ten systems of
    non-lenses lie at its FPR.
    """
    lens, systems = test.lens, test.rows["system_id"].to_numpy(str)
    runs, counts = list(test.scores), system_counts(lens, systems)
    drawn: dict[tuple[str, Run], np.ndarray] = {}
    if min(counts) >= FEW:
        errors = resampled_errors(lens, systems, logits_at_own_fraction(test), bootstraps, seed)
        drawn |= {(f"ece_{stage}", run): found for (stage, run), found in errors.items()}
    if min(counts) >= FEW and not np.isnan(resolved_rate(counts[1])):
        _, areas = paired_bootstrap(lens, systems, test.scores, PARTIAL_FPR, bootstraps, seed)
        at = QUANTITIES.index("partial_auc")
        drawn |= {("partial_auc", run): found[:, at] for run, found in areas.items()}
    nothing = np.full(1, np.nan)
    return {
        model: {
            name: percentile_interval(
                np.mean(
                    [drawn.get((name, run), nothing) for run in runs if run[0] == model], axis=0
                )
            )
            for name in ("partial_auc", *(f"ece_{stage}" for stage in STAGES))
        }
        for model in dict.fromkeys(m for m, _ in runs)
    }


@dataclass(frozen=True)
class _Binned:
    """Objects of one score in order of probability, in the bins of the whole set.

    order [n] : positions; residual [n] : probability less label, in that order; starts [k] : first
    of each bin; sigma [k] : noise of a bin's mean residual
    """

    order: np.ndarray
    residual: np.ndarray
    starts: np.ndarray
    sigma: np.ndarray

    def errors(self, weights: np.ndarray) -> np.ndarray:
        """Debiased ECE [b] of resamples; weights [b, n] : how often each object counts."""
        drawn = weights[:, self.order]
        mass = np.add.reduceat(drawn, self.starts, axis=1)
        excess = np.add.reduceat(drawn * self.residual, self.starts, axis=1)
        # A resample has the noise of the sample, and its own on top of it.
        sigma = np.sqrt(2) * self.sigma
        size = size_without_noise(np.abs(excess) / np.maximum(mass, 1), sigma)
        return np.maximum(np.sum(size * mass, axis=1) / np.sum(mass, axis=1), 0.0)


def _binned(lens: np.ndarray, logits: np.ndarray) -> _Binned:
    """Bins of the whole set; lens bool [n], logits [n]."""
    probability = expit(logits)
    parts = equal_mass_bins(probability)
    order = np.concatenate(parts)
    sizes = np.array([len(part) for part in parts])
    starts = np.cumsum(sizes) - sizes
    p = probability[order]
    sigma = np.sqrt(np.add.reduceat(p * (1 - p), starts)) / sizes
    return _Binned(order, p - lens[order], starts, sigma)


def resampled_errors(
    lens: np.ndarray,
    systems: np.ndarray,
    logits: Mapping[tuple[str, Run], np.ndarray],
    bootstraps: int,
    seed: int,
) -> dict[tuple[str, Run], np.ndarray]:
    """Debiased ECE [bootstraps] of every score in the same resamples of systems.

    lens bool [n] with both classes, systems [n] names, logits [n] at the set's lens fraction
    Of 100 simulated sets of 1,200 or 5,000 objects, with errors from 0 to 10 %, the percentiles
    enclose the true error in 91 to 99.
    """
    bins = {key: _binned(lens, values).errors for key, values in logits.items()}
    return resampled(SystemDraws(lens, systems, seed), bins, bootstraps, "calibration")


def study_latex(table: pd.DataFrame) -> str:
    """LaTeX table: per model a line of means with 95 % intervals over test systems.

    Where there are several seeds, a second line with the smallest and the largest of them.
    """
    names = ["Test set", "Model", "Seeds", r"$N_{\rm lens}$", r"$N_{\rm nonlens}$"]
    header = [*names, "Parameters", *NUMBERS.values()]
    lines = []
    for _, row in table.iterrows():
        counts = [str(row[name]) for name in IDENTITY[2:5]]
        size = f"{row['parameters'] / 1e6:.2f}\\,M"
        cells = [latex_interval(*(row[f"{n}{end}"] for end in ("", *BESIDE[:2]))) for n in NUMBERS]
        named = [tex_text(row["dataset"]), tex_text(row["model"])]
        lines.append([*named, *counts, size, *cells])
        if row["seeds"] > 1:
            ranges = [_seed_range(*(row[f"{n}{end}"] for end in BESIDE[2:])) for n in NUMBERS]
            empty = [""] * (len(IDENTITY) - 2)
            lines.append(["", r"\quad seeds from, to", *empty, *ranges])
    return latex_table("ll" + "r" * (len(header) - 2), header, lines)


def _seed_range(low: float, high: float) -> str:
    """Smallest and largest seed; two dashes where the number is not resolved."""
    return "--" if np.isnan(low) else f"{low:.3f}, {high:.3f}"
