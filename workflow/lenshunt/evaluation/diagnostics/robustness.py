"""How a network trained on attacked images fares under attack and under noise, and a plain one.

PGD (Madry et al. 2018, arXiv:1706.06083) moves every pixel by at most epsilon of its own sigma
towards the wrong class. What is bounded by epsilon in each of n pixels is a signal of epsilon
sqrt(n) in all of them: beyond some epsilon an attack paints or removes real arcs.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from lenshunt.evaluation.bootstrap import bootstrap_interval
from lenshunt.evaluation.diagnostics.areas import area_gain, with_interval
from lenshunt.evaluation.diagnostics.common import (
    Curves,
    Diagnostic,
    Panel,
    Trained,
    auroc_interval,
    class_counts,
    device_of,
    test_batches,
)
from lenshunt.evaluation.diagnostics.sample import labelled_batches
from lenshunt.models import Batch
from lenshunt.training.loading import Loader
from lenshunt.training.robustness import Change, changed_logits, noise, pgd

EPSILONS = (0.0, 0.02, 0.05, 0.1, 0.2)
NOISES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
#: Of PGD; the step is chosen so that several suffice to cross the allowed range.
STEPS = 5
#: Of each class; an attack costs a gradient per step, sample and epsilon. Noise is added to all.
ATTACKED_PER_CLASS = 100
#: Panels of attacks, by whose weights: its own, those of the other network.
ATTACKS = ("attack", "transfer")
_ACCURACY, _AREA = "balanced accuracy", "AUROC"
_ATTACK, _NOISE = "PGD: ε (σ of each pixel)", "added noise (σ of each pixel)"
_TRANSFER = "PGD through the other network: ε (σ of each pixel)"
SAMPLE = "random test samples under noise, some of them under attack"
BASELINE = True
PANELS: dict[str, Panel] = {
    "attack": Panel(_ATTACK, _ACCURACY, "line", reference=0.5),
    "attack_auroc": Panel(_ATTACK, _AREA, "line", reference=0.5),
    "transfer": Panel(_TRANSFER, _ACCURACY, "line", reference=0.5),
    "transfer_auroc": Panel(_TRANSFER, _AREA, "line", reference=0.5),
    "noise": Panel(_NOISE, _ACCURACY, "line", reference=0.5),
    "noise_auroc": Panel(_NOISE, _AREA, "line", reference=0.5),
    "undeclared": Panel(f"{_NOISE},\nnot in the variance", _ACCURACY, "line", reference=0.5),
    "undeclared_auroc": Panel(f"{_NOISE},\nnot in the variance", _AREA, "line", reference=0.5),
}


def balanced_accuracy(pairs: np.ndarray) -> float:
    """Mean of the shares of lenses and of non-lenses on their side of logit 0.

    pairs : [n, 2], whether a sample is a lens and whether it is right
    """
    lens = pairs[:, 0] == 1
    return float((pairs[lens, 1].mean() + pairs[~lens, 1].mean()) / 2)


def measure(subject: Trained, baseline: Trained | None, test: Loader, seed: int) -> Diagnostic:
    """Scores at decision logit 0 and ROC areas, of both networks on the same samples.

    Each is attacked through its own weights (`attack`) and through those of the other
    (`transfer`): a network whose gradients lead nowhere would stand the first better than the
    second, and only look robust (Athalye et al. 2018, arXiv:1802.00420).

    Numbers: at every strength the balanced accuracy of the subject less that of the baseline,
    paired, in the name the panel and the strength; and the same of the ROC area, which tells a
    loss of order from a threshold that no longer fits.
    """
    device = device_of(subject.network)
    networks = [trained for trained in (subject, baseline) if trained is not None]
    curves, numbers = Curves(), {}
    counts: dict[str, int] = {}
    tried = {"attack": EPSILONS, "noise": NOISES, "undeclared": NOISES}
    if baseline is not None:
        tried["transfer"] = EPSILONS
    for panel, strengths in tried.items():
        right: list[np.ndarray] = []
        scored: list[dict[float, np.ndarray]] = []
        lens = np.zeros(0, bool)
        for trained, other in zip(networks, reversed(networks), strict=True):
            batches: Iterable[Batch] = test_batches(test, device)
            if panel in ATTACKS:
                batches = labelled_batches(test, device, ATTACKED_PER_CLASS, seed)
            change = _change(panel, trained, other)
            lens, logits = changed_logits(trained.network, batches, strengths, change, seed)
            _add_scores(curves, panel, trained.name, lens, logits, seed)
            scored.append(logits)
            right.append(np.stack([(logits[s] > 0) == lens for s in strengths]))
        numbers[f"{panel}_samples"] = float(len(lens))
        sort = " under attack" if panel in ATTACKS else ""
        counts |= {name + sort: n for name, n in class_counts(lens).items()}
        if baseline is not None:
            numbers.update(_gains(panel, strengths, lens, right, seed))
            for strength in strengths:
                own, plain = (one[strength] for one in scored)
                gain, interval, _ = area_gain(lens, own, plain, seed)
                numbers.update(with_interval(f"{panel}_{strength:g}_auroc_gain", gain, interval))
    return Diagnostic(curves.table(), numbers, counts)


def _change(panel: str, trained: Trained, other: Trained) -> Change:
    attacker = {"attack": trained, "transfer": other}.get(panel)
    return noise(panel == "noise") if attacker is None else pgd(attacker.network, STEPS)


def _add_scores(
    curves: Curves,
    panel: str,
    name: str,
    lens: np.ndarray,
    logits: dict[float, np.ndarray],
    seed: int,
) -> None:
    for strength, values in logits.items():
        pairs = np.stack([lens, (values > 0) == lens], axis=1).astype(float)
        interval = bootstrap_interval(pairs, balanced_accuracy, seed, strata=lens)
        curves.add(panel, name, strength, balanced_accuracy(pairs), interval, len(lens))
        area, around = auroc_interval(lens.astype(int), values, seed)
        curves.add(f"{panel}_auroc", name, strength, area, around, len(lens))


def _gains(
    panel: str, strengths: Sequence[float], lens: np.ndarray, right: list[np.ndarray], seed: int
) -> dict[str, float]:
    """Paired gain in balanced accuracy at each strength, and its bootstrap interval."""

    def gain(rows: np.ndarray) -> float:
        return balanced_accuracy(rows[:, :2]) - balanced_accuracy(rows[:, ::2])

    found = {}
    for number, strength in enumerate(strengths):
        rows = np.stack([lens, right[0][number], right[1][number]], axis=1).astype(float)
        low, high = bootstrap_interval(rows, gain, seed, strata=lens)
        key = f"{panel}_{strength:g}_gain"
        found.update({key: gain(rows), f"{key}_low": low, f"{key}_high": high})
    return found
