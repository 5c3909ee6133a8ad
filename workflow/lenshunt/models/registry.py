"""Models by name, and how one is built from its configuration."""

import importlib
import inspect
from collections.abc import Sequence

import torch
from torch import nn

from lenshunt.config import ModelConfig
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


_RESNET = ("widths", "depths", "layer_type", "stem_kernel", "stem_stride", "stem_pool")
_VIT = ("width", "layers", "heads", "mlp_ratio", "patch_px")
#: Parameters of each architecture that decide what its backbone computes. Models of one family
#: agree in these; the rest is about what is done with the features.
BACKBONE_PARAMETERS: dict[str, tuple[str, ...]] = {
    "resnet": _RESNET,
    "vit": _VIT,
    "film_resnet": _RESNET,
    "enhanced_vit": (*_VIT, "arc_width"),
    "equivariant_resnet": ("fields", "depths", "stem_kernel", "stem_stride", "stem_pool"),
    "pinn_lens": _RESNET,
    "gat_lens": ("widths", "blocks"),
    "color_aware_lens": _RESNET,
    "bayesian_ensemble": (
        "widths", "depths", "stem_kernel", "stem_stride", "stem_pool",
        "vit_width", "vit_layers", "vit_heads", "patch_px",
    ),
}  # fmt: skip


def architecture_of(name: str) -> type[LensNetwork]:
    """The class of an architecture."""
    module, _, attribute = REGISTRY[name].rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def model_parameters(architecture: str) -> list[str]:
    """Keys that `parameters` of a model file of this architecture may have."""
    signature = inspect.signature(architecture_of(architecture).__init__)
    return [p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]


def backbone_parameters(config: ModelConfig) -> dict[str, object]:
    """What decides how the backbone of `config` computes, defaults included, by name."""
    signature = inspect.signature(architecture_of(config.architecture).__init__)
    values = {
        name: config.parameters.get(name, signature.parameters[name].default)
        for name in BACKBONE_PARAMETERS[config.architecture]
    }
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


def build_model(
    config: ModelConfig, normalisation: Normalisation, auxiliary: Sequence[str] = ()
) -> LensNetwork:
    """The model of `config`, with fresh weights from torch's global random state.

    auxiliary : names of further values to be regressed from the features (pretraining)
    Raises ValueError for parameters or loss terms that the architecture does not have.
    """
    allowed = model_parameters(config.architecture)
    unknown = sorted(set(config.parameters) - set(allowed))
    if unknown:
        raise ValueError(
            f"{config.architecture} has no parameter {', '.join(unknown)}; "
            f"it takes {', '.join(allowed)}"
        )
    architecture = architecture_of(config.architecture)
    strangers = sorted(set(config.loss_terms) - set(architecture.terms))
    if strangers:
        raise ValueError(
            f"{config.architecture} has no loss term {', '.join(strangers)}; "
            f"it has {', '.join(architecture.terms) or 'none'}"
        )
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
