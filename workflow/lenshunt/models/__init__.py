"""The registry and one file per architecture; every model has the interface of `Prediction`."""

from lenshunt.models.conditions import CONDITIONS, condition_table
from lenshunt.models.interface import Batch, LensNetwork, Normalisation, Prediction
from lenshunt.models.registry import (
    REGISTRY,
    architecture_of,
    backbone_parameters,
    backbone_state,
    build_model,
    count_parameters,
    load_backbone,
)

__all__ = [
    "CONDITIONS",
    "REGISTRY",
    "Batch",
    "LensNetwork",
    "Normalisation",
    "Prediction",
    "architecture_of",
    "backbone_parameters",
    "backbone_state",
    "build_model",
    "condition_table",
    "count_parameters",
    "load_backbone",
]
