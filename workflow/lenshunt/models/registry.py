"""Models by name, and how one is built from its configuration."""

import importlib
import inspect
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass, replace
from typing import Any

import torch
from torch import nn

from lenshunt.config import ModelConfig
from lenshunt.config.architectures import parameter_problems
from lenshunt.models.interface import LensNetwork, Normalisation

#: Where the class of each `architecture` of a model file is; a job imports only the one it needs.
REGISTRY: dict[str, str] = {
    "resnet": "lenshunt.models.resnet.ResNet",
    "vit": "lenshunt.models.vit.ViT",
    "film_resnet": "lenshunt.models.film_resnet.FilmResNet",
    "enhanced_vit": "lenshunt.models.enhanced_vit.EnhancedViT",
    "equivariant_resnet": "lenshunt.models.equivariant_resnet.EquivariantResNet",
    "pinn_lens": "lenshunt.models.pinn_lens.PinnLens",
    "gat_lens": "lenshunt.models.gat_lens.GatLens",
    "color_aware_lens": "lenshunt.models.color_aware_lens.ColorAwareLens",
    "bayesian_ensemble": "lenshunt.models.bayesian_ensemble.BayesianEnsemble",
}


def architecture_of(name: str) -> type[LensNetwork]:
    """The class of an architecture."""
    module, _, attribute = REGISTRY[name].rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def arguments_of(config: ModelConfig) -> dict[str, Any]:
    """Arguments by name that the architecture of `config` is made with, defaults included.

    Entries of a group (`backbone`) are laid over those of its default. Raises ValueError for
    parameters that the architecture does not have.
    """
    problems = parameter_problems(config.architecture, config.parameters)
    if problems:
        raise ValueError("\n".join(problems))
    signature = inspect.signature(architecture_of(config.architecture).__init__)
    named = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    return {p.name: _laid_over(p.default, config.parameters.get(p.name)) for p in named}


def _laid_over(default: Any, given: Any) -> Any:
    """The value of an argument; none is given where it is None."""
    if isinstance(given, dict):
        entries = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
        return replace(default, **entries)
    return default if given is None else given


def backbone_parameters(config: ModelConfig) -> dict[str, object]:
    """What decides how the backbone of `config` computes, by its key (backbone.widths)."""
    values = arguments_of(config)
    found: dict[str, object] = {}
    for name in architecture_of(config.architecture).backbone_arguments:
        value = values[name]
        if is_dataclass(value) and not isinstance(value, type):
            found |= {f"{name}.{key}": entry for key, entry in asdict(value).items()}
        else:
            found[name] = value
    return {key: list(v) if isinstance(v, tuple) else v for key, v in found.items()}


def build_model(
    config: ModelConfig, normalisation: Normalisation, auxiliary: Sequence[str] = ()
) -> LensNetwork:
    """The model of `config`, with fresh weights from torch's global random state.

    auxiliary : names of further values to be regressed from the features (pretraining)
    Raises ValueError for parameters or loss terms that the architecture does not have.
    """
    arguments = arguments_of(config)
    architecture = architecture_of(config.architecture)
    strangers = sorted(set(config.loss_terms) - set(architecture.terms))
    if strangers:
        raise ValueError(
            f"{config.architecture} has no loss term {', '.join(strangers)}; "
            f"it has {', '.join(architecture.terms) or 'none'}"
        )
    return architecture(normalisation, config.residual_channels, auxiliary, **arguments)


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
