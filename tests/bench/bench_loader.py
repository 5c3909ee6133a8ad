"""Loading a training epoch, beside WebDataset's default decode of the same shards."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import webdataset
from harness import Row, best_of
from lenshunt.config import SplitConfig
from lenshunt.dataset import make_loader, make_splits, read_index, shard_source, write_shards
from lenshunt.records import SLOTS, Metadata
from lenshunt.records.metadata import table_from_records

SAMPLES, SIZE, BATCH = 2000, 64, 32


def _records() -> list[Metadata]:
    """Labelled objects of one simulated survey."""
    return [
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
        for i in range(SAMPLES)
    ]


def _noise(_: str, metadata: str) -> Iterator[tuple[np.ndarray, np.ndarray, pd.DataFrame]]:
    """Pixels of noise for every row of a metadata table."""
    table = pd.read_parquet(metadata)
    rng = np.random.default_rng(0)
    for start in range(0, len(table), 200):
        part = table.iloc[start : start + 200].reset_index(drop=True)
        image = rng.normal(size=(len(part), len(SLOTS), SIZE, SIZE)).astype(np.float32)
        yield image, np.ones_like(image), part


def _shards(folder: Path) -> tuple[str, list[str]]:
    """Index and tar files of the training split."""
    metadata, splits = str(folder / "metadata.parquet"), str(folder / "splits.parquet")
    table_from_records(_records()).to_parquet(metadata, index=False)
    make_splits(metadata=[metadata], config=SplitConfig(), seed=1, out=splits)
    index = str(folder / "index.json")
    write_shards(
        cutouts=[("", metadata)],
        splits=splits,
        quality_threshold=0.0,
        drop_unmatched=False,
        folder=str(folder),
        index=index,
        samples_per_shard=200,
        read=_noise,
    )
    shards = read_index(index).shards
    return index, [str(folder / shard.name) for shard in shards if shard.split == "train"]


def _consume(batches: object) -> int:
    return sum(len(batch["image"]) for batch in batches)  # type: ignore[attr-defined]


def bench() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        index, tars = _shards(Path(name))

        def peer() -> int:
            samples = webdataset.WebDataset(tars, shardshuffle=False).decode()
            return sum(1 for _ in samples)

        def peer_batched() -> int:
            samples = webdataset.WebDataset(tars, shardshuffle=False).shuffle(500).decode()
            arrays = samples.to_tuple("image.npy", "variance.npy", "json").batched(BATCH)
            return sum(len(image) for image, _, _ in arrays)

        options = {"indexes": [index], "splits": ["train"], "batch_size": BATCH, "shuffle": True}
        mapped = make_loader(**options, loader="memmap")
        # Otherwise the small shards of this benchmark would stay in memory and none be streamed.
        shard_source.RESIDENT_BYTES = 0.0
        streamed = make_loader(**options, loader="stream")
        assert _consume(mapped) == _consume(streamed) == peer() == peer_batched()
        seconds, seconds_batched = best_of(peer), best_of(peer_batched)
        what = f"{len(mapped.table)} samples of 5x64x64"
        fresh = best_of(lambda: _consume(make_loader(**options, loader="stream")))
        memory, stream = best_of(lambda: _consume(mapped)), best_of(lambda: _consume(streamed))
    return [
        Row(f"epoch, memmap, {what}; webdataset decode", memory, seconds, 6.0),
        Row(f"epoch, stream, {what}; webdataset decode", stream, seconds, 1.5),
        Row("the same, memmap; webdataset shuffle + decode + batch", memory, seconds_batched, None),
        Row("the same, stream; webdataset shuffle + decode + batch", stream, seconds_batched, None),
        Row("first epoch, stream, checksums verified; webdataset decode", fresh, seconds, None),
    ]
