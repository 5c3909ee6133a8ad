"""Models by name, and how one is built from its configuration."""

import inspect
from collections.abc import Sequence

import torch
from torch import nn

from lenshunt.config import ModelConfig
from lenshunt.models.film_resnet import FilmResNet
from lenshunt.models.interface import Normalisation
from lenshunt.models.resnet import ResNet
from lenshunt.models.vit import ViT

#: Class by the `architecture` of a model file.
REGISTRY: dict[str, type[nn.Module]] = {"resnet": ResNet, "vit": ViT, "film_resnet": FilmResNet}


def model_parameters(architecture: str) -> list[str]:
    """Keys that `parameters` of a model file of this architecture may have."""
    signature = inspect.signature(REGISTRY[architecture].__init__)
    return [p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]


def build_model(
    config: ModelConfig, normalisation: Normalisation, auxiliary: Sequence[str] = ()
) -> nn.Module:
    """The model of `config`, with fresh weights from torch's global random state.

    auxiliary : names of further values to be regressed from the features (pretraining)
    Raises ValueError for parameters that the architecture does not have.
    """
    allowed = model_parameters(config.architecture)
    unknown = sorted(set(config.parameters) - set(allowed))
    if unknown:
        raise ValueError(
            f"{config.architecture} has no parameter {', '.join(unknown)}; "
            f"it takes {', '.join(allowed)}"
        )
    architecture = REGISTRY[config.architecture]
    return architecture(normalisation, config.residual_channels, auxiliary, **config.parameters)


def count_parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def backbone_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Weights that models of one backbone family share."""
    return {k: v for k, v in model.state_dict().items() if k.startswith("backbone.")}


def load_backbone(model: nn.Module, state: dict[str, torch.Tensor], where: str) -> None:
    """Copy pretrained backbone weights into `model`.

    Raises ValueError naming `where` and the first weight that is missing or of another shape.
    """
    own = backbone_state(model)
    for name in sorted(set(own) | set(state)):
        found = tuple(state[name].shape) if name in state else "no such weight"
        wanted = tuple(own[name].shape) if name in own else "no such weight"
        if found != wanted:
            raise ValueError(
                f"{where}: {name} is {found}, the model wants {wanted}; pretrain this model's "
                "own backbone family, with the same parameters and residual_channels"
            )
    model.load_state_dict(state, strict=False)
