"""Segments of the homogenised cutouts of one chunk: made, written, read."""

from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np
from tqdm import tqdm

from lenshunt.config import Grid, SegmentsConfig
from lenshunt.core import whole_file
from lenshunt.images.segments import Segments, find_segments
from lenshunt.images.tiff16 import read_cutouts
from lenshunt.records import SLOTS, count_rows

FORMAT = "lenshunt-segments-1"


def segment_chunk(
    *, cutouts: str, metadata: str, grid: Grid, config: SegmentsConfig, out: str
) -> None:
    """Find the segments of every cutout of a chunk and write them to `out`, in the same order.

    cutouts, metadata : TIFF and Parquet of `homogenise_chunk`
    """
    parts: list[Segments] = [Segments.empty(0, config.n_max, len(SLOTS))]
    names: list[str] = []
    total = count_rows(metadata)
    with tqdm(total=total, desc="segments", unit="cutout", disable=None) as progress:
        for image, variance, rows in read_cutouts(cutouts, metadata):
            correlation = rows[[f"noise_corr_{slot}" for slot in SLOTS]].to_numpy(float)
            parts.append(find_segments(image, variance, correlation, grid, config, progress))
            names.extend(rows["sample_id"])
    write_segments(out, Segments.joined(parts), names)


def write_segments(path: Path | str, segments: Segments, sample_ids: list[str]) -> None:
    """Write segments [n, segment] of these n samples as HDF5; the file appears whole or not."""
    with whole_file(path) as partial, h5py.File(partial, "w", libver="latest") as file:
        file.attrs["format"] = FORMAT
        file["sample_id"] = np.array([name.encode() for name in sample_ids], dtype=bytes)
        for field in fields(Segments):
            file[field.name] = getattr(segments, field.name)


def read_segments(path: Path | str) -> tuple[Segments, list[str]]:
    """Segments of one chunk and its sample_ids. Raises ValueError for a file of another kind."""
    with h5py.File(path) as file:
        found = file.attrs.get("format", "none")
        if found != FORMAT:
            raise ValueError(f"{path}: format {found!r} found, {FORMAT!r} wanted; make it again")
        arrays = {field.name: file[field.name][()] for field in fields(Segments)}
        names = [name.decode() for name in np.asarray(file["sample_id"]).tolist()]
    return Segments(**arrays), names
