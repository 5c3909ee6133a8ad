"""What each model is: architecture, size, what it reads, what it costs, where it is from."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from lenshunt.config import ModelConfig
from lenshunt.models.interface import Batch, LensNetwork, Normalisation
from lenshunt.models.registry import architecture_of, build_model, count_parameters

#: Beside that of its architecture, of a model that is trained with attacks.
ADVERSARIAL_REFERENCE = "Madry et al. 2018, ICLR (arXiv:1706.06083)"


@dataclass(frozen=True)
class ModelSummary:
    """One line of `python -m lenshunt models`.

    parameters : trainable values; reads : parts of a batch; terms : of the loss, with their weights
    gflop : multiplications and additions of one image's forward pass, 1e9
    """

    name: str
    architecture: str
    parameters: int
    reads: tuple[str, ...]
    terms: tuple[str, ...]
    gflop: float
    reference: str
    description: str


def inputs_of(config: ModelConfig) -> tuple[str, ...]:
    """What a model reads beside band flags: image, residuals, conditions, segments."""
    architecture = architecture_of(config.architecture)
    wanted = {
        "image": True,
        "residuals": config.residual_channels,
        "conditions": architecture.needs_conditions,
        "segments": architecture.needs_segments,
    }
    return tuple(name for name, there in wanted.items() if there)


@torch.no_grad()
def forward_gflop(model: LensNetwork, batch: Batch) -> float:
    """Operations of the forward pass of a batch of one, as torch counts them, in 1e9.

    Matrix products, convolutions and attention; not counted are the rest and what a model does
    outside of the network, as rendering a lens.
    """
    with FlopCounterMode(display=False) as counter:
        model.eval()(batch)
    return counter.get_total_flops() / 1e9


def summarise(
    name: str, config: ModelConfig, normalisation: Normalisation, batch: Batch
) -> ModelSummary:
    """Summary of one model file. batch : of one sample, on the grid of `normalisation`."""
    with torch.random.fork_rng(devices=[]):
        model = build_model(config, normalisation)
    reference = architecture_of(config.architecture).reference
    if config.training.get("adversarial"):
        reference = f"{reference}; {ADVERSARIAL_REFERENCE}"
    return ModelSummary(
        name=name,
        architecture=config.architecture,
        parameters=count_parameters(model),
        reads=inputs_of(config),
        terms=tuple(f"{term} {section.weight:g}" for term, section in config.loss_terms.items()),
        gflop=forward_gflop(model, batch),
        reference=reference,
        description=config.description,
    )
