"""One bootstrap for all scores of a test set: the same systems are drawn for every model."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

#: The partial area is that at FPR <= 0.1, as where training stops and a fusion is chosen.
PARTIAL_FPR = 0.1
#: What is compared: McClish's partial AUC, TPR at a low FPR, and AUROC; columns of the results.
QUANTITIES = ("partial_auc", "tpr", "auroc")
#: A score of a test set: model and seed.
Run = tuple[str, int]
#: Counts per batch of resamples: so few that they stay in the processor's cache.
BATCH_COUNTS = 1 << 16


@dataclass(frozen=True)
class Ranking:
    """Order of one score's test objects, found once; resamples are only counted along it.

    The lenses stand in J groups of equal score, highest first. lenses [n1], nonlenses [n0] :
    positions by falling score; last [J] : last lens of each group; above, to [J] : non-lenses
    with a higher score than the group's, and with one at least as high
    """

    lenses: np.ndarray
    nonlenses: np.ndarray
    last: np.ndarray
    above: np.ndarray
    to: np.ndarray


def ranked(labels: np.ndarray, scores: np.ndarray) -> Ranking:
    """The ranking of scores [n] with labels bool [n], both classes among them."""
    order = np.argsort(-scores, kind="stable")
    lenses, nonlenses = order[labels[order]], order[~labels[order]]
    high = scores[lenses]
    last = np.flatnonzero(np.r_[high[1:] != high[:-1], True])
    falling = -scores[nonlenses]
    above = np.searchsorted(falling, -high[last], side="left")
    to = np.searchsorted(falling, -high[last], side="right")
    return Ranking(lenses, nonlenses, last, above, to)


def ranking_quantities(ranking: Ranking, weights: np.ndarray, rate: float) -> np.ndarray:
    """QUANTITIES of every resample, [b, 3].

    weights [b, n] : how often each object counts, whole numbers; ones give the plain values
    rate : FPR of the TPR. A threshold takes all objects of equal score or none, so that the TPR
    never profits from ties; areas count them for a half. The partial area follows the straight
    line between the points of the ROC up to FPR 0.1, and is scaled to 0.5 for chance and 1 for
    perfection (McClish 1989, Med. Decis. Making 9, 190), as `roc_auc_score(max_fpr=0.1)` is.
    """
    found = np.cumsum(weights[:, ranking.lenses], axis=1)[:, ranking.last]
    seen = np.zeros((len(weights), len(ranking.nonlenses) + 1), int)
    np.cumsum(weights[:, ranking.nonlenses], axis=1, out=seen[:, 1:])
    above, to = seen[:, ranking.above], seen[:, ranking.to]
    n_lens, n_nonlens = found[:, -1], seen[:, -1]
    lens = np.diff(found, axis=1, prepend=0)
    wrong = np.einsum("bj,bj->b", lens, above + to)
    # Each lens adds the FPR right of it; tied non-lenses make it a ramp instead of a step.
    room = np.maximum(PARTIAL_FPR * n_nonlens[:, None] - above, 0.0)
    tied = to - above
    part = np.where(room >= tied, room - tied / 2, room**2 / np.maximum(2 * tied, 1))
    area = np.einsum("bj,bj->b", lens, part) / (n_lens * n_nonlens)
    chance = PARTIAL_FPR**2 / 2
    mcclish = 0.5 * (1 + (area - chance) / (PARTIAL_FPR - chance))
    # As in `false_positives_allowed`: the product may fall a rounding short of a whole number.
    allowed = np.floor(rate * n_nonlens * (1 + 1e-12)).astype(int)
    groups = (to <= allowed[:, None]).sum(axis=1)
    best = np.take_along_axis(found, np.maximum(groups - 1, 0)[:, None], axis=1)[:, 0]
    tpr = np.where(groups > 0, best, 0) / n_lens
    return np.stack([mcclish, tpr, 1 - wrong / (2 * n_lens * n_nonlens)], axis=1)


def system_counts(labels: np.ndarray, systems: np.ndarray) -> tuple[int, int]:
    """Number of systems [n] that have a lens, and that have a non-lens; labels bool [n]."""
    return len(np.unique(systems[labels])), len(np.unique(systems[~labels]))


class SystemDraws:
    """Bootstrap over systems: a lens and its own host, or views of one object, come together.

    Systems of lenses alone, of non-lenses alone and of both are drawn apart (stratified), each
    as many as there are; where every object is a system this is the plain stratified bootstrap.
    """

    def __init__(self, labels: np.ndarray, systems: np.ndarray, seed: int) -> None:
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
    rankings = {run: ranked(labels, values) for run, values in scores.items()}
    ones = np.ones((1, len(labels)), np.int32)
    plain = {run: ranking_quantities(r, ones, rate)[0] for run, r in rankings.items()}
    draws = SystemDraws(labels, systems, seed)
    batch = max(1, min(bootstraps, BATCH_COUNTS // len(labels)))
    parts: dict[Run, list[np.ndarray]] = {run: [] for run in scores}
    for _ in tqdm(range(-(-bootstraps // batch)), desc="bootstrap", disable=None):
        weights = draws.weights(batch)
        for run, ranking in rankings.items():
            parts[run].append(ranking_quantities(ranking, weights, rate))
    return plain, {run: np.concatenate(found)[:bootstraps] for run, found in parts.items()}
