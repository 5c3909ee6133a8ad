"""Bootstraps of metrics, of several scores in the same resamples, and of any statistic.

Three streams of random numbers, each that of published intervals: `SystemDraws`, `ObjectDraws`
(the fast one of large sets), and the rows of `bootstrap_interval`.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import numpy as np
from tqdm import tqdm

from lenshunt.core.ranking_metrics import PARTIAL_FPR, Ranking, ranked, roc_counts
from lenshunt.evaluation.intervals import percentile_interval

#: What is compared: McClish's partial AUC, TPR at a low FPR, and AUROC; columns of the results.
QUANTITIES = ("partial_auc", "tpr", "auroc")
#: A score of a test set: model and seed.
Run = tuple[str, int]
#: Counts per batch of resamples: so few that they stay in the processor's cache.
BATCH_COUNTS = 1 << 16
#: Resamples of a statistic that is evaluated one by one.
RESAMPLES = 500

Key = TypeVar("Key")
#: From how often each object counts, int [b, n], to a value of each resample, [b, ...].
Statistic = Callable[[np.ndarray], np.ndarray]


class Draws(Protocol):
    """A source of resamples of n objects."""

    n: int

    def weights(self, batch: int) -> np.ndarray:
        """How often each object is drawn in the next `batch` resamples, int [batch, n]."""


class SystemDraws:
    """Bootstrap over systems: a lens and its own host, or views of one object, come together.

    Systems of lenses alone, of non-lenses alone and of both are drawn apart (stratified), each
    as many as there are; where every object is a system this is the plain stratified bootstrap.
    """

    def __init__(self, labels: np.ndarray, systems: np.ndarray, seed: int) -> None:
        """labels bool [n], systems [n] names."""
        self.n = len(labels)
        _, self._system = np.unique(systems, return_inverse=True)
        count = int(self._system.max()) + 1
        with_lens = np.bincount(self._system, weights=labels, minlength=count) > 0
        with_nonlens = np.bincount(self._system, weights=~labels, minlength=count) > 0
        kind = 2 * with_lens + with_nonlens
        self._strata = [np.flatnonzero(kind == value) for value in np.unique(kind)]
        self._count = count
        self._random = np.random.Generator(np.random.SFC64(seed))

    def weights(self, batch: int) -> np.ndarray:
        """How often each object is drawn in the next `batch` resamples, int [batch, n]."""
        drawn = np.zeros((batch, self._count), np.int32)
        for stratum in self._strata:
            n = len(stratum)
            picks = self._random.integers(n, size=(batch, n), dtype=np.int32)
            picks += np.arange(batch, dtype=np.int32)[:, None] * n
            counts = np.bincount(picks.ravel(), minlength=batch * n).reshape(batch, n)
            drawn[:, stratum] = counts
        return drawn[:, self._system]


class ObjectDraws:
    """Bootstrap of a set in which every object is a system of its own; classes are drawn apart."""

    def __init__(self, n_lens: int, n_nonlens: int, seed: int) -> None:
        """Of a set whose lenses come first."""
        self.n = n_lens + n_nonlens
        self._sizes = (n_lens, n_nonlens)
        self._bits = np.random.SFC64(seed)
        self._drawn = np.empty(0, np.uint64)

    def weights(self, batch: int) -> np.ndarray:
        """How often each object is drawn in the next `batch` resamples, int [batch, n]."""
        total = batch * self.n
        # Giving so large an array back to the system after each batch would cost half of the time.
        if len(self._drawn) != total:
            self._drawn = np.empty(total, np.uint64)
        rows = np.arange(batch, dtype=np.uint64) * np.uint64(self.n)
        first, start = 0, 0
        for n in self._sizes:
            words = self._bits.random_raw((batch * n + 1) // 2).view(np.uint32)[: batch * n]
            drawn = self._drawn[start : start + batch * n]
            # Scaling 32 random bits favours no object by more than n / 2^32; none is rejected.
            np.multiply(words, np.uint64(n), out=drawn, dtype=np.uint64)
            drawn >>= np.uint64(32)
            drawn.reshape(batch, n)[:] += (rows + np.uint64(first))[:, None]
            first, start = first + n, start + batch * n
        return np.bincount(self._drawn.view(np.int64), minlength=total).reshape(batch, self.n)


def system_counts(labels: np.ndarray, systems: np.ndarray) -> tuple[int, int]:
    """Number of systems [n] that have a lens, and that have a non-lens; labels bool [n]."""
    return len(np.unique(systems[labels])), len(np.unique(systems[~labels]))


def resampled(
    draws: Draws, statistics: Mapping[Key, Statistic], bootstraps: int, shown_as: str = ""
) -> dict[Key, np.ndarray]:
    """Every statistic in the same resamples, [bootstraps, ...] each.

    shown_as : name of the progress bar; "" for none
    """
    batch = max(1, min(bootstraps, BATCH_COUNTS // draws.n))
    parts: dict[Key, list[np.ndarray]] = {key: [] for key in statistics}
    batches = range(-(-bootstraps // batch))
    for _ in tqdm(batches, desc=shown_as, disable=None if shown_as else True):
        weights = draws.weights(batch)
        for key, statistic in statistics.items():
            parts[key].append(statistic(weights))
    return {key: np.concatenate(found)[:bootstraps] for key, found in parts.items()}


def bootstrap_metrics(
    labels: np.ndarray,
    scores: np.ndarray,
    bootstraps: int,
    seed: int,
    rate: float,
    systems: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Resampled AUROC, AUPRC, F_beta and TPR with FPR <= `rate`.

    labels bool [n] with both classes, scores [n]; systems [n] : objects of one name are drawn
    together, None draws each by itself
    Returns arrays [bootstraps] by the names auroc, auprc, f_beta_0.001 and tpr.
    """
    # Lenses first, each class by falling score: resamples are then read from end to end.
    order = np.lexsort((-scores, ~labels))
    labels, scores = labels[order], scores[order]
    draws: Draws
    if systems is None or len(np.unique(systems)) == len(systems):
        draws = ObjectDraws(int(labels.sum()), int((~labels).sum()), seed)
    else:
        draws = SystemDraws(labels, systems[order], seed)
    ranking = ranked(labels, scores)

    def metrics(weights: np.ndarray) -> np.ndarray:
        roc = roc_counts(ranking, weights)
        columns = (roc.auroc(), roc.average_precision(), roc.f_beta(), roc.tpr(rate))
        return np.stack(columns, axis=1)

    found = resampled(draws, {"": metrics}, bootstraps)[""]
    return dict(zip(("auroc", "auprc", "f_beta_0.001", "tpr"), found.T, strict=True))


def ranking_quantities(ranking: Ranking, weights: np.ndarray, rate: float) -> np.ndarray:
    """QUANTITIES of every resample, [b, 3]; weights int [b, n], rate : FPR of the TPR."""
    roc = roc_counts(ranking, weights)
    return np.stack([roc.partial_auc(PARTIAL_FPR), roc.tpr(rate), roc.auroc()], axis=1)


def paired_bootstrap(
    labels: np.ndarray,
    systems: np.ndarray,
    scores: Mapping[Run, np.ndarray],
    rate: float,
    bootstraps: int,
    seed: int,
) -> tuple[dict[Run, np.ndarray], dict[Run, np.ndarray]]:
    """Quantities of every score: plain [3], and in the same resamples of systems [bootstraps, 3].

    labels bool [n] with both classes, systems [n] names, scores [n] each by model and seed
    rate : FPR of the TPR. Differences of two scores' rows are paired differences.
    """

    def quantities(values: np.ndarray) -> Statistic:
        ranking = ranked(labels, values)
        return lambda weights: ranking_quantities(ranking, weights, rate)

    statistics = {run: quantities(values) for run, values in scores.items()}
    ones = np.ones((1, len(labels)), np.int32)
    plain = {run: statistic(ones)[0] for run, statistic in statistics.items()}
    draws = SystemDraws(labels, systems, seed)
    return plain, resampled(draws, statistics, bootstraps, "bootstrap")


def bootstrap_interval(
    values: np.ndarray,
    statistic: Callable[[np.ndarray], float],
    seed: int,
    strata: np.ndarray | None = None,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """95 % percentile interval of `statistic` under resampling of the first axis of `values`.

    strata : [n], each of whose values keeps its number of samples (such as labels)
    Resamples in which the statistic is NaN are left out; (nan, nan) for less than two samples.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    groups = [np.arange(len(values))]
    if strata is not None:
        groups = [np.flatnonzero(strata == name) for name in np.unique(strata)]
    found = []
    for _ in range(resamples):
        rows = np.concatenate([group[rng.integers(0, len(group), len(group))] for group in groups])
        found.append(statistic(values[rows]))
    kept = np.asarray(found)[np.isfinite(found)]
    return percentile_interval(kept) if len(kept) else (float("nan"), float("nan"))
