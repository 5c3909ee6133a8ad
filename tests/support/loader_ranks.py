"""One rank of a distributed job that reads shards; started in processes of their own by tests."""

import json
from pathlib import Path

import torch.distributed as dist

from lenshunt.dataset import make_loader

WORLD = 2
WORKERS = 2


def read_as_rank(rank: int, indexes: list[str], mode: str, folder: str) -> None:
    """Rows of one validation and of two training epochs, per worker; rank 0 writes all as JSON."""
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=WORLD
    )
    options = {
        "indexes": indexes,
        "loader": mode,
        "workers": WORKERS,
        "batch_size": 4,
        "rank": dist.get_rank(),
        "world": dist.get_world_size(),
    }
    validation = make_loader(splits=["val_select", "test"], **options)
    training = make_loader(splits=["train"], shuffle=True, seed=7, **options)
    found = {"validation": rows_by_worker(validation)}
    for epoch in range(2):
        training.set_epoch(epoch)
        found[f"training {epoch}"] = rows_by_worker(training)
    everything: list = [None] * WORLD
    dist.all_gather_object(everything, found)
    if rank == 0:
        (Path(folder) / "seen.json").write_text(json.dumps(everything))
    dist.destroy_process_group()


def rows_by_worker(loader) -> list[list[int]]:
    """Rows that each worker has read: a DataLoader hands batch i to worker i % workers."""
    rows: list[list[int]] = [[] for _ in range(WORKERS)]
    for number, batch in enumerate(loader):
        rows[number % WORKERS] += batch["row"].tolist()
    return rows
