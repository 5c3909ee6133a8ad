"""Start a network from a pretrained backbone, which must have been made for what it is put in."""

from dataclasses import fields
from typing import Any

from lenshunt.config import ModelConfig
from lenshunt.models import (
    LensNetwork,
    Normalisation,
    backbone_parameters,
    backbone_state,
    load_backbone,
)
from lenshunt.training.checkpoint import load_checkpoint

#: Largest relative difference of pixel scales and PSFs that are the same.
SAME = 0.01
PRETRAIN_AGAIN = "pretrain this backbone family again"
ONE_GRID = "let `grid` of the pretraining and of the experiment be the same, and pretrain again"


def start_from(
    network: LensNetwork, model: ModelConfig, normalisation: Normalisation, path: str
) -> None:
    """Copy the backbone in the checkpoint at `path` into `network`, built of the other two.

    Raises ValueError naming the file, the key and what to do where the backbone was made for other
    bands, another grid, another stretch of the images or another architecture. Background sigmas
    and conditions are of each training set, and differ.
    """
    content = load_checkpoint(path, "backbone")
    found = _normalisation_of(content, path)
    _same_inputs(found, normalisation, path)
    _same_architecture(content["model"], model, path)
    _same_size(network, found, normalisation, content["state"], path)
    load_backbone(network, content["state"], path)


def _refuse(path: str, key: str, found: Any, wanted: Any, remedy: str) -> None:
    raise ValueError(f"{path}: {key} is {found}, the model wants {wanted}; {remedy}")


def _normalisation_of(content: dict[str, Any], path: str) -> Normalisation:
    """The statistics in a checkpoint; another version of lenshunt may have kept others."""
    names = {field.name for field in fields(Normalisation)}
    strange = sorted(names ^ set(content["normalisation"]))
    if strange:
        raise ValueError(
            f"{path}: normalisation lacks, or alone has, {', '.join(strange)}: it was written by "
            f"another version of lenshunt; {PRETRAIN_AGAIN}"
        )
    return Normalisation.from_dict(content["normalisation"])


def _same_inputs(found: Normalisation, wanted: Normalisation, path: str) -> None:
    """Bands, grid and stretch: pixels that mean the same."""
    if found.bands != wanted.bands:
        _refuse(path, "normalisation.bands", found.bands, wanted.bands, PRETRAIN_AGAIN)
    for name in ("pixel_scale_arcsec", "psf_fwhm_arcsec", "psf_moffat_beta"):
        here, there = getattr(found, name), getattr(wanted, name)
        if abs(here - there) > SAME * max(here, there):
            _refuse(path, f"normalisation.{name}", f"{here:.4g}", f"{there:.4g}", ONE_GRID)
    if found.softening != wanted.softening:
        _refuse(path, "normalisation.softening", found.softening, wanted.softening, PRETRAIN_AGAIN)


def _same_architecture(stored: dict[str, Any], model: ModelConfig, path: str) -> None:
    """Residual channels and the parameters that decide what the backbone computes."""
    remedy = (
        "give this model a `backbone` family of its own, or the parameters and residual_channels "
        "of the other models of its family"
    )
    known = {name: stored.get(name) for name in ("architecture", "residual_channels", "parameters")}
    try:
        found = backbone_parameters(ModelConfig(backbone=model.backbone, **known))
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"{path}: model is not one that this version of lenshunt knows "
            f"({str(error).splitlines()[0]}); {PRETRAIN_AGAIN}"
        ) from None
    if known["residual_channels"] != model.residual_channels:
        wanted_channels = model.residual_channels
        _refuse(
            path, "model.residual_channels", known["residual_channels"], wanted_channels, remedy
        )
    wanted = backbone_parameters(model)
    if set(found) != set(wanted):
        _refuse(path, "model.architecture", known["architecture"], model.architecture, remedy)
    for name in found:
        if found[name] != wanted[name]:
            _refuse(path, f"model.parameters.{name}", found[name], wanted[name], remedy)


def _same_size(
    network: LensNetwork,
    found: Normalisation,
    wanted: Normalisation,
    state: dict[str, Any],
    path: str,
) -> None:
    """The size of the images, where weights depend on it (learned positions of a transformer)."""
    own = backbone_state(network)
    changed = [name for name in own if name in state and own[name].shape != state[name].shape]
    if changed and found.size_px != wanted.size_px:
        _refuse(
            path,
            f"normalisation.size_px (of which {changed[0]} depends)",
            found.size_px,
            wanted.size_px,
            ONE_GRID,
        )
