"""One formula for two kinds of arrays: numpy's and torch's, without importing torch here."""

import sys
from types import ModuleType
from typing import Any

import numpy as np

#: A numpy array or a torch tensor: sqrt, where, sum(axis=...) and the like are named alike in both.
Array = Any


def module_of(array: Array) -> ModuleType:
    """torch for its tensors, numpy for everything else."""
    if type(array).__module__.partition(".")[0] == "torch":
        return sys.modules["torch"]
    return np


def points_like(x: Array, y: Array, like: Array) -> tuple[Array, Array]:
    """x and y broadcast to one shape, of the kind, type and device of `like`."""
    xp = module_of(like)
    if xp is np:
        one, two = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
        return one, two
    one, two = (xp.as_tensor(a, dtype=like.dtype, device=like.device) for a in (x, y))
    one, two = xp.broadcast_tensors(one, two)
    return one, two
