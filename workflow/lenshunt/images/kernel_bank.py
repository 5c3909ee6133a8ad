"""Kernels read back from a data set's kernel file, transformed once per image shape."""

from collections import OrderedDict

import h5py
import numpy as np

from lenshunt.images.convolution import KernelTransforms, transform_kernels
from lenshunt.images.resampling import Resampling


class KernelBank:
    """Matching kernels by key; keeps the `keep` most recently used sets of transforms."""

    def __init__(self, file: h5py.File, keep: int = 4) -> None:
        self._file, self._keep = file, keep
        self._sets: OrderedDict[tuple, tuple[KernelTransforms, np.ndarray]] = OrderedDict()

    def judgement(self, keys: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Growth-curve residual of each kernel, and whether it passed the gate."""
        attrs = [self._group(key).attrs for key in keys]
        residual = np.array([attr["residual"] for attr in attrs], dtype=float)
        return residual, np.array([attr["matched"] for attr in attrs], dtype=bool)

    def transforms(
        self, keys: list[str], shape: tuple[int, int], onto: Resampling
    ) -> tuple[KernelTransforms, np.ndarray]:
        """Transforms of the kernels for images of `shape`, and their noise gains.

        The gains, float32 [m, size, size], turn a variance convolved with k^2 into the variance
        of the resampled pixels.
        """
        name = (tuple(keys), shape, onto.area_ratio)
        if name not in self._sets:
            kernels = [self._group(key)["kernel"][()] for key in keys]
            gains = [onto.noise_gain(k) / np.square(k, dtype=float).sum() for k in kernels]
            self._sets[name] = (
                transform_kernels(kernels, shape),
                np.stack(gains).astype(np.float32),
            )
            while len(self._sets) > self._keep:
                self._sets.popitem(last=False)
        self._sets.move_to_end(name)
        return self._sets[name]

    def white_noise(self, key: str) -> float:
        """Sum of k^2: variance per pixel of white noise of variance 1 after the kernel."""
        return float(np.square(self._group(key)["kernel"][()], dtype=float).sum())

    def _group(self, key: str) -> h5py.Group:
        try:
            return self._file[f"kernel/{key}"]
        except KeyError:
            raise KeyError(
                f"{self._file.filename}: no kernel {key}; records and kernels do not belong "
                "together, make the kernels again"
            ) from None
