"""Bytes that a forward pass keeps for the backward pass, counted alike on any device."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch


@dataclass
class SavedBytes:
    """Storages that the graph holds on to, each counted once however many views of it there are.

    storages : by address; they are kept, so that no address is given out a second time
    """

    storages: dict[int, torch.UntypedStorage] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(storage.nbytes() for storage in self.storages.values())


@contextmanager
def counting_saved_bytes(known: Iterable[torch.Tensor]) -> Iterator[SavedBytes]:
    """Counts what autograd saves of the operations inside.

    known : tensors that are there in any case (weights, the batch) and do not count
    """
    there = {tensor.untyped_storage().data_ptr() for tensor in known}
    found = SavedBytes()

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in there:
            found.storages[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield found
