"""One chunk of cutouts on disk: HDF5 pixels grouped by shape, distinct PSFs, metadata table."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np

from lenshunt.core import whole_file
from lenshunt.schema.bands import SLOTS
from lenshunt.schema.cutout import Cutout, CutoutBatch
from lenshunt.schema.metadata import COLUMNS, Metadata, arrow_from_records
from lenshunt.schema.tables import TableWriter, read_metadata


def psf_digest(psf: np.ndarray) -> str:
    """Stable id of one PSF image [h, w]."""
    array = np.ascontiguousarray(psf, dtype="<f4")
    return hashlib.sha256(f"{array.shape}".encode() + array.tobytes()).hexdigest()[:20]


class RecordWriter:
    """Streams cutouts into PIXELS (HDF5) and their metadata into METADATA (Parquet).

    Memory holds at most `buffer` cutouts per shape, and one row group of metadata. Both files
    appear under their own names only when the `with` block ends without an error.
    """

    def __init__(self, pixels: Path | str, metadata: Path | str, buffer: int = 32) -> None:
        self._pixels = Path(pixels)
        self._table = TableWriter(metadata)
        self._buffer = buffer
        self._waiting: dict[str, list[tuple[int, Cutout, list[str]]]] = {}
        self._records: list[Metadata] = []
        self._count = 0
        self._known: set[str] = set()
        self._last_psf: np.ndarray | None = None
        self._last_flags: tuple[int, ...] = ()
        self._last_ids: list[str] = []

    def __enter__(self) -> "RecordWriter":
        with ExitStack() as opened:
            # Left in reverse order: the pixels get their name last.
            partial = opened.enter_context(whole_file(self._pixels))
            opened.enter_context(self._table)
            self._file = opened.enter_context(h5py.File(partial, "w", libver="latest"))
            self._psfs = self._file.create_group("psf")
            opened.push(self._finish)
            self._opened = opened.pop_all()
        return self

    def add(self, cutout: Cutout) -> None:
        """Append one cutout."""
        ids = self._psf_ids(cutout)
        shape = "{}x{}".format(*cutout.image.shape[1:])
        waiting = self._waiting.setdefault(shape, [])
        waiting.append((self._count, cutout, ids))
        self._records.append(cutout.metadata)
        self._count += 1
        if len(waiting) >= self._buffer:
            self._flush(shape)
        if len(self._records) >= self._buffer:
            self._flush_records()

    def _psf_ids(self, cutout: Cutout) -> list[str]:
        """Id of the PSF of each band; a PSF that is new is stored."""
        if cutout.psf is None:
            return [""] * len(SLOTS)
        flags = cutout.metadata.band_flags
        # Neighbours in a survey share one stack of PSFs.
        if cutout.psf is self._last_psf and flags == self._last_flags:
            return self._last_ids
        ids = [""] * len(SLOTS)
        for band, flag in enumerate(flags):
            if flag:
                psf = np.asarray(cutout.psf[band], np.float32)
                ids[band] = psf_digest(psf)
                if ids[band] not in self._known:
                    self._psfs[ids[band]] = psf
                    self._known.add(ids[band])
        self._last_psf, self._last_flags, self._last_ids = cutout.psf, flags, ids
        return ids

    def _flush_records(self) -> None:
        self._table.write(arrow_from_records(self._records))
        self._records = []

    def _flush(self, shape: str) -> None:
        waiting = self._waiting.pop(shape)
        stacks = {
            "image": np.stack([c.image for _, c, _ in waiting]),
            "variance": np.stack([c.variance for _, c, _ in waiting]),
            "noise_corr": np.stack([c.noise_corr for _, c, _ in waiting]).astype(np.float32),
            "psf_id": np.array([ids for _, _, ids in waiting], dtype="S20"),
            "row": np.array([row for row, _, _ in waiting], dtype=np.int64),
        }
        group = self._file.require_group(f"shape/{shape}")
        for name, array in stacks.items():
            if name not in group:
                group.create_dataset(
                    name,
                    data=array,
                    maxshape=(None, *array.shape[1:]),
                    chunks=(min(16, self._buffer), *array.shape[1:]),
                )
            else:
                stored = group[name]
                stored.resize(len(stored) + len(array), axis=0)
                stored[-len(array) :] = array

    def _finish(self, kind: type[BaseException] | None, *error: object) -> None:
        """Write what waits, unless there was an error."""
        if kind is None:
            for shape in sorted(self._waiting):
                self._flush(shape)
            self._flush_records()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.__exit__(kind, error, trace)


class RecordReader:
    """Reads a chunk that `RecordWriter` wrote, batch by batch.

    columns : columns of the metadata that are read and held in memory
    """

    def __init__(
        self, pixels: Path | str, metadata: Path | str, columns: Sequence[str] = COLUMNS
    ) -> None:
        self.pixels, self.metadata = Path(pixels), read_metadata(metadata, columns)

    def psfs(self) -> dict[str, np.ndarray]:
        """Distinct PSFs of the chunk: id -> float32 [h, w]."""
        with h5py.File(self.pixels) as file:
            return {name: file["psf"][name][()] for name in file["psf"]}

    def psf_ids(self, size: int = 4096) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows [m] of the table and the ids of their PSFs, str [m, band]; at most `size` at a time.

        "" where there is no PSF.
        """
        with h5py.File(self.pixels) as file:
            for shape in sorted(file.get("shape", {})):
                group = file[f"shape/{shape}"]
                for start in range(0, len(group["row"]), size):
                    part = slice(start, start + size)
                    yield group["row"][part], group["psf_id"][part].astype(str)

    def batches(self, size: int = 128) -> Iterator[CutoutBatch]:
        """Batches of at most `size` cutouts of one shape, in the chunk's order within a shape."""
        psfs = self.psfs()
        with h5py.File(self.pixels) as file:
            for shape in sorted(file.get("shape", {})):
                group = file[f"shape/{shape}"]
                for start in range(0, len(group["row"]), size):
                    part = slice(start, start + size)
                    row = group["row"][part]
                    yield CutoutBatch(
                        image=group["image"][part],
                        variance=group["variance"][part],
                        psf_id=group["psf_id"][part].astype(str),
                        psfs=psfs,
                        noise_corr=group["noise_corr"][part],
                        metadata=self.metadata.iloc[row].reset_index(drop=True),
                        row=row,
                    )
