"""What every diagnostic takes and gives: a trained network, test samples, curves, numbers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from lenshunt.config import ModelConfig
from lenshunt.core.ranking_metrics import auroc
from lenshunt.evaluation.bootstrap import RESAMPLES, bootstrap_interval, bootstrap_metrics
from lenshunt.evaluation.intervals import percentile_interval, wilson_interval
from lenshunt.models import Batch, LensNetwork, Normalisation, build_model, condition_table
from lenshunt.training.checkpoint import load_checkpoint
from lenshunt.training.loading import EpochBatches, Loader, on_device

#: Columns of `Diagnostic.curves`. low, high: 95 % interval over the samples, but where the panel's
#: y label names another range; n: samples behind a value.
CURVE_COLUMNS = ("panel", "series", "x", "value", "low", "high", "n")


@dataclass(frozen=True)
class Trained:
    """A network as its checkpoint left it, in evaluation mode, on its device.

    name : of the file in config/models
    seed : of its training; None for one that no checkpoint holds
    """

    network: LensNetwork
    normalisation: Normalisation
    name: str
    config: ModelConfig
    seed: int | None = None


@dataclass(frozen=True)
class Panel:
    """How one panel of a kind is drawn.

    kind : line (x is a scale), steps (bins: x is their centre), points (few values, intervals)
    reference : value at which a horizontal line is drawn: what nothing learned would give
    log : axes that are logarithmic, of "x", "y" and "xy"; values of 0 are not drawn there
    ticks : names of x = 0, 1, 2, ... where x is no scale
    """

    x_label: str
    y_label: str
    kind: Literal["line", "points", "steps"]
    reference: float | None = None
    log: Literal["", "x", "y", "xy"] = ""
    ticks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagnostic:
    """Curves with CURVE_COLUMNS, one row per point, and single numbers by name.

    counts : how many samples of which sort were measured on, for the heading
    """

    curves: pd.DataFrame
    numbers: dict[str, float]
    counts: dict[str, int]


@dataclass
class Curves:
    """Collects points; `table` gives them as `Diagnostic.curves`."""

    rows: list[dict[str, str | float | int]] = field(default_factory=list)

    def add(
        self,
        panel: str,
        series: str,
        x: float,
        value: float,
        interval: tuple[float, float] = (float("nan"), float("nan")),
        n: int = 0,
    ) -> None:
        """One point; interval is (low, high), NaN where there is none."""
        values = (panel, series, float(x), float(value), float(interval[0]), float(interval[1]), n)
        self.rows.append(dict(zip(CURVE_COLUMNS, values, strict=True)))

    def table(self) -> pd.DataFrame:
        """All points, in the order in which they came."""
        return pd.DataFrame(self.rows, columns=list(CURVE_COLUMNS))


def load_trained(checkpoint: str, device: torch.device | None = None) -> Trained:
    """The classifier of a checkpoint in evaluation mode; on a GPU where there is one."""
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    content = load_checkpoint(checkpoint, "classifier")
    normalisation = Normalisation.from_dict(content["normalisation"])
    config = ModelConfig(**content["model"])
    network = build_model(config, normalisation)
    network.load_state_dict(content["state"])
    network = network.to(device).eval()
    return Trained(network, normalisation, content["name"], config, content["seed"])


def device_of(network: LensNetwork) -> torch.device:
    """Where the weights of a network are."""
    return next(network.parameters()).device


def test_batches(test: Loader, device: torch.device) -> Iterator[Batch]:
    """Batches of the test samples with their `metadata`, on `device`; the same in each call.

    `row` points into `test.table`; `label` is 1, 0 or, without one, -1.
    """
    columns = {"metadata": condition_table(test.table)}
    for batch in tqdm(EpochBatches(test, columns, lambda: 0), desc="diagnostics", disable=None):
        yield on_device(batch, device)


def class_counts(label: np.ndarray) -> dict[str, int]:
    """How many of the labels [n] are 1, lenses, and 0, non-lenses."""
    return {"lenses": int((label == 1).sum()), "non-lenses": int((label == 0).sum())}


@torch.inference_mode()
def logits_of(
    subject: Trained, test: Loader, change: Callable[[Batch], Batch] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and single-view logits [n] of all test samples, after `change` of each batch.

    In the order in which the loader brings them. Use `test_batches` where more than one logit
    per sample is wanted, so that each batch is read once.
    """
    labels, logits = [], []
    for batch in test_batches(test, device_of(subject.network)):
        labels.append(batch["label"].cpu().numpy())
        given = batch if change is None else change(batch)
        logits.append(subject.network(given).logit.float().cpu().numpy())
    return np.concatenate(labels), np.concatenate(logits)


def mean_interval(values: np.ndarray, seed: int) -> tuple[float, tuple[float, float], int]:
    """Mean of the finite `values`, its bootstrap interval, and their number."""
    kept = values[np.isfinite(values)]
    if not len(kept):
        return float("nan"), (float("nan"), float("nan")), 0
    return float(kept.mean()), bootstrap_interval(kept, lambda v: float(v.mean()), seed), len(kept)


def share_interval(hits: np.ndarray) -> tuple[float, tuple[float, float], int]:
    """Share of True in bool [n], its Wilson interval, and n."""
    if not len(hits):
        return float("nan"), (float("nan"), float("nan")), 0
    return float(hits.mean()), wilson_interval(int(hits.sum()), len(hits)), len(hits)


def auroc_interval(
    labels: np.ndarray, logits: np.ndarray, seed: int
) -> tuple[float, tuple[float, float]]:
    """Area under the ROC curve of samples with label 1 or 0, and its stratified bootstrap interval.

    NaN where a class is missing or a logit is NaN.
    """
    known = labels >= 0
    lens, logits = labels[known] == 1, logits[known]
    value = auroc(lens, logits)
    if np.isnan(value):
        return value, (value, value)
    drawn = bootstrap_metrics(lens, logits, RESAMPLES, seed, 0)["auroc"]
    return value, percentile_interval(drawn)
