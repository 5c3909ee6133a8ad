"""Shards of pure noise, with segments where they are wanted, for benchmarks of loading."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd

from lenshunt.dataset import write_shards
from lenshunt.dataset.folds import NO_FOLD
from lenshunt.images import write_segments
from lenshunt.images.segments import Segments
from lenshunt.schema import SLOTS, Metadata
from lenshunt.schema.metadata import table_from_records


def _records(count: int) -> pd.DataFrame:
    """Labelled objects of one simulated survey."""
    return table_from_records(
        [
            Metadata(
                sample_id=f"bench-{i}",
                system_id=f"bench-{i}",
                dataset="bench",
                raw_file="none",
                raw_index=i,
                raw_sha256="0" * 64,
                label=1 if i % 2 else 0,
                label_source="sim:demo",
                label_confidence=1.0,
                pixel_scale=0.168,
                instrument="HSC",
                survey="hsc",
                bands=SLOTS,
                band_flags=(1, 1, 1, 1, 1),
            )
            for i in range(count)
        ]
    )


def _segments(count: int, per_sample: int) -> Segments:
    """As many segments in every sample as the shards keep, of any colour and place."""
    rng = np.random.default_rng(0)
    found = Segments.empty(count, per_sample, len(SLOTS))
    for field in fields(Segments):
        values = getattr(found, field.name)
        values[...] = per_sample if field.name == "count" else rng.uniform(0.5, 2, values.shape)
    return found


def noise_shards(folder: Path, count: int, size_px: int, split: str, segments: int = 0) -> str:
    """Index of the shards of `count` samples, all in one split; `segments` in each sample."""
    table = _records(count)
    metadata, splits = folder / "metadata.parquet", folder / "splits.parquet"
    table.to_parquet(metadata, index=False)
    table[["sample_id"]].assign(split=split, **NO_FOLD).to_parquet(splits, index=False)
    files = []
    if segments:
        files = [str(folder / "segments.h5")]
        write_segments(files[0], _segments(count, segments), table["sample_id"].tolist())

    def noise(_: str, path: str) -> Iterator[tuple[np.ndarray, np.ndarray, pd.DataFrame]]:
        rng = np.random.default_rng(0)
        rows = pd.read_parquet(path)
        for start in range(0, len(rows), 200):
            part = rows.iloc[start : start + 200].reset_index(drop=True)
            image = rng.normal(size=(len(part), len(SLOTS), size_px, size_px)).astype(np.float32)
            yield image, np.ones_like(image), part

    index = str(folder / "index.json")
    write_shards(
        cutouts=[("", str(metadata))],
        segments=files,
        splits=str(splits),
        quality_threshold=0.0,
        drop_unmatched=False,
        folder=str(folder),
        index=index,
        samples_per_shard=200,
        read=noise,
    )
    return index
