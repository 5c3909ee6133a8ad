"""Read configuration files into their typed definitions, with errors that name the key."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from lenshunt.config.architectures import unknown_parameters
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


def model_files(config: Config) -> dict[str, Path]:
    """The file of every model that an experiment uses, by name, sorted.

    Raises ConfigError where one name stands for two files: products are called by it.
    """
    found: dict[str, Path] = {}
    for key, experiment in config.experiments.items():
        for name in experiment.models:
            shipped = MODEL_FOLDER / f"{name}.yaml"
            file = Path(experiment.model_files.get(name, shipped))
            other = shipped if file != shipped and shipped.exists() else found.get(name, file)
            if other.resolve() != file.resolve():
                raise ConfigError(
                    f"experiments.{key}.models: {file} has the name of {other}; rename the file, "
                    "since all that is made with a model is called by its name"
                )
            found[name] = file
    return dict(sorted(found.items()))


def load_models(config: Config) -> dict[str, ModelConfig]:
    """The model files that the experiments use, by name. Raises ConfigError, every bad key."""
    return {name: load_model_config(file) for name, file in model_files(config).items()}


def load_model_config(path: Path | str) -> ModelConfig:
    """One model file with what its `base` gives, a file beside it or a name in config/models.

    Raises ConfigError, every bad key.
    """
    file = Path(path)
    try:
        model = ModelConfig(**_model_values(file, ()))
    except ValidationError as error:
        raise ConfigError(_sentences(error, str(file))) from None
    problems = unknown_parameters(model.architecture, model.parameters)
    if problems:
        raise ConfigError("\n".join(f"{file}: {problem}" for problem in problems))
    return model


def _model_values(file: Path, users: tuple[str, ...]) -> dict[str, Any]:
    """Values of a model's file laid over those of its base; users : the files that led here."""
    if not file.exists():
        known = sorted(p.stem for p in MODEL_FOLDER.glob("*.yaml"))
        named = f", the base of {users[-1]}" if users else ""
        raise ConfigError(f"{file}{named}: no such model; config/models has {', '.join(known)}")
    values = yaml.safe_load(file.read_text())
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: expected keys with values, found {type(values).__name__}")
    base = values.get("base")
    if base is None:
        return values
    users = (*users, file.stem)
    if base in users:
        raise ConfigError(f"{file}: base: {' -> '.join((*users, base))} goes in a circle")
    beside = file.with_name(f"{base}.yaml")
    under = _model_values(beside if beside.exists() else MODEL_FOLDER / f"{base}.yaml", users)
    merged = {**under, **values}
    for key in ("parameters", "loss_terms", "training"):
        merged[key] = {**under.get(key, {}), **values.get(key, {})}
    merged["loss_terms"] = {k: v for k, v in merged["loss_terms"].items() if v is not None}
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
