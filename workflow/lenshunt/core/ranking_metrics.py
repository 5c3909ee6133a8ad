"""Metrics of a ranking of lenses and non-lenses: ROC counts, areas, lenses found at a low FPR.

Ties are conservative: a threshold takes all objects of equal score or none, so that no TPR profits
from them. Areas count a tie for a half.
"""

from dataclasses import dataclass

import numpy as np

#: The partial area is that at FPR <= 0.1: it stops training, chooses a fusion, and is compared.
PARTIAL_FPR = 0.1
#: Challenge 2 weights precision a thousand times more than recall.
BETA_SQUARED = 0.001


def cumulative_counts(
    lens: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True positives, false positives and threshold at every distinct score, highest first.

    lens bool [n], scores [n]. Returns (tp [g], fp [g], threshold [g]).
    Raises ValueError for NaN, which has no rank.
    """
    order = _falling(scores)
    lens, scores = lens[order], scores[order]
    last = _ends(scores)
    tp = np.cumsum(lens)[last]
    return tp, last + 1 - tp, scores[last]


def _falling(scores: np.ndarray) -> np.ndarray:
    """Positions [n] by falling score, equal ones as they come."""
    bad = np.isnan(scores)
    if bad.any():
        raise ValueError(f"{bad.sum()} of {len(scores)} scores are NaN and cannot be ranked")
    return np.argsort(-scores, kind="stable")


def _ends(ordered: np.ndarray) -> np.ndarray:
    """Position of the last of each group of equal values in ordered ones [n]."""
    return np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], np.ones(min(len(ordered), 1), bool)])


def false_positives_allowed(fpr: float, n_nonlens: int) -> int:
    """Largest whole number of false positives with FPR <= `fpr`."""
    return int(_allowed(fpr, np.asarray(n_nonlens)))


def _allowed(fpr: float, n_nonlens: np.ndarray) -> np.ndarray:
    """As `false_positives_allowed`, of any number of sets."""
    # The product of a decimal fraction can fall a rounding error short of the whole number.
    return np.floor(fpr * n_nonlens * (1 + 1e-12)).astype(int)


def lenses_found(lens: np.ndarray, scores: np.ndarray, rate: float) -> np.ndarray:
    """Which lenses lie above the lowest threshold with FPR <= rate, bool [n1].

    lens bool [n] with both classes, scores [n], rate < 1
    """
    nonlens = scores[~lens]
    # Every threshold that keeps this non-lens out also keeps out whatever ties with it.
    place = len(nonlens) - 1 - false_positives_allowed(rate, len(nonlens))
    return scores[lens] > np.partition(nonlens, place)[place]


@dataclass(frozen=True)
class Ranking:
    """Order of one score's objects, found once; resamples are only counted along it.

    The lenses stand in J groups of equal score, highest first. lenses [n1], nonlenses [n0] :
    positions by falling score; last [J] : last lens of each group; above, to [J] : non-lenses
    with a higher score than the group's, and with one at least as high (one and the same array
    where no lens ties with a non-lens)
    """

    lenses: np.ndarray
    nonlenses: np.ndarray
    last: np.ndarray
    above: np.ndarray
    to: np.ndarray


def ranked(lens: np.ndarray, scores: np.ndarray) -> Ranking:
    """The ranking of scores [n]; lens bool [n]. Raises ValueError for NaN, which has no rank."""
    order = _falling(scores)
    lenses, nonlenses = order[lens[order]], order[~lens[order]]
    last = _ends(scores[lenses])
    high, falling = -scores[lenses[last]], -scores[nonlenses]
    to = np.searchsorted(falling, high, side="right")
    above = np.searchsorted(falling, high, side="left")
    return Ranking(lenses, nonlenses, last, to if np.array_equal(above, to) else above, to)


@dataclass(frozen=True)
class RocCounts:
    """Lenses and non-lenses along one ranking, in b resamples of its objects.

    By groups of lenses of equal score, highest first: lens [b, J], lenses in the group; found
    [b, J], lenses down to and with it; above, to [b, J], non-lenses of a higher score, and of one
    at least as high. n_lens, n_nonlens [b] : of each resample, neither of them 0
    """

    lens: np.ndarray
    found: np.ndarray
    above: np.ndarray
    to: np.ndarray
    n_lens: np.ndarray
    n_nonlens: np.ndarray

    def _wrong(self, lens: np.ndarray) -> np.ndarray:
        """Twice the pairs of these lenses [b, J] with non-lenses above; ties once: whole, [b]."""
        if self.above is self.to:
            return 2 * np.einsum("bj,bj->b", lens, self.to)
        return np.einsum("bj,bj->b", lens, self.to) + np.einsum("bj,bj->b", lens, self.above)

    def auroc(self) -> np.ndarray:
        """Area under the ROC curve [b]: chance that a lens ranks above a non-lens."""
        pairs = 2 * self.n_lens * self.n_nonlens
        return (pairs - self._wrong(self.lens)) / pairs

    def partial_auc(self, max_fpr: float = PARTIAL_FPR) -> np.ndarray:
        """Area under the ROC at FPR <= max_fpr, [b], 0.5 for chance and 1 for perfection.

        Scaled as by McClish 1989, Med. Decis. Making 9, 190, along straight lines between the
        points of the ROC, as `sklearn.metrics.roc_auc_score(max_fpr=...)`. Pairs are counted in
        whole numbers, so that rankings of equal area have equal values, to the last bit.
        """
        room = max_fpr * self.n_nonlens[:, None]
        whole = self.lens * (self.to <= room)
        pairs = self.n_lens * self.n_nonlens
        area = max_fpr * (whole.sum(axis=1) / self.n_lens) - self._wrong(whole) / (2 * pairs)
        if self.above is not self.to:
            # Lenses that tie with the non-lenses across max_fpr: there the ROC is a ramp.
            cut = self.lens * ((self.to > room) & (self.above < room))
            tied = np.maximum(self.to - self.above, 1)
            area += np.einsum("bj,bj->b", cut, (room - self.above) ** 2 / (2 * tied)) / pairs
        chance = max_fpr**2 / 2
        return 0.5 * (1 + (area - chance) / (max_fpr - chance))

    def tpr_within(self, allowed: int | np.ndarray) -> np.ndarray:
        """Highest TPR with at most `allowed` false positives, [b]: TPR0 for 0, TPR10 for 9.

        Metcalf et al. 2019, arXiv:1802.03609; allowed : one number for all, or [b]
        """
        groups = (self.to <= np.reshape(allowed, (-1, 1))).sum(axis=1)
        best = np.take_along_axis(self.found, np.maximum(groups - 1, 0)[:, None], axis=1)[:, 0]
        return np.where(groups > 0, best, 0) / self.n_lens

    def tpr(self, rate: float) -> np.ndarray:
        """Highest TPR with FPR <= rate, [b]."""
        return self.tpr_within(_allowed(rate, self.n_nonlens))

    def average_precision(self) -> np.ndarray:
        """Area under the precision-recall steps, [b]; no precision is interpolated."""
        # A resample may draw nothing at the top of the ranking: 0 / 0 counts as nothing.
        taken = self.found + self.to
        precision = self.found / np.maximum(taken, 1, out=taken)
        return np.einsum("bj,bj->b", self.lens, precision) / self.n_lens

    def f_beta(self) -> np.ndarray:
        """Highest F_beta of all thresholds, [b], beta^2 = BETA_SQUARED."""
        taken = self.found + self.to + BETA_SQUARED * self.n_lens[:, None]
        return (1 + BETA_SQUARED) * np.divide(self.found, taken, out=taken).max(axis=1)


def roc_counts(ranking: Ranking, weights: np.ndarray) -> RocCounts:
    """Counts along a ranking with both classes.

    weights int [b, n] : how often each object counts; ones for the objects themselves
    """
    lens = _columns(weights, ranking.lenses)
    found = np.cumsum(lens, axis=1)
    seen = np.zeros((len(weights), len(ranking.nonlenses) + 1), int)
    np.cumsum(_columns(weights, ranking.nonlenses), axis=1, out=seen[:, 1:])
    n_lens, n_nonlens = found[:, -1], seen[:, -1]
    if len(ranking.last) < len(ranking.lenses):
        found = _columns(found, ranking.last)
        lens = np.diff(found, axis=1, prepend=0)
    to = _columns(seen, ranking.to)
    above = to if ranking.above is ranking.to else _columns(seen, ranking.above)
    return RocCounts(lens, found, above, to, n_lens, n_nonlens)


def _columns(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """values [b, n] at positions [k] within them: `values[:, positions]` in half the time."""
    return values.take(positions, axis=1, mode="clip")


def roc_of(lens: np.ndarray, scores: np.ndarray) -> RocCounts:
    """Counts of one set, b = 1; lens bool [n] with both classes, scores [n] without NaN."""
    return roc_counts(ranked(lens, scores), np.ones((1, len(lens)), int))


def auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve; labels [n] 1 or True for a lens, else 0, scores [n].

    NaN where a class is missing or a score is NaN: it is undefined.
    """
    lens = np.asarray(labels) == 1
    if lens.all() or not lens.any() or np.isnan(scores).any():
        return float("nan")
    return float(roc_of(lens, scores).auroc()[0])


def partial_auc(labels: np.ndarray, scores: np.ndarray, max_fpr: float = PARTIAL_FPR) -> float:
    """Area at FPR <= max_fpr as `RocCounts.partial_auc`; NaN where a class is missing.

    labels [n] 1 for a lens, else 0, scores [n]. Raises ValueError for a score that is NaN.
    """
    lens = np.asarray(labels) == 1
    if lens.all() or not lens.any():
        return float("nan")
    return float(roc_of(lens, scores).partial_auc(max_fpr)[0])
