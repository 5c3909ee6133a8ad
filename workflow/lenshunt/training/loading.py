"""Batches for a model: the loader's, epoch by epoch, with per-object columns added."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import numpy as np
import pandas as pd
import torch

from lenshunt.config import TrainingConfig
from lenshunt.models import Batch, LensNetwork


class Loader(Protocol):
    """What the dataset room's `make_loader` returns."""

    table: pd.DataFrame
    has_segments: bool

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...

    def set_epoch(self, epoch: int) -> None: ...


#: Makes the loader of one process: (rank, world) -> Loader.
LoaderFactory = Callable[[int, int], Loader]


def on_device(batch: Batch, device: torch.device) -> Batch:
    """The same batch with its tensors on `device`."""
    moved: Any = {name: cast(torch.Tensor, values).to(device) for name, values in batch.items()}
    return moved


def check_segments(model: LensNetwork, loader: Loader, where: str) -> None:
    """Raises ValueError where the model reads segments and the shards have none."""
    if model.needs_segments and not loader.has_segments:
        raise ValueError(
            f"{where}: this model reads segments, but at least one of its data sets has none; set "
            "segments.enabled: true in the config and make the shards again"
        )


def draws_per_epoch(training: TrainingConfig, n_samples: int) -> int:
    """Samples drawn in one epoch: as configured, or as many as there are.

    A last batch of one sample is left out: batch normalisation over it is over nothing but its
    own pixels, and fails where a network has pooled them into one.
    """
    draws = training.samples_per_epoch or n_samples
    per_device = draws // training.devices
    if per_device > 1 and per_device % training.batch_size == 1:
        return draws - training.devices
    return draws


class EpochBatches:
    """Batches of one loader, each with its rows of `columns` [n, ...] added.

    epoch : called when an epoch starts, for its number
    """

    def __init__(
        self, loader: Loader, columns: dict[str, np.ndarray], epoch: Callable[[], int]
    ) -> None:
        self.loader, self.epoch = loader, epoch
        self.columns = {name: torch.from_numpy(values) for name, values in columns.items()}

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        # A generator: nothing happens before the first batch is asked for, when the epoch is known.
        self.loader.set_epoch(self.epoch())
        for batch in self.loader:
            added = {name: values[batch["row"]] for name, values in self.columns.items()}
            yield {**batch, **added}  # type: ignore[typeddict-item]
