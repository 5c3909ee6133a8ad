"""The order in which one epoch visits samples: a function of seed and epoch alone."""

from typing import TypeVar

import numpy as np

T = TypeVar("T")

#: Shards that stream mode mixes at a time: rows of a shard spread over the next one as well.
SHUFFLE_SPAN = 2.0


def draw_rows(
    n: int, weights: np.ndarray | None, samples: int | None, rng: np.random.Generator
) -> np.ndarray:
    """Rows of one training epoch [samples], in no particular order.

    Systematic sampling: a row of expected count c (samples x weight / sum) comes floor(c) or
    ceil(c) times, which is less noisy than independent draws and unbiased all the same.
    """
    size = n if samples is None else samples
    if weights is None and size == n:
        return np.arange(n)
    weight = np.ones(n) if weights is None else weights
    # Neighbours in the table must not be drawn in step.
    shuffled = rng.permutation(n)
    edges = np.cumsum(weight[shuffled])
    points = (np.arange(size) + rng.random()) * (edges[-1] / size)
    return shuffled[np.searchsorted(edges, np.minimum(points, np.nextafter(edges[-1], 0)), "right")]


def shuffled_rows(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same rows in random order, for pixels at hand (memmap mode)."""
    return rng.permutation(rows)


def streamed_rows(
    rows: np.ndarray, shard: np.ndarray, resident: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The same rows in an order that reads every shard once, front to back (stream mode).

    shard : [n] shard number of every row of the table
    resident : [k] whether a shard stays in memory all the time
    Shards come in random order; a row is placed at random within SHUFFLE_SPAN shards from where
    its shard begins, so that few shards are open at a time. Rows of resident shards may come at
    any time: a handful of rare lenses must not all fall into one batch.
    """
    place = np.empty(len(resident))
    moving = np.flatnonzero(~resident)
    place[moving] = rng.permutation(len(moving))
    key = rng.random(len(rows))
    of_row = shard[rows]
    here = resident[of_row]
    end = len(moving) - 1 + SHUFFLE_SPAN if len(moving) else 1.0
    position = np.where(here, key * end, place[of_row] + key * SHUFFLE_SPAN)
    return rows[np.argsort(position, kind="stable")]


def share_of_rank(
    rows: np.ndarray, rank: int, world: int, equal: bool, contiguous: bool
) -> np.ndarray:
    """Rows that process `rank` of `world` visits.

    equal : every rank gets the same number, as training in step needs; up to world - 1 rows of the
        epoch are left out then. Otherwise every row goes to exactly one rank.
    contiguous : each rank gets one run of rows, so that few ranks read the same shard
    """
    if equal:
        rows = rows[: len(rows) // world * world]
    return np.array_split(rows, world)[rank] if contiguous else rows[rank::world]


def batches_of(rows: np.ndarray, batch_size: int, workers: int) -> list[np.ndarray]:
    """Rows cut into batches, in the order of `in_runs`."""
    return in_runs([rows[i : i + batch_size] for i in range(0, len(rows), batch_size)], workers)


def in_runs(batches: list[T], workers: int) -> list[T]:
    """The same batches, ordered so that each of `workers` reads one run of them.

    A DataLoader hands batch i to worker i % workers.
    """
    if workers < 2:
        return batches
    runs = np.array_split(np.arange(len(batches)), workers)
    return [batches[run[i]] for i in range(len(runs[0])) for run in runs if i < len(run)]
