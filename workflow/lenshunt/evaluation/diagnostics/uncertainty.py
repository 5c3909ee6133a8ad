"""`bayesian_ensemble` knows what it does not know: its epistemic part, on and off distribution.

Mutual information of label and network (epistemic) and mean entropy of the draws (aleatoric), in
nats, of test samples and of inputs that no training set has, made of the same samples.
"""

from dataclasses import dataclass

import numpy as np
import torch

from lenshunt.evaluation.diagnostics.areas import add_histogram, area, with_interval
from lenshunt.evaluation.diagnostics.common import (
    Curves,
    Diagnostic,
    Panel,
    Trained,
    class_counts,
    device_of,
    mean_interval,
    share_interval,
    test_batches,
)
from lenshunt.evaluation.diagnostics.off_distribution import CHANGES
from lenshunt.models.bayesian_ensemble import BayesianEnsemble, entropy_parts
from lenshunt.training.loading import Loader

#: Quantiles of the epistemic part, as bins of equal numbers of samples.
QUANTILES = 5
TEST = "test set"
EPISTEMIC_EDGES = np.geomspace(1e-5, 0.7, 25)
ALEATORIC_EDGES = np.linspace(0.0, np.log(2.0), 25)

SAMPLE = "random test samples, and the same made unlike any training set"
BASELINE = True
PANELS: dict[str, Panel] = {
    "epistemic": Panel("epistemic part (nats)", "share of the samples", "steps", log="x"),
    "aleatoric": Panel("aleatoric part (nats)", "share of the samples", "steps"),
    "auroc": Panel(
        "changed input",
        "AUROC against the test set",
        "points",
        reference=0.5,
        ticks=tuple(CHANGES),
    ),
    "draws": Panel("number of networks drawn", "mean epistemic part (nats)", "line"),
    "errors": Panel("quantile of what the legend names", "error rate at probability 0.5", "line"),
}


@dataclass(frozen=True)
class Draws:
    """label [n], logits of drawn networks [n, draw], their weights [draw]; entropies in nats."""

    label: np.ndarray
    logits: np.ndarray
    weights: np.ndarray

    @property
    def parts(self) -> dict[str, np.ndarray]:
        return self.first(self.logits.shape[1])

    def first(self, count: int) -> dict[str, np.ndarray]:
        """`epistemic`, `aleatoric` and their sum `entropy`, of the first `count` networks, [n]."""
        logits = torch.from_numpy(self.logits[:, :count].T.copy())
        weights = torch.from_numpy(self.weights[:count] / self.weights[:count].sum())
        found = entropy_parts(logits, weights)
        parts = {name: values.numpy() for name, values in found.items()}
        return {**parts, "entropy": parts["epistemic"] + parts["aleatoric"]}

    @property
    def called(self) -> np.ndarray:
        """bool [n]: whether the mean probability is above one half."""
        return np.asarray((1.0 / (1.0 + np.exp(-self.logits))) @ self.weights > 0.5)


def measure(subject: Trained, baseline: Trained | None, test: Loader, seed: int) -> Diagnostic:
    """A baseline has no epistemic part; it has an entropy. weight_resnet: of that member's draws.

    Raises ValueError for a subject that is no bayesian_ensemble.
    """
    if not isinstance(subject.network, BayesianEnsemble):
        raise ValueError(
            f"{subject.name} ({subject.config.architecture}) draws no networks; this "
            "diagnostic is for bayesian_ensemble"
        )
    curves, numbers = Curves(), {}
    found = drawn(subject, test, seed)
    for name, one in found.items():
        parts = one.parts
        add_histogram(curves, "epistemic", name, parts["epistemic"], EPISTEMIC_EDGES)
        add_histogram(curves, "aleatoric", name, parts["aleatoric"], ALEATORIC_EDGES)
        for key, values in parts.items():
            numbers[f"{key}_{_key(name)}"] = float(values.mean())
    numbers.update(_separation(curves, found, "epistemic", "epistemic part", seed))
    _separation(curves, found, "aleatoric", "aleatoric part", seed)
    _separation(curves, found, "entropy", "entropy", seed)
    numbers.update(_errors(curves, found[TEST], "epistemic", "epistemic part"))
    by_entropy = _errors(curves, found[TEST], "entropy", "entropy")
    numbers.update({f"entropy_{key}": value for key, value in by_entropy.items()})
    numbers["weight_resnet"] = float(found[TEST].weights[::2].sum())
    if baseline is not None:
        # like with like: what both networks have
        rival = drawn(baseline, test, seed)
        name = f"entropy, {baseline.name}"
        apart = _separation(curves, rival, "entropy", name, seed)
        apart.update(_errors(curves, rival[TEST], "entropy", name))
        numbers.update({f"baseline_entropy_{key}": value for key, value in apart.items()})
    _add_draws(curves, found, seed)
    return Diagnostic(curves.table(), numbers, class_counts(found[TEST].label))


def _key(name: str) -> str:
    return name.replace(" ", "_")


@torch.inference_mode()
def drawn(trained: Trained, test: Loader, seed: int) -> dict[str, Draws]:
    """Of the test samples and of every change: the same samples and random numbers each time.

    A network without draws has one logit.
    """
    random = torch.Generator().manual_seed(seed)
    labels: list[np.ndarray] = []
    logits: dict[str, list[np.ndarray]] = {name: [] for name in (TEST, *CHANGES)}
    weights = torch.ones(1)
    device = device_of(trained.network)
    for batch in test_batches(test, device):
        labels.append(batch["label"].cpu().numpy())
        for name in logits:
            change = CHANGES.get(name)
            given = change(batch, trained.normalisation, random) if change else batch
            prediction = trained.network(given)
            own = prediction.internals.get("member_logits", prediction.logit[None])
            weights = prediction.internals.get("draw_weights", weights)
            logits[name].append(own.T.double().cpu().numpy())
    label = np.concatenate(labels)
    shares = weights.double().cpu().numpy()
    return {name: Draws(label, np.concatenate(parts), shares) for name, parts in logits.items()}


def _separation(
    curves: Curves, found: dict[str, Draws], part: str, series: str, seed: int
) -> dict[str, float]:
    """How well one part separates every changed input from the test set: areas under the ROC."""
    numbers: dict[str, float] = {}
    usual = found[TEST].parts[part]
    for place, name in enumerate(CHANGES):
        value, interval, n = area(found[name].parts[part], usual, seed)
        curves.add("auroc", series, place, value, interval, n)
        numbers.update(with_interval(f"auroc_{_key(name)}", value, interval))
    return numbers


def _add_draws(curves: Curves, found: dict[str, Draws], seed: int) -> None:
    """Mean epistemic part of the first 2, 4, ... networks: pairs of one of either member."""
    for name, one in found.items():
        for count in range(2, one.logits.shape[1] + 1, 2):
            mean, interval, n = mean_interval(one.first(count)["epistemic"], seed)
            curves.add("draws", name, count, mean, interval, n)


def _errors(curves: Curves, one: Draws, part: str, series: str) -> dict[str, float]:
    """Error rates by quantile of one part, lowest first; that of all, of the first and the last."""
    wrong = one.called != (one.label == 1)
    order = np.argsort(one.parts[part], kind="stable")
    rates = []
    for place, rows in enumerate(np.array_split(order, QUANTILES)):
        rate, interval, n = share_interval(wrong[rows])
        curves.add("errors", series, (place + 0.5) / QUANTILES, rate, interval, n)
        rates.append(rate)
    return {
        "error_rate": float(wrong.mean()),
        "error_rate_surest": rates[0],
        "error_rate_least_sure": rates[-1],
        "n": float(len(wrong)),
    }
