"""Intervals over test systems of what the study table adds to the metrics: partial AUC and ECE."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from tqdm import tqdm

from lenshunt.evaluation.bologna import FEW
from lenshunt.evaluation.calibrate import STAGES
from lenshunt.evaluation.calibration import equal_mass_bins, size_without_noise
from lenshunt.evaluation.differences import resolved_rate
from lenshunt.evaluation.intervals import percentile_interval
from lenshunt.evaluation.paired import (
    BATCH_COUNTS,
    PARTIAL_FPR,
    QUANTITIES,
    Run,
    SystemDraws,
    paired_bootstrap,
    system_counts,
)
from lenshunt.evaluation.prevalence import at_own_fraction
from lenshunt.evaluation.scored_tests import ScoredTest

#: Lower and upper bound by the name of a number.
Bounds = dict[str, tuple[float, float]]


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
    binned = {key: _binned(lens, values) for key, values in logits.items()}
    draws = SystemDraws(lens, systems, seed)
    batch = max(1, min(bootstraps, BATCH_COUNTS // len(lens)))
    parts: dict[tuple[str, Run], list[np.ndarray]] = {key: [] for key in logits}
    for _ in tqdm(range(-(-bootstraps // batch)), desc="calibration", disable=None):
        weights = draws.weights(batch)
        for key, bins in binned.items():
            parts[key].append(bins.errors(weights))
    return {key: np.concatenate(found)[:bootstraps] for key, found in parts.items()}
