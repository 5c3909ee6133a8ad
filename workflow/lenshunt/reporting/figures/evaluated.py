"""What the figures of an evaluation are drawn from: the scored objects of one experiment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Evaluated:
    """Products of the evaluation of one experiment.

    predictions : calibrated table by the model's label, the fused one among them
    metrics_csv : the long table of metrics
    cutouts : (TIFF, metadata) of every chunk of the evaluated data sets
    title : heading of the galleries
    """

    predictions: Mapping[str, str]
    metrics_csv: str
    cutouts: Sequence[tuple[str, str]]
    title: str
