"""Are candidates closer to critical curves than equally bright objects of the same field?"""

import numpy as np
from tqdm import tqdm

MAGNITUDE_BINS = 10


def magnitude_strata(magnitude: np.ndarray, bins: int = MAGNITUDE_BINS) -> np.ndarray:
    """[object] quantile bin of the magnitude, from 1; objects without a magnitude are 0."""
    stratum = np.zeros(magnitude.shape, dtype=int)
    known = np.isfinite(magnitude)
    if known.any():
        edges = np.quantile(magnitude[known], np.linspace(0, 1, bins + 1)[1:-1])
        stratum[known] = 1 + np.searchsorted(edges, magnitude[known], side="right")
    return stratum


def matched_subsets(stratum: np.ndarray, chosen: np.ndarray, count: int, seed: int) -> np.ndarray:
    """[count, n] indices: random subsets with as many objects of each stratum as `chosen`.

    stratum : [object]; chosen : [object] bool, n of them true
    Drawn without replacement from all scanned objects, the chosen ones included: under the null
    hypothesis the candidates are one such draw, which makes the p-value exact.
    """
    random = np.random.default_rng(seed)
    pools = [
        (np.flatnonzero(stratum == value), int(np.sum(chosen & (stratum == value))))
        for value in np.unique(stratum[chosen])
    ]
    subsets = np.empty((count, int(chosen.sum())), dtype=int)
    for row in tqdm(subsets, desc="random catalogues", disable=None):
        row[:] = np.concatenate([random.permutation(pool)[:size] for pool, size in pools])
    return subsets


def p_value(observed: float, random: np.ndarray) -> float:
    """Chance of a random value as small as the observed one or smaller, (1 + n) / (1 + N).

    observed : NaN (no curve to be near to) has no p-value either: NaN

    The observed catalogue counts as one of the draws: a p-value is never zero
    (Phipson & Smyth 2010, arXiv:1603.05766).
    """
    if np.isnan(observed):
        return float("nan")
    return float((1 + np.sum(random <= observed)) / (1 + random.size))
