"""The typed definition of every configuration file: what a key means, its default, its bounds."""

from lenshunt.config.base import ConfigError
from lenshunt.config.clusters import Cluster, MassModel
from lenshunt.config.comparisons import FUSED, Comparison
from lenshunt.config.cutouts import (
    Bologna2Dataset,
    BolognaDataset,
    CastlesDataset,
    CutoutsDataset,
    GalaxiesMLDataset,
    GalaxyZooDataset,
    HstGalaxiesDataset,
    HstLensesDataset,
    StampsDataset,
    VoteColumns,
)
from lenshunt.config.datasets import Dataset, dataset_from
from lenshunt.config.demo import ClassCounts, Demo, Impostors, SeeingRange
from lenshunt.config.experiments import Experiment
from lenshunt.config.fields import FieldColumn, FieldDataset, RelicsDataset, RelicsField
from lenshunt.config.grids import Grid
from lenshunt.config.injection import HardNegativeKinds, InjectionDataset, Online
from lenshunt.config.layout import Layout
from lenshunt.config.match_negatives import Calipers, MatchNegatives
from lenshunt.config.model_files import load_model_config, model_names
from lenshunt.config.models import (
    Adversarial,
    Architecture,
    LossTerm,
    ModelConfig,
    TrainingConfig,
    merged_training,
)
from lenshunt.config.pretraining import Contrastive, Pretraining
from lenshunt.config.root import Config, check_config, load_models, parse_config
from lenshunt.config.search import Search
from lenshunt.config.shards import KnownLensRadii, QualityConfig, SegmentsConfig, SplitConfig

__all__ = [
    "FUSED",
    "Adversarial",
    "Architecture",
    "Bologna2Dataset",
    "BolognaDataset",
    "Calipers",
    "CastlesDataset",
    "ClassCounts",
    "Cluster",
    "Comparison",
    "Config",
    "ConfigError",
    "Contrastive",
    "CutoutsDataset",
    "Dataset",
    "Demo",
    "Experiment",
    "FieldColumn",
    "FieldDataset",
    "GalaxiesMLDataset",
    "GalaxyZooDataset",
    "Grid",
    "HardNegativeKinds",
    "HstGalaxiesDataset",
    "HstLensesDataset",
    "Impostors",
    "InjectionDataset",
    "KnownLensRadii",
    "Layout",
    "LossTerm",
    "MassModel",
    "MatchNegatives",
    "ModelConfig",
    "Online",
    "Pretraining",
    "QualityConfig",
    "RelicsDataset",
    "RelicsField",
    "Search",
    "SeeingRange",
    "SegmentsConfig",
    "SplitConfig",
    "StampsDataset",
    "TrainingConfig",
    "VoteColumns",
    "check_config",
    "dataset_from",
    "load_model_config",
    "load_models",
    "merged_training",
    "model_names",
    "parse_config",
]
