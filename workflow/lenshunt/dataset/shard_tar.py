"""One split's tar shards in WebDataset layout, written so that equal samples give equal bytes."""

import hashlib
import tarfile
from contextlib import ExitStack, suppress
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from lenshunt.core import whole_file
from lenshunt.dataset.shard_index import Shard
from lenshunt.records import Metadata

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
