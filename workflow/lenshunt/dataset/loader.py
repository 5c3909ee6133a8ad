"""The loader: batches of torch tensors from shards, the same for every number of workers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from lenshunt.dataset.epoch_order import (
    batches_of,
    draw_rows,
    share_of_rank,
    shuffled_rows,
    streamed_rows,
)
from lenshunt.dataset.shard_index import SampleTable, read_samples
from lenshunt.dataset.shard_source import (
    MappedShards,
    StreamedShards,
    gather,
    gather_segments,
)
from lenshunt.schema import SLOTS

Mode = Literal["auto", "stream", "memmap"]
Batch = dict[str, torch.Tensor]
#: `auto` maps up to this many bytes of shards and streams above. A constant, not this machine's
#: memory: the same seed gives the same batches everywhere.
AUTO_MEMMAP_BYTES = 8e9


@dataclass(frozen=True)
class Visit:
    """Which samples an epoch visits, and in what order."""

    batch_size: int
    shuffle: bool
    seed: int
    rank: int
    world: int
    weights: np.ndarray | None
    samples_per_epoch: int | None


class ShardDataset(Dataset[Batch]):
    """Samples of some shards; item `rows` is the batch of these rows of the table."""

    def __init__(self, samples: SampleTable, mode: str, cache_dir: str | None) -> None:
        self.samples, self.mode = samples, mode
        self.source: MappedShards | StreamedShards = (
            MappedShards(samples, cache_dir) if mode == "memmap" else StreamedShards(samples)
        )
        table = samples.table
        self._columns = {
            "noise_corr": _per_band(samples, "noise_corr"),
            "band_flags": _per_band(samples, "band_flags"),
            "label": table["label"].to_numpy(np.float32),
            "confidence": table["label_confidence"].to_numpy(np.float32),
            "psf_matched": table["psf_matched"].to_numpy(bool),
        }

    def __len__(self) -> int:
        return len(self.samples.table)

    def __getitem__(self, rows: np.ndarray) -> Batch:
        image, variance = gather(self.source, self.samples, rows)
        batch = {"image": torch.from_numpy(image), "variance": torch.from_numpy(variance)}
        if self.samples.segments_shape:
            packed = gather_segments(self.source, self.samples, rows)
            batch["segments"] = torch.from_numpy(packed)
        for name, column in self._columns.items():
            batch[name] = torch.from_numpy(column[rows])
        batch["row"] = torch.from_numpy(np.asarray(rows, np.int64))
        return batch


def _per_band(samples: SampleTable, name: str) -> np.ndarray:
    """float32 [n, 5] of a per-band metadata field."""
    return samples.table[[f"{name}_{slot}" for slot in SLOTS]].to_numpy(np.float32)


class _Batches(Sampler[Any]):
    """The batches of the epoch that is next; the DataLoader asks for them anew in each epoch."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


def _explaining_dead_workers(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches; a worker that died ends them with what may have killed it."""
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            # The two ways in which PyTorch reports a dead worker.
            if "is killed by signal" in str(error) or "exited unexpectedly" in str(error):
                raise RuntimeError(
                    f"a loader process was killed ({error}); most often memory ran out: give the "
                    "job more, or lower workers or batch_size"
                ) from error
            raise
        yield batch


class Loader:
    """Iterable of the batches of a plan; `make_loader` makes one of shards.

    table : metadata + split + shard of every sample; `row` of a batch points into it
    mode : "memmap" or "stream"
    plan : epoch -> items of its batches, in order; `dataset` makes a batch of an item
    """

    def __init__(
        self,
        dataset: Dataset[Batch],
        plan: Callable[[int], list[Any]],
        *,
        table: pd.DataFrame,
        mode: str,
        workers: int,
    ) -> None:
        # Any: which kind of items and attributes it has, only its maker knows
        self.dataset: Any = dataset
        self.plan, self.table, self.mode = plan, table, mode
        self._epoch, self._start, self._done = 0, 0, 0
        self._next = _Batches()
        self._batches = plan(0)
        self._processes: DataLoader | None = None
        if workers:
            self._processes = DataLoader(
                dataset,
                sampler=self._next,
                batch_size=None,
                num_workers=workers,
                persistent_workers=True,
                pin_memory=torch.cuda.is_available(),
                # its own, so that workers take nothing of the random numbers of a training
                generator=torch.Generator(),
            )

    def __len__(self) -> int:
        """Batches per epoch, of this rank."""
        return len(self._batches)

    def set_epoch(self, epoch: int) -> None:
        """Take the order of `epoch` (0, 1, ...) from its beginning."""
        self._epoch, self._start, self._done = epoch, 0, 0
        self._batches = self.plan(epoch)

    def __iter__(self) -> Iterator[Batch]:
        """Batches of the epoch; directly after `load_state_dict`, those that are left of it."""
        self._done, self._start = self._start, 0
        waiting = self._batches[self._done :]
        if self._processes is None:
            batches: Iterator[Batch] = (self.dataset[item] for item in waiting)
        else:
            self._next.items = waiting
            batches = iter(self._processes)
        for batch in _explaining_dead_workers(batches):
            self._done += 1
            yield batch
        self._done = 0

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands: the epoch, and how many of its batches were handed out."""
        return {"epoch": self._epoch, "batch": self._done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Stand where `state_dict` was taken; the next iteration goes on from there."""
        self.set_epoch(state["epoch"])
        self._start = self._done = state["batch"]


def _epoch_batches(
    dataset: ShardDataset, visit: Visit, workers: int, epoch: int
) -> list[np.ndarray]:
    """Rows of the batches of one epoch, of one rank."""
    samples, streaming = dataset.samples, dataset.mode == "stream"
    rows = np.arange(len(samples.table))
    if visit.shuffle and len(rows):
        rng = np.random.default_rng([visit.seed, epoch])
        rows = draw_rows(len(rows), visit.weights, visit.samples_per_epoch, rng)
        if isinstance(dataset.source, StreamedShards):
            rows = streamed_rows(rows, samples.shard_number, dataset.source.resident, rng)
        else:
            rows = shuffled_rows(rows, rng)
    elif streaming:
        # Samples of several splits alternate in the table; each shard is read in one go.
        rows = np.argsort(samples.shard_number, kind="stable")
    rows = share_of_rank(rows, visit.rank, visit.world, visit.shuffle, streaming)
    return batches_of(rows, visit.batch_size, workers if streaming else 0)


def make_loader(
    *,
    indexes: Sequence[str],
    splits: Sequence[str],
    exclusions: str | None = None,
    fold: int | None = None,
    batch_size: int,
    shuffle: bool = False,
    seed: int = 0,
    loader: Mode = "auto",
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
    weights: np.ndarray | None = None,
    samples_per_epoch: int | None = None,
    cache_dir: str | None = None,
    segments: bool | None = None,
) -> Loader:
    """Loader of the samples of `splits` in all `indexes` that are not on the exclusion list.

    indexes : index JSON files of `write_shards` (paths or URLs)
    splits : of train, val_select, val_calibrate, test, search; no samples are no error
    fold : take the splits of this cross-validation fold; None takes the plain ones
    shuffle : for training: a new order per `set_epoch`, equal numbers of samples on every rank.
        Without it every sample comes exactly once over all ranks and workers, in table order
        (memmap) or shard by shard (stream).
    loader : memmap (shards mapped into memory, read at random), stream (shards read one after the
        other, mixed as they come) or auto (memmap up to AUTO_MEMMAP_BYTES)
    workers : loader processes of this rank; 0 loads in this process
    weights : [n] relative chance of each row of `read_table(indexes, splits, exclusions, fold)`,
        drawn with replacement; needs shuffle
    samples_per_epoch : draws per epoch over all ranks; the number of samples where none
    cache_dir : folder for local copies of the shards, in memmap mode
    segments : True for a model that needs them: an index without is an error; False leaves them
        out; None takes them where every index has them, of one shape, and else none at all

    A batch holds image, variance [b, 5, y, x] (nJy, nJy^2; +inf where unusable), noise_corr,
    band_flags [b, 5], label, confidence [b] as float32, psf_matched [b] bool and row [b] int64,
    index into `Loader.table`; with segments also `segments` [b, segment, column], which
    `models.segment_graph.unpack_segments` names. Raises ValueError naming a shard that is
    corrupt.
    """
    samples = read_samples(indexes, splits, exclusions, fold, segments)
    if weights is not None:
        weights = _checked_weights(weights, len(samples.table), shuffle)
    elif samples_per_epoch is not None and not shuffle:
        raise ValueError("samples_per_epoch needs shuffle=True; otherwise each sample comes once")
    if not 0 <= rank < world:
        raise ValueError(f"rank {rank} of {world} processes does not exist")
    visit = Visit(batch_size, shuffle, seed, rank, world, weights, samples_per_epoch)
    mode = _chosen_mode(loader, samples)
    shards = ShardDataset(samples, mode, cache_dir)
    plan = partial(_epoch_batches, shards, visit, workers)
    return Loader(shards, plan, table=samples.table, mode=mode, workers=workers)


def _chosen_mode(loader: Mode, samples: SampleTable) -> str:
    if loader == "auto":
        total = sum(shard.bytes for shard in samples.shards)
        return "memmap" if total <= AUTO_MEMMAP_BYTES else "stream"
    if loader not in ("stream", "memmap"):
        raise ValueError(f"loader {loader!r}; it is auto, stream or memmap")
    return loader


def _checked_weights(weights: np.ndarray, n: int, shuffle: bool) -> np.ndarray:
    """Weights as float64 [n]. Raises ValueError saying what is wrong with them."""
    weights = np.asarray(weights, float)
    if not shuffle:
        raise ValueError("weights need shuffle=True; validation takes each sample once")
    if weights.shape != (n,):
        raise ValueError(f"weights have shape {weights.shape}, the loader has {n} samples")
    if not np.isfinite(weights).all() or (weights < 0).any() or (n and weights.sum() == 0):
        raise ValueError("weights must be finite, not negative and not all zero")
    return weights
