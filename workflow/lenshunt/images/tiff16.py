"""16-bit cutout files: one multi-page TIFF per chunk, image pages then variance pages.

Variance codes are logarithmic, 0 marks an unusable pixel. Image codes count steps of STEP_SIGMA
times the pixel's own (decoded) sigma, so that 25 roundings in the same direction still move a 5 x 5
box by less than 0.1 of its sigma. A page spans 65,536 steps, S/N 2,490 per pixel; real pixels reach
S/N 70,000 where the variance lacks the source's own noise. What is beyond is stored modulo 65,536,
and how often it wraps stands in the header (one compressed byte string per such page): the step is
the same at any brightness. `python tests/bench/rounding.py` prints this scheme beside others.
"""

import base64
import json
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd
import tifffile

from lenshunt.core import whole_file
from lenshunt.schema import SLOTS, metadata_batches, read_metadata

#: Quantisation step of the image in units of each pixel's sigma; at most 0.05 is allowed.
STEP_SIGMA = 0.038
TOP = 65535
FORMAT = "lenshunt-cutouts-2"
#: Steps from the lowest pixel of a page to zero flux, at most; below, codes wrap too.
ZERO_MAX = 8192
#: Steps that wraps can count; float32 holds whole steps up to 2^24 (S/N 640,000).
WRAPPED_MAX = 2.0**46


def encode_variance(variance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes uint16 [m, y, x], and per page the scale and zero: variance = zero exp(scale (c - 1)).

    variance : float32 [m, y, x], positive, +inf where unusable (code 0)
    Raises ValueError for a variance that is NaN, zero or negative.
    """
    usable = np.isfinite(variance)
    if np.isnan(variance).any() or (variance[usable] <= 0).any():
        raise ValueError("variance is NaN, zero or negative; give unusable pixels +inf")
    logs = np.log(np.where(usable, variance, np.float32(1)), dtype=np.float32)
    low = np.where(usable, logs, np.inf).min(axis=(1, 2)).astype(float)
    high = np.where(usable, logs, -np.inf).max(axis=(1, 2)).astype(float)
    low, high = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)
    scale = np.maximum(high - low, 1e-9) / (TOP - 1)
    above = logs - low[:, None, None].astype(np.float32)
    codes = np.rint(above / scale[:, None, None].astype(np.float32)) + 1
    codes = np.clip(codes, 1, TOP)
    return np.where(usable, codes, 0).astype(np.uint16), scale, np.exp(low)


def decode_variance(codes: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Inverse of `encode_variance`, float32 [m, y, x]."""
    power = (codes.astype(np.float32) - 1) * scale[:, None, None].astype(np.float32)
    variance = np.exp(power) * zero[:, None, None].astype(np.float32)
    return np.where(codes == 0, np.float32(np.inf), variance)


@dataclass(frozen=True)
class ImageCodes:
    """Pages of image codes: S/N = STEP_SIGMA (codes + 65,536 wraps - zero).

    codes : uint16 [m, y, x]; zero : [m], code of zero flux
    wraps : int32 [y, x] by page, only for the pages that need it
    """

    codes: np.ndarray
    zero: np.ndarray
    wraps: dict[int, np.ndarray]


def encode_image(image: np.ndarray, decoded_variance: np.ndarray) -> ImageCodes:
    """Codes of an image [m, y, x], given its variance as the file will return it.

    Raises ValueError where a pixel is not finite or its S/N exceeds what its wraps can count.
    """
    usable = np.isfinite(decoded_variance)
    sigma = np.sqrt(np.where(usable, decoded_variance, np.float32(1)))
    steps = np.where(usable, image, np.float32(0)) / (sigma * np.float32(STEP_SIGMA))
    low, high = steps.min(axis=(1, 2)), steps.max(axis=(1, 2))
    if not (np.abs(low) < WRAPPED_MAX).all() or not (np.abs(high) < WRAPPED_MAX).all():
        raise ValueError("a pixel is not finite, or its variance is far too small for its flux")
    zero = np.minimum(np.rint(-low), ZERO_MAX).astype(float)
    steps += zero[:, None, None].astype(np.float32)
    codes = np.rint(steps, out=steps)
    wraps: dict[int, np.ndarray] = {}
    for page in np.flatnonzero((np.rint(low) + zero < 0) | (np.rint(high) + zero > TOP)):
        whole = codes[page].astype(np.int64)
        wraps[int(page)] = (whole >> 16).astype(np.int32)
        codes[page] = whole & TOP
    return ImageCodes(np.clip(codes, 0, TOP).astype(np.uint16), zero, wraps)


def decode_image(coded: ImageCodes, variance: np.ndarray) -> np.ndarray:
    """Inverse of `encode_image`, float32 [m, y, x]; 0 on unusable pixels."""
    usable = np.isfinite(variance)
    steps = coded.codes.astype(np.float32) - coded.zero[:, None, None].astype(np.float32)
    for page, wraps in coded.wraps.items():
        steps[page] += wraps.astype(np.float32) * np.float32(TOP + 1)
    sigma = np.sqrt(np.where(usable, variance, np.float32(0)))
    return (steps * np.float32(STEP_SIGMA) * sigma).astype(np.float32)


def pack_wraps(wraps: np.ndarray) -> str:
    """Text for the header: int32 [y, x], compressed."""
    return base64.b64encode(zlib.compress(wraps.astype("<i4").tobytes(), 6)).decode("ascii")


def unpack_wraps(text: str, size: int) -> np.ndarray:
    """Inverse of `pack_wraps`, int32 [size, size]."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i4").reshape(size, size)


def pack_numbers(values: np.ndarray) -> str:
    """Text for the header: float32 [n], which is all that decoding uses."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode("ascii")


def unpack_numbers(text: str) -> np.ndarray:
    """Inverse of `pack_numbers`, float32 [n]."""
    return np.frombuffer(base64.b64decode(text), "<f4")


class CutoutFile:
    """Writes the cutouts of one chunk, in any order; the file appears whole or not at all."""

    def __init__(self, path: Path | str, band_flags: np.ndarray, size: int) -> None:
        """band_flags : bool [n, band]; a band that is absent takes no pages."""
        self.path, self._flags, self._size = Path(path), band_flags.astype(bool), size
        counts = 2 * self._flags.sum(axis=1)
        self._first = np.concatenate([[0], np.cumsum(counts)]).astype(int)
        self._scale = np.zeros(self._first[-1])
        self._zero = np.zeros(self._first[-1])
        self._wraps: dict[int, str] = {}

    def __enter__(self) -> "CutoutFile":
        # A chunk whose objects were all rejected still is a readable file: one empty page.
        shape = (max(int(self._first[-1]), 1), self._size, self._size)
        with ExitStack() as opened:
            self._partial = opened.enter_context(whole_file(self.path))
            pages = tifffile.memmap(
                self._partial,
                shape=shape,
                dtype="<u2",
                byteorder="<",
                photometric="minisblack",
                metadata=None,
                description="{}",
            )
            self._offset = int(pages.offset)
            del pages
            opened.push(self._finish)
            # Written by seek, not through the map: mapped pages would count as memory in use.
            self._file = opened.enter_context(open(self._partial, "r+b"))
            self._opened = opened.pop_all()
        return self

    def write(self, rows: np.ndarray, image: np.ndarray, variance: np.ndarray) -> None:
        """Write cutouts `rows` [m]; image, variance float32 [m, band, y, x]."""
        flags = self._flags[rows]
        codes_v, scale_v, zero_v = encode_variance(variance[flags])
        seen = decode_variance(codes_v, scale_v, zero_v)
        coded = encode_image(image[flags], seen)
        bands = flags.sum(axis=1)
        ends = np.cumsum(bands)
        for row, start, stop in zip(rows, ends - bands, ends, strict=True):
            first, middle, last = self._first[row] + np.array([0, 1, 2]) * (stop - start)
            self._file.seek(self._offset + int(first) * 2 * self._size**2)
            self._file.write(coded.codes[start:stop].astype("<u2").tobytes())
            self._file.write(codes_v[start:stop].astype("<u2").tobytes())
            self._scale[first:middle] = STEP_SIGMA
            self._zero[first:middle] = coded.zero[start:stop]
            self._scale[middle:last] = scale_v[start:stop]
            self._zero[middle:last] = zero_v[start:stop]
            for page in coded.wraps.keys() & set(range(start, stop)):
                self._wraps[int(first) + page - int(start)] = pack_wraps(coded.wraps[page])

    def _header(self) -> str:
        # Per page a list would hold millions of numbers as text; packed they are a few bytes each.
        bands = ["".join(np.array(SLOTS)[flags]) for flags in self._flags]
        return json.dumps(
            {
                "format": FORMAT,
                "pages": "per cutout: its image pages, then its variance pages",
                "arrays": "per page, float32 little-endian, base64",
                "step_sigma": STEP_SIGMA,
                "size": self._size,
                "data_offset": self._offset,
                "bands": " ".join(bands),
                "scale": pack_numbers(self._scale),
                "zero": pack_numbers(self._zero),
                "wraps": {str(page): self._wraps[page] for page in sorted(self._wraps)},
            }
        )

    def _finish(self, kind: type[BaseException] | None, *error: object) -> None:
        """Write the header into the closed file, unless there was an error."""
        if kind is None:
            tifffile.tiffcomment(self._partial, self._header())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.__exit__(kind, error, trace)


def read_cutouts(
    tiff: Path | str, metadata: Path | str, batch: int = 64
) -> Iterator[tuple[np.ndarray, np.ndarray, pd.DataFrame]]:
    """Cutouts of one chunk in the order of its table, at most `batch` at a time.

    Yields image and variance, float32 [n, band, y, x] (zero and +inf in an absent band), and the
    n rows of metadata. Raises ValueError when file and table do not belong together.
    """
    columns = [f"band_flags_{slot}" for slot in SLOTS]
    flags = read_metadata(metadata, columns).to_numpy().astype(bool)
    header = json.loads(tifffile.tiffcomment(tiff) or "{}")
    if header.get("format") != FORMAT:
        raise ValueError(f"{tiff}: format {header.get('format')!r} found, {FORMAT!r} wanted")
    first = np.concatenate([[0], np.cumsum(2 * flags.sum(axis=1))]).astype(int)
    scale, zero = unpack_numbers(header["scale"]), unpack_numbers(header["zero"])
    if first[-1] != len(scale):
        raise ValueError(
            f"{tiff}: {len(scale)} pages, but {metadata} tells of {first[-1]}; make both again"
        )
    variance_page = np.arange(len(scale)) >= np.repeat(
        (first[:-1] + first[1:]) // 2, np.diff(first)
    )
    side, page_bytes = int(header["size"]), 2 * int(header["size"]) ** 2
    stop = 0
    for table in _parts(metadata, batch):
        start, stop = stop, stop + len(table)
        part = np.arange(first[start], first[stop])
        with open(tiff, "rb") as stream:
            stream.seek(header["data_offset"] + int(first[start]) * page_bytes)
            raw = stream.read(len(part) * page_bytes)
        if len(raw) < len(part) * page_bytes:
            raise ValueError(f"{tiff}: ends before page {first[stop]}; make it again")
        codes = np.frombuffer(raw, "<u2").reshape(len(part), side, side)
        is_variance = variance_page[part]
        image = np.zeros((stop - start, len(SLOTS), *codes.shape[1:]), np.float32)
        variance = np.full_like(image, np.inf)
        v, i = part[is_variance], part[~is_variance]
        seen = decode_variance(codes[is_variance], scale[v], zero[v])
        packed = {k: header["wraps"].get(str(page)) for k, page in enumerate(i)}
        wraps = {k: unpack_wraps(text, side) for k, text in packed.items() if text}
        coded = ImageCodes(codes[~is_variance], zero[i], wraps)
        image[flags[start:stop]] = decode_image(coded, seen)
        variance[flags[start:stop]] = seen
        yield image, variance, table


def _parts(metadata: Path | str, batch: int) -> Iterator[pd.DataFrame]:
    """Rows of a metadata table, at most `batch` at a time; validated many at a time."""
    for rows in metadata_batches(metadata):
        for start in range(0, len(rows), batch):
            yield rows.iloc[start : start + batch].reset_index(drop=True)
