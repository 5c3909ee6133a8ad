"""What a benchmark returns: one row, ours against a peer on the same work in the same run."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table of `make bench`.

    ours, peer : seconds (or another unit named in `what`; smaller is better)
    bar : the ratio peer / ours that must be reached; None where there is no bar
    """

    what: str
    ours: float
    peer: float
    bar: float | None

    @property
    def ratio(self) -> float:
        return self.peer / self.ours


def best_of(function: Callable[[], object], repeats: int = 3) -> float:
    """Shortest wall time of `repeats` calls, in seconds, after one warm-up call."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def cpu_seconds(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU time of each job in seconds, over `rounds` in which every job runs once.

    Taken in turn, jobs share whatever else the machine does meanwhile; CPU time leaves out the
    waiting for it. All threads count: set the libraries to one. Nothing is warmed up here.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            start = time.process_time()
            job()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}
