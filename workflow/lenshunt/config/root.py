"""The whole of config/*.yaml in the order of its sections; reading it, and all its checks."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from lenshunt.config.base import ConfigError, Strict, sentences
from lenshunt.config.clusters import Cluster, check_clusters
from lenshunt.config.datasets import Dataset, check_datasets
from lenshunt.config.demo import Demo
from lenshunt.config.experiments import Experiment, check_experiment, model_files
from lenshunt.config.fields import scored_fields
from lenshunt.config.grids import Grid, check_grids
from lenshunt.config.model_files import load_model_config, model_place
from lenshunt.config.models import ModelConfig, TrainingConfig, merged_training
from lenshunt.config.pretraining import Pretraining, check_pretraining
from lenshunt.config.search import Search, check_search
from lenshunt.config.shards import KnownLensRadii, QualityConfig, SegmentsConfig, SplitConfig


class Config(Strict):
    """The whole configuration."""

    seed: int = 20260
    """Seed of the demo, splits, bootstraps and random catalogues; trainings have their own."""
    results: str = "results"
    """Folder of everything that is made."""
    demo: Demo = Demo()
    grids: dict[str, Grid] = Field(min_length=1)
    """Common grids by name."""
    datasets: dict[str, Dataset] = Field(min_length=1)
    """Data sets by name."""
    splits: SplitConfig = SplitConfig()
    known_lenses: list[str] = []
    """Tables of lenses that are known to be on the sky (lenscat, CASTLES, or any CSV, ECSV or
    Parquet with ra and dec in degrees): negatives near them are left out everywhere."""
    known_lens_radius_arcsec: KnownLensRadii = KnownLensRadii()
    quality: QualityConfig = QualityConfig()
    segments: SegmentsConfig = SegmentsConfig()
    training: TrainingConfig = TrainingConfig()
    pretraining: dict[str, Pretraining] = {}
    """Pretrainings by name."""
    experiments: dict[str, Experiment] = {}
    """Trainings with their evaluation, by name."""
    search: dict[str, Search] = {}
    """Searches by name."""
    clusters: dict[str, Cluster] = {}
    """Cluster overlays by name."""
    sample_gallery: int = Field(10, ge=1)
    """Random lenses, and random non-lenses, in the gallery of every labelled data set."""
    bootstraps: int = Field(1000, ge=50)
    """Bootstrap resamples of the metric intervals."""


def parse_config(values: Mapping[str, Any], where: str = "config") -> Config:
    """Typed configuration from parsed YAML. Raises ConfigError listing every bad key."""
    try:
        return Config(**values)
    except ValidationError as error:
        raise ConfigError(sentences(error, where)) from None


def load_models(config: Config) -> dict[str, ModelConfig]:
    """The model files that the experiments use, by name. Raises ConfigError, every bad key."""
    files = model_files(config.experiments)
    return {name: load_model_config(file) for name, file in files.items()}


def check_config(config: Config, models: Mapping[str, ModelConfig]) -> None:
    """Raise ConfigError listing everything that does not fit together, by key.

    models : the model files that the experiments name
    """
    problems = [
        *check_grids(config.grids, config.datasets),
        *check_datasets(config.datasets, config.grids, config.demo),
        *scored_fields(config.datasets, config.clusters),
        *check_pretraining(config.pretraining, config.grids, config.datasets),
    ]
    for name, experiment in config.experiments.items():
        problems += check_experiment(
            f"experiments.{name}",
            experiment,
            grids=config.grids,
            datasets=config.datasets,
            splits=config.splits,
            segments=config.segments,
            pretraining=config.pretraining,
            models=models,
        )
    problems += [
        *check_search(config.search, config.experiments, config.datasets),
        *check_clusters(config.clusters, config.search, config.datasets),
    ]
    files = model_files(config.experiments)
    for name, model in models.items():
        try:
            model.check_training(merged_training(config.training.model_dump(), model.training))
        except ValueError as error:
            problems.append(f"{model_place(files[name])}: {error}")
    if problems:
        raise ConfigError("\n".join(problems))
