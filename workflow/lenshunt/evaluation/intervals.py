"""Intervals of 95 %: of proportions, of paired proportions, and of resampled values."""

import numpy as np

#: Two-sided 95 % quantile of the normal distribution.
Z95 = 1.959963984540054


def wilson_interval(successes: float, trials: int) -> tuple[float, float]:
    """95 % score interval of a proportion; Wilson 1927. (nan, nan) without trials.

    successes : not always a whole number, where a trial is a system and has several objects
    """
    if trials == 0:
        return float("nan"), float("nan")
    p, z2 = successes / trials, Z95**2
    centre = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 * np.sqrt(p * (1 - p) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    # At 0 and at all successes the bound is the proportion itself, but for rounding.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return float(low), float(high)


def bonett_price(only_first: int, only_second: int, n: int) -> tuple[float, float]:
    """95 % interval of a difference of paired proportions; Bonett & Price 2012, JEBS 37, 479.

    only_first, only_second : of n lenses, those that only one of both finds. At 5 against 0 it
    includes zero and at 6 it does not, as the exact test of McNemar; percentiles of a bootstrap
    exclude it from 4 on.
    """
    first, second = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    half = Z95 * np.sqrt((first + second - (first - second) ** 2) / (n + 2))
    return float(first - second - half), float(first - second + half)


def percentile_interval(samples: np.ndarray) -> tuple[float, float]:
    """2.5 and 97.5 percentiles of bootstrap samples [b]."""
    low, high = np.quantile(samples, (0.025, 0.975))
    return float(low), float(high)
