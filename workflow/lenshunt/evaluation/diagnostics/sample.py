"""A bounded, seeded part of an experiment's test split, as many lenses as non-lenses."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from lenshunt import dataset
from lenshunt.config import SegmentsConfig
from lenshunt.evaluation.diagnostics.common import test_batches
from lenshunt.models import Batch
from lenshunt.training.loading import Loader

#: Of each class at most; more test samples than these change no conclusion and cost minutes.
PER_CLASS = 500
BATCH_SIZE = 50


class Sample:
    """Some rows of a loader's table, in batches; a `training.loading.Loader` of its own.

    table : rows that were chosen; `row` of a batch points into it
    segmentation : how the segments of all samples were found
    """

    def __init__(
        self,
        loader: dataset.Loader,
        rows: np.ndarray,
        batch_size: int,
        segmentation: SegmentsConfig,
    ) -> None:
        self.table: pd.DataFrame = loader.table.iloc[rows].reset_index(drop=True)
        self.loader, self.rows, self.batch_size = loader, rows, batch_size
        self.segmentation = segmentation

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Nothing: every epoch is the same."""

    def __iter__(self) -> Iterator[dataset.Batch]:
        for start in range(0, len(self.rows), self.batch_size):
            part = self.rows[start : start + self.batch_size]
            batch = self.loader.dataset[part]
            yield {**batch, "row": torch.arange(start, start + len(part))}


def draw_sample(
    *,
    indexes: Sequence[str],
    exclusions: str | None,
    fold: int | None,
    segments: bool,
    segmentation: SegmentsConfig,
    seed: int,
    per_class: int = PER_CLASS,
) -> Sample:
    """Random test samples of an experiment's data sets, less those that reach no metric.

    segments : whether they come with theirs, found as `segmentation` says
    Raises ValueError where a class is missing.
    """
    loader = dataset.make_loader(
        indexes=indexes,
        splits=["test"],
        exclusions=exclusions,
        fold=fold,
        batch_size=BATCH_SIZE,
        segments=segments,
    )
    label = loader.table["label"].to_numpy()
    for value, name in ((1, "lenses"), (0, "non-lenses")):
        if not (label == value).any():
            raise ValueError(
                f"no {name} in the test split of {', '.join(map(str, indexes))}; evaluate the "
                "experiment on data sets that have both classes"
            )
    return Sample(loader, chosen_rows(label, per_class, seed), BATCH_SIZE, segmentation)


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
