"""Intervals of 95 %: stratified bootstrap for areas, Wilson's for proportions."""

import numpy as np

from lenshunt.evaluation.curves import BETA_SQUARED, cumulative_counts
from lenshunt.evaluation.paired import SystemDraws

#: Two-sided 95 % quantile of the normal distribution.
Z95 = 1.959963984540054
#: Draws per batch: the working arrays of one batch stay in the processor's cache.
BATCH_DRAWS = 1 << 16


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


def percentile_interval(samples: np.ndarray) -> tuple[float, float]:
    """2.5 and 97.5 percentiles of bootstrap samples [b]."""
    low, high = np.quantile(samples, (0.025, 0.975))
    return float(low), float(high)


class _Resampler:
    """Bootstrap resamples of a ranked set; each class is drawn apart (stratified).

    systems [n] : names; views of one object are drawn together, as `SystemDraws` does. None : every
    object is a system of its own.
    The lenses lie in J groups of equal score, highest first. lens_to [J] counts the lenses down
    to and with group j, above [J] the non-lenses ranked above it, to [J] those above or equal.
    No resample is sorted: it only counts draws along the ranking. Work arrays are made once,
    since giving them back to the system after each resample would cost a third of the time.
    """

    def __init__(
        self,
        labels: np.ndarray,
        scores: np.ndarray,
        batch: int,
        seed: int,
        systems: np.ndarray | None,
    ) -> None:
        tp, fp, _ = cumulative_counts(labels, scores)
        with_lens = np.diff(tp, prepend=0) > 0
        self.lens_to, self.to = tp[with_lens], fp[with_lens]
        self.above = np.r_[0, fp[:-1]][with_lens]
        self.n_lens, self.n_nonlens = int(tp[-1]), int(fp[-1])
        self.tied = len(self.lens_to) < self.n_lens or bool((self.above != self.to).any())
        self.batch = batch
        self._bits = np.random.SFC64(seed)
        self._systems: SystemDraws | None = None
        if systems is not None and len(np.unique(systems)) < len(systems):
            self._systems = SystemDraws(labels, systems, seed)
            order = np.argsort(-scores, kind="stable")
            self._lenses, self._nonlenses = order[labels[order]], order[~labels[order]]
        self._drawn = np.empty(batch * max(self.n_lens, self.n_nonlens), np.uint64)
        self._tp = np.empty((batch, self.n_lens), int)
        self._seen = np.zeros((batch, self.n_nonlens + 1), int)
        self._fp, self._above = (np.empty((batch, len(self.to)), int) for _ in range(2))
        self._found, self._taken, self._ratio = (
            np.empty((batch, len(self.to)), float) for _ in range(3)
        )

    def _counts(self, n: int) -> np.ndarray:
        """How often each of n objects is drawn in n draws with replacement, [batch, n]."""
        draws = self.batch * n
        words = self._bits.random_raw((draws + 1) // 2).view(np.uint32)[:draws]
        # Scaling 32 random bits favours no object by more than n / 2^32, and needs no rejection.
        drawn = np.multiply(words, np.uint64(n), out=self._drawn[:draws], dtype=np.uint64)
        drawn >>= np.uint64(32)
        if self.batch > 1:
            drawn += np.repeat(np.arange(self.batch, dtype=np.uint64) * np.uint64(n), n)
        return np.bincount(drawn.view(np.int64), minlength=draws).reshape(self.batch, n)

    def _drawn_by_class(self) -> tuple[np.ndarray, np.ndarray]:
        """How often each lens [batch, n1] and non-lens [batch, n0] is drawn, in order of rank."""
        if self._systems is None:
            return self._counts(self.n_lens), self._counts(self.n_nonlens)
        drawn = self._systems.weights(self.batch)
        return drawn[:, self._lenses], drawn[:, self._nonlenses]

    def _resample(self) -> tuple[np.ndarray, ...]:
        """Lenses in each group, lenses and non-lenses down to it, non-lenses above: [batch, J]."""
        lens, nonlens = self._drawn_by_class()
        tp = np.cumsum(lens, axis=1, out=self._tp)
        np.cumsum(nonlens, axis=1, out=self._seen[:, 1:])
        fp = self._seen.take(self.to, axis=1, out=self._fp, mode="clip")
        if not self.tied:
            return lens, tp, fp, fp
        tp = tp.take(self.lens_to - 1, axis=1)
        above = self._seen.take(self.above, axis=1, out=self._above, mode="clip")
        return np.diff(tp, axis=1, prepend=0), tp, fp, above

    def metrics(self, rate: float) -> dict[str, np.ndarray]:
        """Metrics [batch] of the next resamples, as `bootstrap_metrics` names them."""
        lens, tp, fp, above = self._resample()
        # Systems of several objects make resamples of unequal numbers.
        n_lens, n_nonlens = tp[:, -1], self._seen[:, -1]
        # Twice the pairs in the wrong order: non-lenses above, and ties for a half.
        wrong = np.einsum("bj,bj->b", lens, fp)
        wrong = 2 * wrong if above is fp else wrong + np.einsum("bj,bj->b", lens, above)
        np.copyto(self._found, tp)
        taken = np.add(self._found, fp, out=self._taken)
        # A resample may draw nothing at the top of the ranking: 0 / 0 counts as nothing.
        precision = np.divide(self._found, np.maximum(taken, 1.0, out=taken), out=self._ratio)
        auprc = np.einsum("bj,bj->b", lens, precision) / n_lens
        taken += BETA_SQUARED * n_lens[:, None]
        f_beta = np.divide(self._found, taken, out=self._ratio).max(axis=1)
        # As in `false_positives_allowed`: the product may fall a rounding short of a whole number.
        allowed = np.floor(rate * n_nonlens * (1 + 1e-12)).astype(int)
        groups = (fp <= allowed[:, None]).sum(axis=1)
        best = np.take_along_axis(tp, np.maximum(groups - 1, 0)[:, None], axis=1)[:, 0]
        return {
            "auroc": 1 - wrong / (2 * n_lens * n_nonlens),
            "auprc": auprc,
            "f_beta_0.001": (1 + BETA_SQUARED) * f_beta,
            "tpr": np.where(groups > 0, best, 0) / n_lens,
        }


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
    batch = min(bootstraps, max(1, BATCH_DRAWS // len(scores)))
    resampler = _Resampler(labels, scores, batch, seed, systems)
    parts = [resampler.metrics(rate) for _ in range(-(-bootstraps // batch))]
    return {name: np.concatenate([part[name] for part in parts])[:bootstraps] for name in parts[0]}
