"""Files of models: which file or variant a name stands for, and what it rests on."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from lenshunt.config.architectures import parameter_problems
from lenshunt.config.base import ConfigError, sentences
from lenshunt.config.models import ModelConfig
from lenshunt.core import ROOT

#: Where the models of this project are.
MODEL_FOLDER = ROOT / "config" / "models"


def model_names() -> list[str]:
    """All models in config/models, sorted: those of its files, and their variants."""
    return sorted(name for file in MODEL_FOLDER.glob("*.yaml") for name in _models_in(file))


def load_model_config(path: Path | str) -> ModelConfig:
    """One model with what its `base` gives, a model beside it or one of config/models.

    path : FOLDER/NAME.yaml; where there is no such file, the variant of this name in one beside it
        (narrow in resnet18.yaml for resnet18_narrow.yaml)
    Raises ConfigError, every bad key.
    """
    file = Path(path)
    try:
        model = ModelConfig(**_model_values(file, ()))
    except ValidationError as error:
        raise ConfigError(sentences(error, model_place(file))) from None
    problems = parameter_problems(model.architecture, model.parameters)
    if problems:
        raise ConfigError("\n".join(f"{model_place(file)}: {problem}" for problem in problems))
    return model


def model_place(path: Path | str) -> str:
    """Where the model of `load_model_config` stands, for errors: its file, and which variant."""
    file = Path(path)
    holder, _ = standing(file) or (file, [])
    if holder == file:
        return str(file)
    return f"{holder}: variant {file.stem.removeprefix(holder.stem + '_')}"


def _models_in(file: Path) -> dict[str, list[dict[str, Any]]]:
    """Every model of a file by name, as the values that are laid over each other, the file's
    first: resnet18, resnet18_narrow, and resnet18_narrow_scratch, a variant of the variant."""
    values = yaml.safe_load(file.read_text())
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: expected keys with values, found {type(values).__name__}")
    found: dict[str, list[dict[str, Any]]] = {}

    def add(name: str, layers: list[dict[str, Any]], values: dict[str, Any]) -> None:
        if layers and "base" in values:
            raise ConfigError(
                f"{file}: variants: {name} has a base, and rests on what it stands in; remove "
                "`base`, or give it a file of its own"
            )
        own = {key: value for key, value in values.items() if key != "variants"}
        found[name] = [*layers, own]
        for variant, more in (values.get("variants") or {}).items():
            if not isinstance(more, dict):
                raise ConfigError(f"{file}: variants: {variant}: expected keys with values")
            add(f"{name}_{variant}", found[name], more)

    add(file.stem, [], values)
    return found


def standing(file: Path) -> tuple[Path, list[dict[str, Any]]] | None:
    """The file that holds the model of a path, and its values as of `_models_in`; None where no
    file does. Raises ConfigError where two do."""
    holders = [
        other
        for other in sorted(file.parent.glob(f"*{file.suffix}"))
        if f"{file.stem}_".startswith(f"{other.stem}_")
    ]
    models = {holder: _models_in(holder) for holder in holders}
    having = [holder for holder in holders if file.stem in models[holder]]
    if len(having) > 1:
        named = " and ".join(map(str, having))
        raise ConfigError(f"{file.stem} stands in {named}; rename the one or the other")
    return (having[0], models[having[0]][file.stem]) if having else None


def _model_values(file: Path, users: tuple[str, ...]) -> dict[str, Any]:
    """Values of a model laid over those of its base; users : the models that led here."""
    found = standing(file)
    if found is None:
        named = f", the base of {users[-1]}" if users else ""
        known = ", ".join(model_names())
        raise ConfigError(f"{file}{named}: no such model; config/models has {known}")
    first, *variants = found[1]
    base = first.get("base")
    merged = first
    if base is not None:
        users = (*users, file.stem)
        if base in users:
            raise ConfigError(f"{file}: base: {' -> '.join((*users, base))} goes in a circle")
        beside = file.with_name(f"{base}.yaml")
        under = beside if standing(beside) else MODEL_FOLDER / beside.name
        merged = _laid_over(_model_values(under, users), first)
    for variant in variants:
        merged = _laid_over(merged, variant)
    return merged


def _laid_over(under: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Keys of a model over those of another; single entries of parameters (also within a group of
    them), of loss terms and of `training`."""
    merged = {**under, **values}
    for key in ("loss_terms", "training"):
        merged[key] = {**under.get(key, {}), **values.get(key, {})}
    merged["parameters"] = _entries(under.get("parameters", {}), values.get("parameters", {}))
    merged["loss_terms"] = {k: v for k, v in merged["loss_terms"].items() if v is not None}
    return merged


def _entries(under: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    merged = {**under, **values}
    for key in under.keys() & values.keys():
        if isinstance(under[key], dict) and isinstance(values[key], dict):
            merged[key] = _entries(under[key], values[key])
    return merged
