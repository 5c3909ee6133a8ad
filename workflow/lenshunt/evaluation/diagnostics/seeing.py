"""Metadata that state another seeing than an image was taken in, and what each statement costs.

The images stay what they are. A network that uses the seeing as it is in the image does best when
it is told the truth: its loss grows when it is told a sharper seeing, and when it is told a broader
one. One that ignores it loses nothing; one that learned the seeing itself as a clue is not hurt on
both sides.
"""

import numpy as np
import torch

from lenshunt.evaluation.diagnostics.areas import area_gain, with_interval
from lenshunt.evaluation.diagnostics.common import Curves, Panel, mean_interval
from lenshunt.models import CONDITIONS, Batch

SEEING, PSF = CONDITIONS.index("log_seeing"), CONDITIONS.index("log_psf_fwhm")
#: Stated over true seeing: a quarter, half and one octave to either side.
FACTORS = (0.5, 0.71, 0.84, 1.0, 1.19, 1.41, 2.0)
#: Factors that the numbers tell of.
SHARPER, BROADER = FACTORS.index(0.71), FACTORS.index(1.41)
CLASSES = (("lenses", 1), ("non-lenses", 0))
THIRDS = ("sharpest", "middle", "broadest")
#: Seeings that differ less than this, in dex over a sample, teach nothing of each other.
SPREAD_MIN = 0.01
PANELS: dict[str, Panel] = {
    "misled": Panel("stated / true seeing", "mean change of logit", "line", reference=0.0),
    "loss": Panel(
        "stated / true seeing",
        "change of cross-entropy (nats), mean shift taken off",
        "line",
        reference=0.0,
    ),
    "thirds": Panel(
        "test samples by their true seeing",
        "AUROC - that of baseline",
        "points",
        reference=0.0,
        ticks=THIRDS,
    ),
}


def stating(batch: Batch, log_seeing: torch.Tensor | float, unmatched: torch.Tensor) -> Batch:
    """The same images, each said to have been taken in this seeing, log10 arcsec [b] or one.

    unmatched : bool [b], whose PSF was left as it is: there the FWHM of the PSF is the same fact,
        and follows the seeing by the same factor
    """
    metadata = batch["metadata"].clone()
    change = log_seeing - metadata[:, SEEING]
    metadata[:, SEEING] = log_seeing
    follows = unmatched & torch.isfinite(change)
    metadata[:, PSF] += torch.where(follows, change, torch.zeros_like(change))
    return {**batch, "metadata": metadata}


def exchanged(log_seeing: np.ndarray, label: np.ndarray, seed: int) -> np.ndarray:
    """The seeing [n] of another sample of the same class, at random."""
    rng = np.random.default_rng([seed, 1])
    others = log_seeing.copy()
    for value in np.unique(label):
        rows = rng.permutation(np.flatnonzero(label == value))
        others[rows] = log_seeing[np.roll(rows, 1)]
    return others


def cross_entropy(label: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """-log of the probability that each logit [n] gives to the sample's own class, in nats."""
    return np.logaddexp(0.0, np.where(label == 1, -logits, logits))


def add_misled(
    curves: Curves,
    name: str,
    label: np.ndarray,
    own: np.ndarray,
    misled: np.ndarray,
    log_seeing: np.ndarray,
    seed: int,
) -> dict[str, float]:
    """Curves over FACTORS, and numbers, of logits [factor, n] under a seeing that is off by each.

    A sample counts where what it is told lies within the seeings [n] of all, so that no statement
    is one that the network has never heard. The cross-entropy is that after the mean change of the
    logits is taken off: a shift of all of them is a matter of calibration, and may even mend one.
    """
    numbers: dict[str, float] = {}
    least, most = _range(log_seeing)
    for number, factor in enumerate(FACTORS):
        told = log_seeing + np.log10(factor)
        heard = (told >= least) & (told <= most) & (most - least > SPREAD_MIN)
        change = misled[number] - own
        for series, value in CLASSES:
            part = change[heard & (label == value)]
            curves.add("misled", series, factor, *mean_interval(part, seed))
        counted = heard & (label >= 0)
        shift = change[counted].mean() if counted.any() else 0.0
        lost = cross_entropy(label, misled[number] - shift) - cross_entropy(label, own)
        mean, interval, n = mean_interval(lost[counted], seed)
        curves.add("loss", name, factor, mean, interval, n)
        if number in (SHARPER, BROADER):
            key = "loss_told_sharper" if number == SHARPER else "loss_told_broader"
            numbers |= with_interval(key, mean, interval)
    return numbers


def exchange_numbers(
    label: np.ndarray, own: np.ndarray, others: np.ndarray, seed: int
) -> dict[str, float]:
    """What the own seeing is worth against that of another sample: ROC area, cross-entropy."""
    gain, interval, _ = area_gain(label, own, others, seed)
    known = label >= 0
    lost = (cross_entropy(label, others) - cross_entropy(label, own))[known]
    rows = np.abs(others - own)[known]
    return {
        **with_interval("auroc_gain_of_own_seeing", gain, interval),
        **with_interval("loss_of_other_seeing", *mean_interval(lost, seed)[:2]),
        "mean_change_by_other_seeing": float(rows.mean()),
    }


def add_thirds(
    curves: Curves,
    name: str,
    label: np.ndarray,
    logits: np.ndarray,
    baseline: np.ndarray,
    log_seeing: np.ndarray,
    seed: int,
) -> dict[str, float]:
    """Paired gain over the baseline in thirds of the true seeing; none where it hardly varies."""
    least, most = _range(log_seeing)
    if not most - least > SPREAD_MIN:
        return {}
    edges = np.nanquantile(log_seeing, (1 / 3, 2 / 3))
    third = np.searchsorted(edges, log_seeing, side="left")
    numbers: dict[str, float] = {}
    for x, place in enumerate(THIRDS):
        rows = (third == x) & np.isfinite(log_seeing)
        if len(np.unique(label[rows & (label >= 0)])) < 2:
            continue
        gain, interval, n = area_gain(label[rows], logits[rows], baseline[rows], seed)
        curves.add("thirds", name, x, gain, interval, n)
        numbers |= with_interval(f"auroc_gain_{place}", gain, interval)
    return numbers


def _range(values: np.ndarray) -> tuple[float, float]:
    """Smallest and largest of the finite values; NaN where there are none."""
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if len(known) else (np.nan, np.nan)
