"""Packed segments of the samples that go into shards, one chunk in memory at a time."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lenshunt.images import read_segments


class SegmentRows:
    """Packed segments of one data set's samples, by chunk; None for each where none are made.

    shape : [segment, column], () without segments
    """

    def __init__(self, paths: Sequence[str], chunks: int) -> None:
        """paths : HDF5 of `segment_chunk` of every chunk, in the order of the cutouts, or none."""
        if paths and len(paths) != chunks:
            raise ValueError(f"{len(paths)} files of segments for {chunks} chunks of cutouts")
        self._paths, self._chunk = tuple(paths), -1
        self.shape: tuple[int, ...] = ()

    def take(self, chunk: int, sample_id: pd.Series) -> list[np.ndarray | None]:
        """Rows [segment, column] of these samples of one chunk.

        Raises ValueError naming the sample without segments or with one that is not a number, or
        the file whose segments have another shape.
        """
        if not self._paths:
            return [None] * len(sample_id)
        if chunk != self._chunk:
            self._read(chunk)
        at = self._index.get_indexer(pd.Index(sample_id))
        if (at < 0).any():
            raise ValueError(
                f"{sample_id[at < 0].iloc[0]}: no segments in {self._paths[chunk]}; make them again"
            )
        rows = self._rows[at]
        # A variance of +inf is a band that is missing.
        bad = np.isnan(rows).any(axis=(1, 2))
        if bad.any():
            raise ValueError(
                f"{sample_id[bad].iloc[0]}: a segment is not a number in {self._paths[chunk]}; "
                "make them again"
            )
        return list(rows)

    def _read(self, chunk: int) -> None:
        path = self._paths[chunk]
        segments, names = read_segments(path)
        self._chunk, self._index, self._rows = chunk, pd.Index(names), segments.packed()
        if not self._index.is_unique:
            twice = self._index[self._index.duplicated()][0]
            raise ValueError(f"{path}: sample {twice} occurs twice; make the segments again")
        shape = self._rows.shape[1:]
        if self.shape and shape != self.shape:
            raise ValueError(
                f"{path}: segments {shape}, {self.shape} in the chunks before; make them all again"
            )
        self.shape = shape
