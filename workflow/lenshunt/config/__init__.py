"""The typed definition of every configuration file: what a key means, its default, its bounds."""

from lenshunt.config.checks import check_config, models_used
from lenshunt.config.datasets import (
    BolognaDataset,
    CastlesDataset,
    CutoutsDataset,
    Dataset,
    GalaxiesMLDataset,
    HstGalaxiesDataset,
    HstLensesDataset,
    RelicsDataset,
    StampsDataset,
)
from lenshunt.config.load import (
    ConfigError,
    dataset_from,
    load_model_config,
    merged_training,
    parse_config,
)
from lenshunt.config.models import ModelConfig, TrainingConfig
from lenshunt.config.root import (
    Cluster,
    Config,
    Demo,
    Experiment,
    Grid,
    MassModel,
    Pretraining,
    QualityConfig,
    Search,
    SplitConfig,
)

__all__ = [
    "BolognaDataset",
    "CastlesDataset",
    "Cluster",
    "Config",
    "ConfigError",
    "CutoutsDataset",
    "Dataset",
    "Demo",
    "Experiment",
    "GalaxiesMLDataset",
    "Grid",
    "HstGalaxiesDataset",
    "HstLensesDataset",
    "MassModel",
    "ModelConfig",
    "Pretraining",
    "QualityConfig",
    "RelicsDataset",
    "Search",
    "SplitConfig",
    "StampsDataset",
    "TrainingConfig",
    "check_config",
    "dataset_from",
    "load_model_config",
    "merged_training",
    "models_used",
    "parse_config",
]
