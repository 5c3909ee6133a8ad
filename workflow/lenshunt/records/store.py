"""One chunk of cutouts on disk: HDF5 pixels grouped by shape, distinct PSFs, metadata table."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
import pandas as pd

from lenshunt.records.bands import SLOTS
from lenshunt.records.cutout import Cutout, CutoutBatch
from lenshunt.records.metadata import Metadata, table_from_records, validate_table


def psf_digest(psf: np.ndarray) -> str:
    """Stable id of one PSF image [h, w]."""
    array = np.ascontiguousarray(psf, dtype="<f4")
    return hashlib.sha256(f"{array.shape}".encode() + array.tobytes()).hexdigest()[:20]


class RecordWriter:
    """Streams cutouts into PIXELS (HDF5) and their metadata into METADATA (Parquet).

    Memory holds at most `buffer` cutouts per shape. Both files appear under their own names only
    when the `with` block ends without an error.
    """

    def __init__(self, pixels: Path | str, metadata: Path | str, buffer: int = 128) -> None:
        self._pixels, self._metadata = Path(pixels), Path(metadata)
        self._partial = self._pixels.with_name(self._pixels.name + ".partial")
        self._buffer = buffer
        self._waiting: dict[str, list[tuple[int, Cutout, list[str]]]] = {}
        self._records: list[Metadata] = []

    def __enter__(self) -> "RecordWriter":
        self._pixels.parent.mkdir(parents=True, exist_ok=True)
        self._file = h5py.File(self._partial, "w", libver="latest")
        self._psfs = self._file.create_group("psf")
        return self

    def add(self, cutout: Cutout) -> None:
        """Append one cutout."""
        ids = [""] * len(SLOTS)
        if cutout.psf is not None:
            for band, flag in enumerate(cutout.metadata.band_flags):
                if flag:
                    psf = np.asarray(cutout.psf[band], np.float32)
                    ids[band] = psf_digest(psf)
                    if ids[band] not in self._psfs:
                        self._psfs[ids[band]] = psf
        shape = "{}x{}".format(*cutout.image.shape[1:])
        waiting = self._waiting.setdefault(shape, [])
        waiting.append((len(self._records), cutout, ids))
        self._records.append(cutout.metadata)
        if len(waiting) >= self._buffer:
            self._flush(shape)

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._file.close()
            self._partial.unlink(missing_ok=True)
            return
        for shape in sorted(self._waiting):
            self._flush(shape)
        self._file.close()
        self._metadata.parent.mkdir(parents=True, exist_ok=True)
        partial = self._metadata.with_name(self._metadata.name + ".partial")
        try:
            table = validate_table(table_from_records(self._records), str(self._metadata))
            table.to_parquet(partial, index=False)
            partial.replace(self._metadata)
            self._partial.replace(self._pixels)
        finally:
            partial.unlink(missing_ok=True)
            self._partial.unlink(missing_ok=True)


def read_metadata(path: Path | str) -> pd.DataFrame:
    """A metadata table from Parquet, validated against schema v2.0."""
    return validate_table(pd.read_parquet(path), str(path))


class RecordReader:
    """Reads a chunk that `RecordWriter` wrote, batch by batch."""

    def __init__(self, pixels: Path | str, metadata: Path | str) -> None:
        self.pixels, self.metadata = Path(pixels), read_metadata(metadata)

    def psfs(self) -> dict[str, np.ndarray]:
        """Distinct PSFs of the chunk: id -> float32 [h, w]."""
        with h5py.File(self.pixels) as file:
            return {name: file["psf"][name][()] for name in file["psf"]}

    def psf_ids(self) -> np.ndarray:
        """Id of the PSF of every cutout and band, str [n, band], in the table's order."""
        ids = np.full((len(self.metadata), len(SLOTS)), "", dtype="U20")
        with h5py.File(self.pixels) as file:
            for group in file.get("shape", {}).values():
                ids[group["row"][()]] = group["psf_id"][()].astype(str)
        return ids

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
