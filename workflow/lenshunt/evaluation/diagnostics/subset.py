"""Seeded parts of test samples, as many lenses as non-lenses."""

from collections.abc import Iterator

import numpy as np
import torch

from lenshunt.evaluation.diagnostics.common import test_batches
from lenshunt.models import Batch
from lenshunt.training.loading import Loader


def chosen_rows(label: np.ndarray, per_class: int, seed: int) -> np.ndarray:
    """Sorted rows of up to `per_class` random samples of label 1 and as many of label 0."""
    rng = np.random.default_rng(seed)
    parts = [rng.permutation(np.flatnonzero(label == value))[:per_class] for value in (1, 0)]
    return np.sort(np.concatenate(parts))


def labelled_batches(
    test: Loader, device: torch.device, per_class: int, seed: int
) -> Iterator[Batch]:
    """Batches of `chosen_rows` of the test samples, with their `metadata`; empty ones left out."""
    rows = chosen_rows(test.table["label"].to_numpy(), per_class, seed)
    chosen = torch.from_numpy(rows).to(device)
    for batch in test_batches(test, device):
        kept = torch.isin(batch["row"], chosen)
        if kept.any():
            yield {name: values[kept] for name, values in batch.items()}  # type: ignore
