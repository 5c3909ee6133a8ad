"""Further terms of the loss, each with its weight and the schedule that it rises by."""

from collections.abc import Callable, Mapping

import torch

from lenshunt.config import LossTerm
from lenshunt.lensing import colour_curriculum, physics_curriculum
from lenshunt.models import Batch, LensNetwork, Prediction


def term_weight(term: LossTerm, epoch: float) -> float:
    """Weight of a term in this epoch (0, 1, ...; fractions within one)."""
    if term.schedule == "cosine":
        return colour_curriculum(epoch, term.warmup_epochs, term.weight)
    return term.weight * physics_curriculum(epoch, term.warmup_epochs)


def sample_losses(
    network: LensNetwork,
    losses: Callable[[Prediction, Batch], torch.Tensor],
    batch: Batch,
    terms: Mapping[str, LossTerm],
    epoch: float,
) -> torch.Tensor:
    """What a training step forwards: the loss of each sample with all weighted terms, [b].

    losses : of the task, [b]
    """
    prediction = network(batch)
    more = weighted_terms(network, prediction, batch, terms, epoch)
    return sum(more.values(), start=losses(prediction, batch))


def weighted_terms(
    network: LensNetwork,
    prediction: Prediction,
    batch: Batch,
    terms: Mapping[str, LossTerm],
    epoch: float,
) -> dict[str, torch.Tensor]:
    """Weighted loss terms of the network, each [b]; none is computed where none is configured."""
    if not terms:
        return {}
    found = network.loss_terms(prediction, batch, tuple(terms))
    return {name: term_weight(term, epoch) * found[name] for name, term in terms.items()}
