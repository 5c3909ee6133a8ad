"""Batches for a model: the loader's, epoch by epoch, with per-object columns added."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import numpy as np
import pandas as pd
import torch

from lenshunt.config import TrainingConfig
from lenshunt.models import Batch


class Loader(Protocol):
    """What the dataset room's `make_loader` returns."""

    table: pd.DataFrame

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...

    def set_epoch(self, epoch: int) -> None: ...


#: Makes the loader of one process: (rank, world) -> Loader.
LoaderFactory = Callable[[int, int], Loader]


def device_at_hand() -> torch.device:
    """The GPU, where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def on_device(batch: Batch, device: torch.device) -> Batch:
    """The same batch with its tensors on `device`; to a GPU, pinned ones while it computes."""
    moved: Any = {
        name: cast(torch.Tensor, values).to(device, non_blocking=device.type == "cuda")
        for name, values in batch.items()
    }
    return moved


def draws_per_epoch(training: TrainingConfig, n_samples: int, online_share: float = 0.0) -> int:
    """Samples drawn in one epoch: as configured, or as many as there are.

    online_share : fraction of the draws that is made while training, beside those that there are

    A last batch of one sample is left out: batch normalisation over it is over nothing but its
    own pixels, and fails where a network has pooled them into one.
    """
    draws = training.samples_per_epoch or round(n_samples / (1.0 - online_share))
    per_device = draws // training.devices
    if per_device > 1 and per_device % training.samples_per_batch == 1:
        return draws - training.devices
    return draws


def batch_within(effective: int, largest: int) -> int:
    """The largest divisor of `effective` that is at most `largest`.

    So that accumulated batches are `effective` samples exactly, whatever the GPU.
    Raises ValueError where that would be batches of one, over which nothing can be normalised.
    """
    found = next(n for n in range(min(largest, effective), 0, -1) if effective % n == 0)
    if found == 1 < effective:
        raise ValueError(
            f"{effective} samples per step and device (training.effective_batch over devices, or "
            "batch_size times accumulate_batches) cannot be cut into equal batches of 2 to "
            f"{largest}; take a power of two"
        )
    return found


class EpochBatches:
    """Batches of one loader, each with its rows of `columns` [n, ...] added.

    What a batch brings itself goes before: samples made while training have their own metadata.
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
            yield {**added, **batch}  # type: ignore[typeddict-item]


class ValidationBatches(EpochBatches):
    """Batches of a validation that processes share: one of no rows where a process has none.

    They wait for each other at its first batch and at its end, whatever their numbers of batches.
    """

    def __len__(self) -> int:
        return max(super().__len__(), 1)

    def __iter__(self) -> Iterator[Batch]:
        if len(self.loader):
            yield from super().__iter__()
        else:
            yield {"row": torch.zeros(0, dtype=torch.int64)}  # type: ignore[typeddict-item]
