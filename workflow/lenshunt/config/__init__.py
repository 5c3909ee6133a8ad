"""The typed definition of every configuration file: what a key means, its default, its bounds."""

from lenshunt.config.checks import check_config
from lenshunt.config.comparisons import FUSED_LABEL, Comparison
from lenshunt.config.cutouts import VoteColumns
from lenshunt.config.datasets import (
    Bologna2Dataset,
    BolognaDataset,
    CastlesDataset,
    CutoutsDataset,
    Dataset,
    FieldDataset,
    GalaxiesMLDataset,
    GalaxyZooDataset,
    HstGalaxiesDataset,
    HstLensesDataset,
    InjectionDataset,
    RelicsDataset,
    StampsDataset,
)
from lenshunt.config.demo import ClassCounts, Demo, Impostors, SeeingRange
from lenshunt.config.layout import Layout
from lenshunt.config.load import (
    ConfigError,
    dataset_from,
    load_model_config,
    load_models,
    merged_training,
    parse_config,
)
from lenshunt.config.models import Adversarial, Architecture, LossTerm, ModelConfig, TrainingConfig
from lenshunt.config.online import Online
from lenshunt.config.pretraining import Contrastive, Pretraining
from lenshunt.config.root import (
    Calipers,
    Cluster,
    Config,
    Experiment,
    Grid,
    KnownLensRadii,
    MassModel,
    MatchNegatives,
    QualityConfig,
    Search,
    SegmentsConfig,
    SplitConfig,
)

__all__ = [
    "FUSED_LABEL",
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
    "FieldDataset",
    "GalaxiesMLDataset",
    "GalaxyZooDataset",
    "Grid",
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
    "parse_config",
]
