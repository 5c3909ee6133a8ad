"""Pixels of samples by row: mapped from the tar files, or read from them shard by shard."""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from lenshunt.core import file_sha256
from lenshunt.dataset.locations import cached_copy, corrupt, is_remote, read_bytes
from lenshunt.dataset.shard_index import SampleTable, Shard

#: Stream mode keeps this many shards in memory: those that are being mixed, and the next.
OPEN_SHARDS = 3
#: Stream mode keeps the smallest shards in memory for good, up to this many bytes together.
RESIDENT_BYTES = 128e6


def _float32_words(content: np.ndarray) -> np.ndarray:
    """Bytes of a tar file as little-endian float32; offsets of pixels are multiples of 64."""
    return content[: len(content) // 4 * 4].view("<f4")


def _size_of(path: str) -> int:
    """Bytes of a local shard. Raises ValueError naming it where there is none."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        raise ValueError(corrupt(path, "it is missing")) from None


def _require_size(shard: Shard, found: int) -> None:
    if found != shard.bytes:
        raise ValueError(corrupt(shard.name, f"{found} bytes, the index says {shard.bytes}"))


def _require_sha256(shard: Shard, found: str) -> None:
    if found != shard.sha256:
        raise ValueError(corrupt(shard.name, f"sha256 {found}, the index says {shard.sha256}"))


class MappedShards:
    """All shards as memory maps. The tar files hold plain float32, so nothing is decoded.

    With `cache_dir` the shards are copied there first (fast local disk, or remote shards).
    Every shard's checksum is verified once, here.
    """

    def __init__(self, samples: SampleTable, cache_dir: str | None) -> None:
        self._words: list[np.ndarray] = []
        for shard in samples.shards:
            path = shard.name
            if cache_dir is not None:
                path = cached_copy(shard.name, shard.sha256, cache_dir)
            elif is_remote(path):
                raise ValueError(
                    f"{path}: memmap mode needs shards on this machine; "
                    "give the loader a cache_dir, or use loader: stream"
                )
            _require_size(shard, _size_of(path))
            _require_sha256(shard, file_sha256(path))
            self._words.append(_float32_words(np.memmap(path, np.uint8, "r")))

    def words(self, shard: int) -> np.ndarray:
        """float32 words of one tar file."""
        return self._words[shard]


class StreamedShards:
    """Shards read whole, front to back, a few at a time; checksums verified at first reading."""

    def __init__(self, samples: SampleTable) -> None:
        self._shards = samples.shards
        self._open: OrderedDict[int, np.ndarray] = OrderedDict()
        self._kept: dict[int, np.ndarray] = {}
        self._verified: set[int] = set()
        self.resident = resident_shards(samples.shards)

    def words(self, shard: int) -> np.ndarray:
        """float32 words of one tar file."""
        if shard in self._kept:
            return self._kept[shard]
        if shard in self._open:
            self._open.move_to_end(shard)
            return self._open[shard]
        if self.resident[shard]:
            self._kept[shard] = self._read(shard)
            return self._kept[shard]
        while len(self._open) >= OPEN_SHARDS:
            self._open.popitem(last=False)
        self._open[shard] = self._read(shard)
        return self._open[shard]

    def _read(self, number: int) -> np.ndarray:
        shard = self._shards[number]
        if is_remote(shard.name):
            content = np.frombuffer(read_bytes(shard.name), np.uint8)
        else:
            _size_of(shard.name)
            content = np.fromfile(shard.name, np.uint8)
        _require_size(shard, len(content))
        if number not in self._verified:
            _require_sha256(shard, hashlib.sha256(content.data).hexdigest())
            self._verified.add(number)
        return _float32_words(content)


def resident_shards(shards: Sequence[Shard]) -> np.ndarray:
    """Whether each shard stays in memory: the smallest ones, RESIDENT_BYTES together."""
    size = np.array([shard.bytes for shard in shards], dtype=float)
    order = np.argsort(size, kind="stable")
    resident = np.zeros(len(shards), bool)
    resident[order] = np.cumsum(size[order]) <= RESIDENT_BYTES
    return resident


def gather(
    source: MappedShards | StreamedShards, samples: SampleTable, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Image and variance [b, 5, y, x] of the given rows."""
    size = int(np.prod(samples.shape))
    image = np.empty((len(rows), size), np.float32)
    variance = np.empty((len(rows), size), np.float32)
    shards = samples.shard_number[rows].tolist()
    image_start = (samples.image_offset[rows] // 4).tolist()
    variance_start = (samples.variance_offset[rows] // 4).tolist()
    for i, (shard, start, second) in enumerate(
        zip(shards, image_start, variance_start, strict=True)
    ):
        words = source.words(shard)
        image[i] = words[start : start + size]
        variance[i] = words[second : second + size]
    shape = (len(rows), *samples.shape)
    return image.reshape(shape), variance.reshape(shape)


def gather_segments(
    source: MappedShards | StreamedShards, samples: SampleTable, rows: np.ndarray
) -> np.ndarray:
    """Packed segments [b, segment, column] of the given rows."""
    size = int(np.prod(samples.segments_shape))
    start = samples.segments_offset[rows] // 4
    out = np.empty((len(rows), size), np.float32)
    for i, (shard, first) in enumerate(zip(samples.shard_number[rows], start, strict=True)):
        out[i] = source.words(int(shard))[first : first + size]
    return out.reshape(len(rows), *samples.segments_shape)
