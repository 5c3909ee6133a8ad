"""How a classifier fares on images that are attacked, or noisier than those it learned from."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from lenshunt.config import Adversarial
from lenshunt.models import Batch, LensNetwork, Prediction
from lenshunt.models.inputs import usable_pixels
from lenshunt.training.adversarial import evaluating, perturbed
from lenshunt.training.augment import with_white_noise
from lenshunt.training.loading import on_device

#: Batch and a strength to the batch to be judged.
Change = Callable[[Batch, float], Batch]


def accuracy_under_attack(
    model: LensNetwork,
    batches: Iterable[Batch],
    epsilons: Sequence[float],
    steps: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """Scores under PGD that moves each pixel by at most epsilon of its own sigma; 0 is clean.

    Returns one row per epsilon: `epsilon_sigma` and the columns of `_row`. Samples without a
    label are left out. The attack sees the network's single view and its weights: an upper bound
    of what unlucky noise can do.
    """
    label, logits = changed_logits(model, batches, epsilons, pgd(model, steps), seed)
    return _scores(label, logits, "epsilon_sigma")


def accuracy_under_noise(
    model: LensNetwork,
    batches: Iterable[Batch],
    sigmas: Sequence[float],
    declared: bool = True,
    seed: int = 0,
) -> pd.DataFrame:
    """Scores with white noise of `sigmas` times each pixel's own sigma added; 0 is clean.

    declared : the variance says so, as for a shallower image; else it stays what it was, as for
        a survey that underestimates its noise
    Returns one row per sigma: `noise_sigma` and the columns of `_row`. The same random numbers
    serve all sigmas.
    """
    label, logits = changed_logits(model, batches, sigmas, noise(declared), seed)
    return _scores(label, logits, "noise_sigma")


def pgd(model: LensNetwork, steps: int) -> Change:
    """The attack on `model`: its strength is epsilon in units of the pixel's sigma; 0 is none."""

    def attack(batch: Batch, epsilon: float) -> Batch:
        if epsilon == 0:
            return batch
        config = Adversarial(epsilon_sigma=epsilon, steps=steps)
        return {**batch, "image": perturbed(model, wrong_way, batch, config)}

    return attack


def noise(declared: bool) -> Change:
    """Added white noise: its strength is in units of the pixel's sigma; the variance may say so."""

    def add_noise(batch: Batch, amount: float) -> Batch:
        variance = batch["variance"]
        usable = usable_pixels(variance, batch["band_flags"])
        sigma = torch.where(usable, variance, 0.0).sqrt()
        noisy: Batch = {
            **batch,
            "image": batch["image"] + amount * sigma * torch.randn_like(batch["image"]),
        }
        if declared:
            noisy["variance"] = variance * (1.0 + amount**2)
            if "noise_corr" in batch:
                noisy["noise_corr"] = with_white_noise(batch["noise_corr"], amount)
        return noisy

    return add_noise


def wrong_way(prediction: Prediction, batch: Batch) -> torch.Tensor:
    """The logit towards the wrong class, [b]; 0 for a sample without a label.

    It rises with the cross-entropy, whose gradient vanishes in float32 where a network is sure:
    1 - sigmoid(17) is 0. Such a network would only look robust.
    """
    label = batch["label"]
    return prediction.logit * torch.where(label >= 0, 1.0 - 2.0 * label, 0.0)


def changed_logits(
    model: LensNetwork,
    batches: Iterable[Batch],
    strengths: Sequence[float],
    change: Change,
    seed: int,
) -> tuple[np.ndarray, dict[float, np.ndarray]]:
    """Whether each labelled sample is a lens, bool [n], and its logit [n] at every strength."""
    device = next(model.parameters()).device
    labels: list[np.ndarray] = []
    logits: dict[float, list[np.ndarray]] = {strength: [] for strength in strengths}
    with evaluating(model), own_random_numbers(device):
        for number, batch in enumerate(batches):
            known = torch.nonzero(batch["label"] >= 0)[:, 0]
            part = on_device({key: values[known] for key, values in batch.items()}, device)  # type: ignore
            labels.append(part["label"].cpu().numpy() == 1)
            for strength in strengths:
                torch.manual_seed(hash((seed, number)) % 2**32)
                changed = change(part, strength)
                with torch.no_grad():
                    logits[strength].append(model(changed).logit.cpu().numpy())
    joined = {strength: np.concatenate(parts) for strength, parts in logits.items()}
    return np.concatenate(labels), joined


def _scores(label: np.ndarray, logits: dict[float, np.ndarray], name: str) -> pd.DataFrame:
    """One row per strength, which the column `name` holds."""
    return pd.DataFrame([{name: s, **_row(label, values)} for s, values in logits.items()])


def _row(label: np.ndarray, logit: np.ndarray) -> dict[str, float]:
    """accuracy, recall (of lenses), false_positive_rate at probability 0.5; auroc; loss; samples.

    NaN where the class that a score needs is missing.
    """
    called = logit > 0
    both = label.any() and not label.all()
    loss = functional.binary_cross_entropy_with_logits(
        torch.from_numpy(logit).double(), torch.from_numpy(label).double()
    )
    return {
        "accuracy": float((called == label).mean()),
        "recall": float(called[label].mean()) if label.any() else float("nan"),
        "false_positive_rate": float(called[~label].mean()) if not label.all() else float("nan"),
        "auroc": float(roc_auc_score(label, logit)) if both else float("nan"),
        "loss": float(loss),
        "samples": len(label),
    }


@contextmanager
def own_random_numbers(device: torch.device) -> Iterator[None]:
    """Puts torch's random states, on the CPU and on `device`, back at its end."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
