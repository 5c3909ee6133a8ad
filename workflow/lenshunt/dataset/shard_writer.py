"""Homogenised cutouts -> WebDataset tar shards per split, with their sample table and index.

Equal samples give equal bytes.
"""

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow
from numpy.lib import format as npy_format
from tqdm import tqdm

from lenshunt.core import file_sha256, whole_file
from lenshunt.dataset.folds import FOLD_COLUMNS
from lenshunt.dataset.segment_rows import SegmentRows
from lenshunt.dataset.shard_index import Shard, ShardIndex
from lenshunt.dataset.splits import SPLITS
from lenshunt.images import read_cutouts
from lenshunt.schema import (
    Metadata,
    TableWriter,
    count_rows,
    metadata_batches,
    refuse_repeated_samples,
)
from lenshunt.schema.metadata import records_from_table

BLOCK = tarfile.BLOCKSIZE


class SplitWriter:
    """Writes the shards SPLIT-000000.tar, SPLIT-000001.tar, ... of one split, as a context.

    Tar members have no times, owners or modes that could differ between runs: equal samples in
    equal order give equal bytes. A shard gets its name only when it is whole: the last one when
    the block ends; after an error it is removed.
    """

    def __init__(self, folder: Path, split: str, samples_max: int, bytes_max: float) -> None:
        self.shards: list[Shard] = []
        self._folder, self._split = folder, split
        self._samples_max, self._bytes_max = samples_max, bytes_max
        self._stream: BinaryIO | None = None
        self._written = 0

    @property
    def _name(self) -> str:
        return f"{self._split}-{len(self.shards):06d}.tar"

    def _put(self, data: bytes | memoryview) -> None:
        assert self._stream is not None
        self._stream.write(data)
        self._digest.update(data)
        self._bytes += len(data)

    def _member(self, name: str, *parts: bytes | memoryview) -> int:
        """Append one file made of `parts`; returns the byte offset of its content."""
        size = sum(map(len, parts))
        self._put(tar_header(name, size))
        start = self._bytes
        for part in parts:
            self._put(part)
        self._put(bytes(-size % BLOCK))
        return start

    def add(
        self,
        image: np.ndarray,
        variance: np.ndarray,
        metadata: Metadata,
        segments: np.ndarray | None = None,
    ) -> dict[str, object]:
        """Append one sample; returns its PLACE_COLUMNS (segments_offset -1 without segments)."""
        if self._stream is None:
            with ExitStack() as opened:
                partial = opened.enter_context(whole_file(self._folder / self._name))
                self._stream = opened.enter_context(partial.open("wb"))
                self._opened = opened.pop_all()
            self._digest, self._bytes, self._count = hashlib.sha256(), 0, 0
        # A running number, since dots in a sample_id would end the key in WebDataset.
        key = f"{self._written:09d}"
        place: dict[str, object] = {"split": self._split, "shard": self._name}
        arrays = {"image": image, "variance": variance}
        place["segments_offset"] = -1
        if segments is not None:
            arrays["segments"] = segments
        for name, pixels in arrays.items():
            header = _npy_header(pixels.shape)
            content = np.ascontiguousarray(pixels, "<f4").data.cast("B")
            start = self._member(f"{key}.{name}.npy", header, content)
            place[f"{name}_offset"] = start + len(header)
        self._member(f"{key}.json", metadata.model_dump_json().encode())
        self._count += 1
        self._written += 1
        if self._count >= self._samples_max or self._bytes >= self._bytes_max:
            self._finish_shard()
        return place

    def _finish_shard(self) -> None:
        """Close the shard that is being written and give it its name."""
        with self._opened:
            # Two empty blocks end an archive; tar pads it to whole records.
            self._put(bytes(2 * BLOCK))
            self._put(bytes(-self._bytes % tarfile.RECORDSIZE))
        self._stream = None
        self.shards.append(
            Shard(self._name, self._split, self._count, self._bytes, self._digest.hexdigest())
        )

    def __enter__(self) -> "SplitWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream is None:
            return
        if kind is None:
            self._finish_shard()
        else:
            # On a full disk closing fails as writing did; that first error is already on its way.
            with suppress(OSError):
                self._opened.__exit__(kind, error, trace)


def tar_header(name: str, size: int) -> bytes:
    """Header block of a tar member called NUMBER.EXTENSION, nine digits before the dot."""
    template, total = _tar_template(name[9:], size)
    digits = name[:9].encode("ascii")
    # Header checksum: the sum of its bytes, six octal digits at byte 148.
    checksum = b"%06o" % (total + sum(digits) - 9 * ord("0"))
    return digits + template[9:148] + checksum + template[154:]


@lru_cache(maxsize=4096)
def _tar_template(extension: str, size: int) -> tuple[bytes, int]:
    """Header of member 000000000.EXTENSION, and its checksum."""
    info = tarfile.TarInfo(f"{0:09d}{extension}")
    info.size = size
    block = info.tobuf(tarfile.USTAR_FORMAT)
    return block, int(block[148:154], 8)


@lru_cache(maxsize=16)
def _npy_header(shape: tuple[int, ...]) -> bytes:
    """Header of a little-endian float32 .npy file; its length is a multiple of 64 bytes."""
    stream = BytesIO()
    npy_format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


#: (tiff, metadata) -> batches of image [n, 5, y, x], variance [n, 5, y, x], metadata rows
CutoutReader = Callable[[str, str], Iterator[tuple[np.ndarray, np.ndarray, pd.DataFrame]]]
TABLE_NAME = "samples.parquet"
#: Columns of the sample table after those of the metadata: PLACE_COLUMNS and FOLD_COLUMNS.
TABLE_EXTRA = pyarrow.schema(
    [
        ("split", pyarrow.large_string()),
        ("shard", pyarrow.large_string()),
        ("image_offset", pyarrow.int64()),
        ("variance_offset", pyarrow.int64()),
        ("segments_offset", pyarrow.int64()),
        *((name, pyarrow.int16()) for name in FOLD_COLUMNS),
    ]
)


def write_shards(
    *,
    cutouts: Sequence[tuple[str, str]],
    segments: Sequence[str] = (),
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
    segments : HDF5 of `segment_chunk` per chunk, or none for shards without segments
    splits : Parquet of `make_splits` for the same samples
    quality_threshold : cutouts below it are left out and listed in the index
    drop_unmatched : leave out cutouts whose PSF could not be matched to the target
    Memory holds one batch of `read`, the segments of one chunk and the table of splits. Shards of
    an earlier run that are not written again are removed. Raises ValueError naming the sample for
    NaN pixels and for a sample without a split, OSError naming the folder when writing fails; then
    neither index nor half a shard remains.
    """
    root, index_path = Path(folder), Path(index)
    root.mkdir(parents=True, exist_ok=True)
    index_path.parent.mkdir(parents=True, exist_ok=True)
    # An index must never name shards that are being replaced.
    index_path.unlink(missing_ok=True)
    assigned = Assigned(cutouts, splits)
    found = SegmentRows(segments, len(cutouts))
    writers: dict[str, SplitWriter] = {}
    left_out: list[dict[str, str]] = []
    shape: tuple[int, ...] = ()
    try:
        with TableWriter(root / TABLE_NAME, TABLE_EXTRA) as table, ExitStack() as opened:
            for chunk, image, variance, rows in _batches(cutouts, read):
                shape = _same_shape(shape, image.shape[1:], rows["sample_id"].iloc[0])
                kept, reasons = _sorted_out(rows, quality_threshold, drop_unmatched)
                left_out.extend(reasons)
                if not kept.all():
                    image, variance, rows = image[kept], variance[kept], rows[kept]
                _refuse_bad_pixels(image, variance, rows)
                rows = rows.join(assigned.take(rows["sample_id"]).set_axis(rows.index))
                places = []
                for pixels, spread, record, split, arcs in zip(
                    image,
                    variance,
                    records_from_table(rows),
                    rows["split"],
                    found.take(chunk, rows["sample_id"]),
                    strict=True,
                ):
                    if split not in writers:
                        writers[split] = opened.enter_context(
                            SplitWriter(root, split, samples_per_shard, bytes_per_shard)
                        )
                    places.append(writers[split].add(pixels, spread, record, arcs))
                table.write(rows.assign(**_as_columns(places)))
        shards = tuple(s for split in SPLITS if split in writers for s in writers[split].shards)
        ShardIndex(
            dataset=assigned.dataset,
            folder=os.path.relpath(root, index_path.parent),
            shape=shape,
            segments_shape=found.shape,
            samples=sum(shard.count for shard in shards),
            table=TABLE_NAME,
            table_sha256=file_sha256(root / TABLE_NAME),
            shards=shards,
            left_out=tuple(left_out),
        ).write(index_path)
    except OSError as error:
        raise OSError(
            error.errno, f"{folder}: shards could not be written: {error.strerror or error}"
        ) from error
    whole = {shard.name for writer in writers.values() for shard in writer.shards}
    for path in sorted(root.glob("*.tar*")):
        if path.name not in whole:
            path.unlink()


class Assigned:
    """Split and folds of the samples of one data set, each of which occurs once."""

    def __init__(self, cutouts: Sequence[tuple[str, str]], splits: str) -> None:
        """Raises ValueError for cutouts and splits of different samples, or of two data sets."""
        columns = ["split", *FOLD_COLUMNS]
        table = pd.read_parquet(splits, columns=["sample_id", *columns])
        table["split"] = table["split"].astype("category")
        self._index, self._table = pd.Index(table["sample_id"]), table[columns]
        times, names = np.zeros(len(table), int), set[str]()
        for _, metadata in cutouts:
            for rows in metadata_batches(metadata, ["sample_id", "dataset"]):
                at = self._index.get_indexer(rows["sample_id"])
                if (at < 0).any():
                    sample = rows["sample_id"][at < 0].iloc[0]
                    raise ValueError(f"{splits}: no split for sample {sample} of {metadata}")
                times[at] += 1
                names.update(rows["dataset"].unique())
        where = ", ".join(metadata for _, metadata in cutouts)
        refuse_repeated_samples(pd.Series(self._index.repeat(times)), where)
        if (unseen := times == 0).any():
            raise ValueError(
                f"{splits}: sample {self._index[unseen][0]} has a split but no cutout "
                f"({unseen.sum()} such samples); make cutouts and splits again"
            )
        if len(names) > 1:
            raise ValueError(f"shards hold one data set, found {', '.join(sorted(names))}")
        self.dataset = names.pop() if names else ""

    def take(self, sample_id: pd.Series) -> pd.DataFrame:
        """Columns split and FOLD_COLUMNS of these samples [n]."""
        at = self._index.get_indexer(pd.Index(sample_id))
        return self._table.iloc[at].astype({"split": "str"})


def _batches(
    cutouts: Sequence[tuple[str, str]], read: CutoutReader
) -> Iterator[tuple[int, np.ndarray, np.ndarray, pd.DataFrame]]:
    """Chunk, image and variance [n, band, y, x] and metadata rows of all samples, in order."""
    total = sum(count_rows(metadata) for _, metadata in cutouts)
    with tqdm(total=total, desc="shards", unit="cutout", disable=None) as progress:
        for chunk, (tiff, metadata) in enumerate(cutouts):
            found, expected = 0, count_rows(metadata)
            for image, variance, rows in read(tiff, metadata):
                found += len(rows)
                yield chunk, image, variance, rows
                progress.update(len(rows))
            if found != expected:
                raise ValueError(
                    f"{tiff}: {found} cutouts, but {expected} rows in {metadata}; make both again"
                )


def _same_shape(known: tuple[int, ...], found: tuple[int, ...], sample: str) -> tuple[int, ...]:
    if known and found != known:
        raise ValueError(f"{sample}: image of shape {found} among images of shape {known}")
    return found


def _sorted_out(
    rows: pd.DataFrame, quality_threshold: float, drop_unmatched: bool
) -> tuple[np.ndarray, list[dict[str, str]]]:
    """Which cutouts are kept, bool [n], and an entry of the index for each that is left out."""
    poor = (rows["quality"] < quality_threshold).to_numpy()
    unmatched = ~rows["psf_matched"].to_numpy() & drop_unmatched
    gone = poor | unmatched
    entries = [
        {
            "sample_id": sample,
            "reason": "quality below threshold" if low else "psf not matched",
            "flags": flags,
        }
        for sample, flags, low in zip(
            rows["sample_id"][gone], rows["flags"][gone], poor[gone], strict=True
        )
    ]
    return ~gone, entries


def _refuse_bad_pixels(image: np.ndarray, variance: np.ndarray, rows: pd.DataFrame) -> None:
    """A bad sample stops the job; it never becomes a black image."""
    pixels = (1, 2, 3)
    faults = {
        "NaN or inf in the image": ~np.isfinite(image).all(axis=pixels),
        # `> 0` is False for NaN too.
        "variance that is NaN, zero or negative": ~(variance > 0).all(axis=pixels),
        "no usable pixel in any band, though its quality passed; its cutout is not what its "
        "metadata says": ~np.isfinite(variance).any(axis=pixels),
    }
    for fault, found in faults.items():
        if found.any():
            raise ValueError(f"{rows['sample_id'].iloc[int(found.argmax())]}: {fault}")


def _as_columns(places: list[dict[str, object]]) -> dict[str, np.ndarray]:
    """PLACE_COLUMNS without the split, one array each."""
    offsets = ("image_offset", "variance_offset", "segments_offset")
    kinds = {"shard": object, **dict.fromkeys(offsets, np.int64)}
    return {name: np.array([place[name] for place in places], kind) for name, kind in kinds.items()}
