"""The interval of a paired difference over test systems and seeds, and its verdict."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from lenshunt.core.ranking_metrics import false_positives_allowed
from lenshunt.evaluation.challenge_metrics import FEW, RATES
from lenshunt.evaluation.intervals import Z95, bonett_price, percentile_interval

BETTER, WORSE, NOT_RESOLVED, UNDEFINED = "better", "worse", "not resolved", "undefined"


@dataclass(frozen=True)
class Difference:
    """A paired difference with its 95 % interval; seed_min, seed_max : of the single seeds."""

    difference: float
    low: float
    high: float
    seed_min: float
    seed_max: float

    @property
    def verdict(self) -> str:
        """better or worse where the interval excludes zero, else not resolved."""
        if self.low > 0:
            return BETTER
        return WORSE if self.high < 0 else NOT_RESOLVED


def resolved_rate(systems: int) -> float:
    """Lowest FPR of 1e-4, 1e-3, 1e-2, 0.1 that lets ten systems' worth of non-lenses pass, or NaN.

    systems : of the test's non-lenses; views of one object pass or fail together, and count once
    Below ten, the threshold itself is so uncertain that no bootstrap knows by how much. 20,000
    systems resolve 1e-3 (20 pass) but not 1e-4 (2 pass).
    """
    rates = sorted(RATES.values())
    passing = (r for r in rates if false_positives_allowed(r, systems) >= FEW)
    return next(passing, float("nan"))


@dataclass(frozen=True)
class TrainingScatter:
    """Variance of one quantity between trainings of one model, pooled over models.

    variance : within models; freedom : seeds less models, 0 where no model has two
    """

    variance: float
    freedom: int


def pooled_scatter(seeds: Iterable[np.ndarray]) -> TrainingScatter:
    """The scatter between seeds, as one number for all models.

    seeds : per model, the quantity on the whole test set [s]. Two seeds of one model tell next to
    nothing about their scatter, two of each of ten models a good deal.
    """
    several = [values for values in seeds if len(values) > 1]
    freedom = sum(len(values) - 1 for values in several)
    squares = sum(float(np.sum((values - values.mean()) ** 2)) for values in several)
    return TrainingScatter(squares / max(freedom, 1), freedom)


def seeds_and_samples(
    plain: np.ndarray, resampled: np.ndarray, scatter: TrainingScatter, fixed: bool, seed: int
) -> Difference:
    """Mean difference over seeds, with an interval over test systems and seeds.

    plain [s] : difference of each seed on the test set; resampled [b, s] : on its resamples
    fixed : whether one side is one and the same score for all seeds (a fusion)
    With one seed: percentiles of the resamples, so training scatter is not in the interval. With
    more, each resample also draws other trainings: normal, of the variance of the mean of s
    seeds on either side, pooled over models, or that of these very differences where it is
    larger. As it is an estimate, the interval is widened by Student's t over the normal quantile
    at Welch's (1947, Biometrika 34, 28) degrees of freedom for the sum of both variances.
    With few seeds this understates for a model whose trainings scatter more than those of the
    others, or far from normally: where one training in ten diverges, two seeds do not tell. Of 16
    equal models of two seeds, one of twice the others' scatter gets a verdict in 11 to 13 % of
    cases, one of three times in 14 to 20 % (simulated, with test noise as large as the others'
    scatter and without any).
    """
    s, value, drawn = len(plain), float(plain.mean()), resampled.mean(axis=1)
    factor = 1.0
    own = float(plain.var(ddof=1)) if s > 1 else 0.0
    between = max(own, (1 if fixed else 2) * scatter.variance) / s if s > 1 else 0.0
    if between > 0:
        freedom = scatter.freedom * ((float(drawn.var()) + between) / between) ** 2
        factor = float(student.ppf(0.975, freedom)) / Z95
        other = np.random.default_rng(seed).standard_normal(len(drawn))
        drawn = drawn + np.sqrt(between) * other
    low, high = percentile_interval(drawn)
    # Stretched about the value; percentiles that do not enclose it are left as they are.
    low, high = min(low, value - factor * (value - low)), max(high, value + factor * (high - value))
    return Difference(value, low, high, float(plain.min()), float(plain.max()))


def at_least_paired(found: Difference, pairs: list[tuple[np.ndarray, np.ndarray]]) -> Difference:
    """A TPR's difference whose interval is no narrower than Bonett & Price's, thresholds fixed.

    pairs : per seed, which lenses [n1] either model finds; bounds are means over the seeds
    """
    bounds = [bonett_price(int(np.sum(a & ~b)), int(np.sum(b & ~a)), len(a)) for a, b in pairs]
    low, high = np.mean(bounds, axis=0)
    return Difference(
        found.difference,
        min(found.low, float(low)),
        max(found.high, float(high)),
        found.seed_min,
        found.seed_max,
    )
