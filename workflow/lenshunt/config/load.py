"""Read configuration files into their typed definitions, with errors that name the key."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from lenshunt.config.architectures import parameter_problems
from lenshunt.config.datasets import Dataset
from lenshunt.config.models import ModelConfig, TrainingConfig
from lenshunt.config.root import Config
from lenshunt.core import ROOT

#: Where the models of this project are.
MODEL_FOLDER = ROOT / "config" / "models"


class ConfigError(ValueError):
    """The configuration cannot be run; the text names each key and what it allows."""


def _sentences(error: ValidationError, where: str) -> str:
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        found = "" if item["type"] == "missing" else f" (found {item['input']!r})"
        lines.append(f"{where}: {key}: {item['msg']}{found}")
    return "\n".join(lines)


def parse_config(values: Mapping[str, Any], where: str = "config") -> Config:
    """Typed configuration from parsed YAML. Raises ConfigError listing every bad key."""
    try:
        return Config(**values)
    except ValidationError as error:
        raise ConfigError(_sentences(error, where)) from None


def model_names() -> list[str]:
    """All models in config/models, sorted: those of its files, and their variants."""
    return sorted(name for file in MODEL_FOLDER.glob("*.yaml") for name in _models_in(file))


def model_files(config: Config) -> dict[str, Path]:
    """The file of every model that an experiment uses, by name, sorted; see `load_model_config`.

    Raises ConfigError where one name stands for two files: products are called by it.
    """
    found: dict[str, Path] = {}
    for key, experiment in config.experiments.items():
        for name in experiment.models:
            shipped = MODEL_FOLDER / f"{name}.yaml"
            file = Path(experiment.model_files.get(name, shipped))
            shadows = file != shipped and _found(shipped) is not None
            other = shipped if shadows else found.get(name, file)
            if other.resolve() != file.resolve():
                raise ConfigError(
                    f"experiments.{key}.models: {file} has the name of {model_place(other)}; "
                    "rename the file, since all that is made with a model is called by its name"
                )
            found[name] = file
    return dict(sorted(found.items()))


def load_models(config: Config) -> dict[str, ModelConfig]:
    """The model files that the experiments use, by name. Raises ConfigError, every bad key."""
    return {name: load_model_config(file) for name, file in model_files(config).items()}


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
        raise ConfigError(_sentences(error, model_place(file))) from None
    problems = parameter_problems(model.architecture, model.parameters)
    if problems:
        raise ConfigError("\n".join(f"{model_place(file)}: {problem}" for problem in problems))
    return model


def model_place(path: Path | str) -> str:
    """Where the model of `load_model_config` stands, for errors: its file, and which variant."""
    file = Path(path)
    holder, _ = _found(file) or (file, [])
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


def _found(file: Path) -> tuple[Path, list[dict[str, Any]]] | None:
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
    found = _found(file)
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
        under = beside if _found(beside) else MODEL_FOLDER / beside.name
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


def merged_training(*layers: Mapping[str, Any]) -> TrainingConfig:
    """Training settings where each later layer overrides the keys that it names."""
    values: dict[str, Any] = {}
    for layer in layers:
        values.update(layer)
    try:
        return TrainingConfig(**values)
    except ValidationError as error:
        raise ConfigError(_sentences(error, "training")) from None


def dataset_from(values: Mapping[str, Any]) -> Dataset:
    """A data-set section from the plain values that `model_dump` made of it.

    Jobs up to the records know no grid, so that a further grid does not re-run them; then the
    section that they get carries the placeholder `none`.
    """
    adapter: TypeAdapter[Dataset] = TypeAdapter(Dataset)
    return adapter.validate_python({"grids": ["none"], **values})
