"""Homogenised cutouts -> WebDataset tar shards per split, with their sample table and index."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from lenshunt.dataset.shard_index import PLACE_COLUMNS, ShardIndex
from lenshunt.dataset.shard_tar import SplitWriter
from lenshunt.dataset.splits import SPLITS
from lenshunt.images import read_cutouts
from lenshunt.provenance import file_sha256
from lenshunt.records import Metadata, read_metadata
from lenshunt.records.metadata import table_from_records

#: (tiff, metadata) -> batches of image [n, 5, y, x], variance [n, 5, y, x], metadata rows
CutoutReader = Callable[[str, str], Iterator[tuple[np.ndarray, np.ndarray, pd.DataFrame]]]
TABLE_NAME = "samples.parquet"


def write_shards(
    *,
    cutouts: Sequence[tuple[str, str]],
    splits: str,
    quality_threshold: float,
    drop_unmatched: bool,
    folder: str,
    index: str,
    samples_per_shard: int = 1000,
    bytes_per_shard: float = 256e6,
    read: CutoutReader = read_cutouts,
) -> None:
    """Write FOLDER/SPLIT-000000.tar ..., FOLDER/samples.parquet and, last, the INDEX.

    cutouts : (TIFF, metadata Parquet) per chunk; samples keep this order
    splits : Parquet of `make_splits` for the same samples
    quality_threshold : cutouts below it are left out and listed in the index
    drop_unmatched : leave out cutouts whose PSF could not be matched to the target
    Memory holds one batch of `read`. Shards of an earlier run that are not written again are
    removed. Raises ValueError naming the sample for NaN pixels and for a sample without a split,
    OSError naming the folder when writing fails; then neither index nor half a shard remains.
    """
    root, index_path = Path(folder), Path(index)
    root.mkdir(parents=True, exist_ok=True)
    index_path.parent.mkdir(parents=True, exist_ok=True)
    # An index must never name shards that are being replaced.
    index_path.unlink(missing_ok=True)
    split_of = _split_of_samples(cutouts, splits)
    writers: dict[str, SplitWriter] = {}
    records: list[Metadata] = []
    places: list[dict[str, object]] = []
    left_out: list[dict[str, str]] = []
    shape: tuple[int, ...] = ()
    try:
        for image, variance, record in _samples(cutouts, read):
            shape = _same_shape(shape, image.shape, record.sample_id)
            reason = _left_out_reason(record, quality_threshold, drop_unmatched)
            if reason:
                entry = {"sample_id": record.sample_id, "reason": reason, "flags": record.flags}
                left_out.append(entry)
                continue
            _refuse_bad_pixels(image, variance, record)
            split = split_of[record.sample_id]
            if split not in writers:
                writers[split] = SplitWriter(root, split, samples_per_shard, bytes_per_shard)
            records.append(record)
            places.append(writers[split].add(image, variance, record))
        for writer in writers.values():
            writer.finish_shard()
        table = _write_table(root, records, places)
        ShardIndex(
            dataset=_dataset_name(cutouts),
            folder=os.path.relpath(root, index_path.parent),
            shape=shape,
            samples=len(records),
            table=TABLE_NAME,
            table_sha256=table,
            shards=tuple(s for split in SPLITS if split in writers for s in writers[split].shards),
            left_out=tuple(left_out),
        ).write(index_path)
    except OSError as error:
        raise OSError(
            error.errno, f"{folder}: shards could not be written: {error.strerror or error}"
        ) from error
    finally:
        for writer in writers.values():
            writer.abandon()
    kept = {shard.name for writer in writers.values() for shard in writer.shards}
    for path in sorted(root.glob("*.tar*")):
        if path.name not in kept:
            path.unlink()


def _dataset_name(cutouts: Sequence[tuple[str, str]]) -> str:
    """Name of the data set that all chunks belong to."""
    names: set[str] = set()
    for _, metadata in cutouts:
        names.update(pd.read_parquet(metadata, columns=["dataset"])["dataset"])
    if len(names) > 1:
        raise ValueError(f"shards hold one data set, found {', '.join(sorted(names))}")
    return names.pop() if names else ""


def _split_of_samples(cutouts: Sequence[tuple[str, str]], splits: str) -> dict[str, str]:
    """Split by sample_id; every cutout must have one."""
    table = pd.read_parquet(splits, columns=["sample_id", "split"])
    split_of = dict(zip(table["sample_id"], table["split"], strict=True))
    for _, metadata in cutouts:
        for sample in pd.read_parquet(metadata, columns=["sample_id"])["sample_id"]:
            if sample not in split_of:
                raise ValueError(f"{splits}: no split for sample {sample} of {metadata}")
    return split_of


def _samples(
    cutouts: Sequence[tuple[str, str]], read: CutoutReader
) -> Iterator[tuple[np.ndarray, np.ndarray, Metadata]]:
    """Image, variance and record of every sample, in order; each once."""
    seen: set[str] = set()
    total = sum(len(pd.read_parquet(metadata, columns=["label"])) for _, metadata in cutouts)
    with tqdm(total=total, desc="shards", unit="cutout", disable=None) as progress:
        for tiff, metadata in cutouts:
            expected = len(read_metadata(metadata))
            found = 0
            for images, variances, rows in read(tiff, metadata):
                for image, variance, row in zip(
                    images, variances, rows.to_dict("records"), strict=True
                ):
                    record = Metadata.from_row({str(name): value for name, value in row.items()})
                    if record.sample_id in seen:
                        raise ValueError(f"{metadata}: sample {record.sample_id} occurs twice")
                    seen.add(record.sample_id)
                    found += 1
                    progress.update()
                    yield image, variance, record
            if found != expected:
                raise ValueError(
                    f"{tiff}: {found} cutouts, but {expected} rows in {metadata}; make both again"
                )


def _same_shape(known: tuple[int, ...], found: tuple[int, ...], sample: str) -> tuple[int, ...]:
    if known and found != known:
        raise ValueError(f"{sample}: image of shape {found} among images of shape {known}")
    return found


def _refuse_bad_pixels(image: np.ndarray, variance: np.ndarray, record: Metadata) -> None:
    """A bad sample stops the job; it never becomes a black image."""
    if not np.isfinite(image).all():
        raise ValueError(f"{record.sample_id}: NaN or inf in the image")
    # `> 0` is False for NaN too.
    if not (variance > 0).all():
        raise ValueError(f"{record.sample_id}: variance that is NaN, zero or negative")
    if not np.isfinite(variance).any():
        raise ValueError(
            f"{record.sample_id}: no usable pixel in any band, though its quality is "
            f"{record.quality:.2f}; its cutout is not what its metadata says"
        )


def _left_out_reason(record: Metadata, quality_threshold: float, drop_unmatched: bool) -> str:
    """Why a cutout stays out of the shards; "" where it does not."""
    if record.quality < quality_threshold:
        return "quality below threshold"
    if drop_unmatched and not record.psf_matched:
        return "psf not matched"
    return ""


def _write_table(root: Path, records: list[Metadata], places: list[dict[str, object]]) -> str:
    """Write the sample table of metadata and PLACE_COLUMNS; returns its sha256."""
    table = table_from_records(records)
    for name in PLACE_COLUMNS:
        kind = "str" if name in ("split", "shard") else "int64"
        table[name] = pd.Series([place[name] for place in places], dtype=kind)
    partial = root / f"{TABLE_NAME}.partial"
    table.to_parquet(partial, index=False)
    digest = file_sha256(partial)
    partial.replace(root / TABLE_NAME)
    return digest
