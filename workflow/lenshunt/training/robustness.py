"""How a classifier fares on images that are attacked, or noisier than those it learned from."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from lenshunt.config import Adversarial
from lenshunt.models import Batch, LensNetwork, Prediction
from lenshunt.models.inputs import usable_pixels
from lenshunt.training.adversarial import evaluating, perturbed
from lenshunt.training.augment import with_white_noise
from lenshunt.training.loading import on_device

#: Batch and a strength to the batch to be judged.
Change = Callable[[Batch, float], Batch]


def pgd(model: LensNetwork, steps: int) -> Change:
    """The attack on `model`: its strength is epsilon in units of the pixel's sigma; 0 is none."""

    def attack(batch: Batch, epsilon: float) -> Batch:
        if epsilon == 0:
            return batch
        config = Adversarial(epsilon_sigma=epsilon, steps=steps)
        return {**batch, "image": perturbed(model, wrong_way, batch, config)}

    return attack


def noise(declared: bool) -> Change:
    """Added white noise: its strength is in units of the pixel's sigma.

    declared : the variance says so, as for a shallower image; else it stays what it was, as for a
        survey that underestimates its noise
    """

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
    """Whether each labelled sample is a lens, bool [n], and its logit [n] at every strength.

    Samples without a label are left out. The same random numbers serve all strengths.
    """
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


@contextmanager
def own_random_numbers(device: torch.device) -> Iterator[None]:
    """Puts torch's random states, on the CPU and on `device`, back at its end."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
