"""Splits, exclusion lists, shards and the loader that feeds every training.

`write_shards` and `make_loader` are imported on first use: splits need neither photutils nor torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lenshunt.dataset.balance import balance_table
from lenshunt.dataset.exclusions import excluded_rows, read_exclusions, write_exclusions
from lenshunt.dataset.factors import FACTORS
from lenshunt.dataset.guard import guard_labels
from lenshunt.dataset.shard_index import ShardIndex, read_index, read_table
from lenshunt.dataset.splits import LEARNING_SPLITS, SPLITS, make_splits, read_chunks

if TYPE_CHECKING:
    from lenshunt.dataset.loader import Batch, Loader, ShardDataset, make_loader
    from lenshunt.dataset.shard_writer import write_shards

_ON_FIRST_USE = {
    "Batch": "lenshunt.dataset.loader",
    "Loader": "lenshunt.dataset.loader",
    "ShardDataset": "lenshunt.dataset.loader",
    "make_loader": "lenshunt.dataset.loader",
    "write_shards": "lenshunt.dataset.shard_writer",
}

__all__ = [
    "FACTORS",
    "LEARNING_SPLITS",
    "SPLITS",
    "Batch",
    "Loader",
    "ShardDataset",
    "ShardIndex",
    "balance_table",
    "excluded_rows",
    "guard_labels",
    "make_loader",
    "make_splits",
    "read_chunks",
    "read_exclusions",
    "read_index",
    "read_table",
    "write_exclusions",
    "write_shards",
]


def __getattr__(name: str) -> Any:
    if name in _ON_FIRST_USE:
        return getattr(import_module(_ON_FIRST_USE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
