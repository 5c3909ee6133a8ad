"""16-bit cutout files: one multi-page TIFF per chunk, image pages then variance pages.

Variance codes are logarithmic, 0 marks an unusable pixel. Image codes count steps of STEP_SIGMA
times the pixel's own (decoded) sigma, so that 25 roundings in the same direction still move a 5 x 5
box by less than 0.1 of its sigma. The range, +-65,534 steps or S/N 2,490 per pixel, ends above
saturation where the variance holds the source's Poisson noise. Where a page goes beyond (variance
from the sky alone), its S/N is compressed by asinh from the brightness on at which that is needed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd
import tifffile

from lenshunt.records import SLOTS, read_metadata

#: Quantisation step of the image in units of each pixel's sigma; at most 0.05 is allowed.
STEP_SIGMA = 0.038
TOP = 65535
FORMAT = "lenshunt-cutouts-1"


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


def encode_image(
    image: np.ndarray, decoded_variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes uint16 [m, y, x], and per page the softening and zero (code of zero flux).

    S/N = softening sinh(STEP_SIGMA (c - zero) / softening); softening 0 means linear.
    """
    usable = np.isfinite(decoded_variance)
    sigma = np.sqrt(np.where(usable, decoded_variance, np.float32(1)))
    steps = np.where(usable, image, np.float32(0)) / (sigma * np.float32(STEP_SIGMA))
    low, high = steps.min(axis=(1, 2)), steps.max(axis=(1, 2))
    softening = np.zeros(len(image))
    for page in np.flatnonzero(np.rint(high) - np.rint(low) > TOP):
        softening[page] = _softening(float(low[page]), float(high[page]))
        soft = softening[page] / STEP_SIGMA
        steps[page] = np.arcsinh(steps[page] / soft) * soft
    zero = np.rint(-steps.min(axis=(1, 2))).astype(float)
    codes = np.rint(steps + zero[:, None, None].astype(np.float32))
    return np.clip(codes, 0, TOP).astype(np.uint16), softening, zero


def _softening(low: float, high: float) -> float:
    """Largest softening, in S/N, with which `low`..`high` (in steps) fits into 16 bits."""
    soft = max(abs(low), abs(high))
    while soft * (np.arcsinh(high / soft) - np.arcsinh(low / soft)) > TOP - 1:
        soft *= 0.8
    return soft * STEP_SIGMA


def decode_image(
    codes: np.ndarray, variance: np.ndarray, softening: np.ndarray, zero: np.ndarray
) -> np.ndarray:
    """Inverse of `encode_image`, float32 [m, y, x]; 0 on unusable pixels."""
    usable = np.isfinite(variance)
    ratio = (codes.astype(np.float32) - zero[:, None, None].astype(np.float32)) * STEP_SIGMA
    for page in np.flatnonzero(softening > 0):
        ratio[page] = softening[page] * np.sinh(ratio[page] / softening[page])
    sigma = np.sqrt(np.where(usable, variance, np.float32(0)))
    return (ratio * sigma).astype(np.float32)


class CutoutFile:
    """Writes the cutouts of one chunk, in any order; the file appears whole or not at all."""

    def __init__(self, path: Path | str, band_flags: np.ndarray, size: int) -> None:
        """band_flags : bool [n, band]; a band that is absent takes no pages."""
        self.path, self._flags, self._size = Path(path), band_flags.astype(bool), size
        self._partial = self.path.with_name(self.path.name + ".partial")
        counts = 2 * self._flags.sum(axis=1)
        self._first = np.concatenate([[0], np.cumsum(counts)]).astype(int)
        self._scale = np.zeros(self._first[-1])
        self._zero = np.zeros(self._first[-1])

    def __enter__(self) -> "CutoutFile":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # A chunk whose objects were all rejected still is a readable file: one empty page.
        shape = (max(int(self._first[-1]), 1), self._size, self._size)
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
        # Written by seek, not through the map: mapped pages would count as memory in use.
        self._file = open(self._partial, "r+b")
        return self

    def write(self, rows: np.ndarray, image: np.ndarray, variance: np.ndarray) -> None:
        """Write cutouts `rows` [m]; image, variance float32 [m, band, y, x]."""
        flags = self._flags[rows]
        codes_v, scale_v, zero_v = encode_variance(variance[flags])
        seen = decode_variance(codes_v, scale_v, zero_v)
        codes_i, soft_i, zero_i = encode_image(image[flags], seen)
        bands = flags.sum(axis=1)
        ends = np.cumsum(bands)
        for row, start, stop in zip(rows, ends - bands, ends, strict=True):
            first, middle, last = self._first[row] + np.array([0, 1, 2]) * (stop - start)
            self._file.seek(self._offset + int(first) * 2 * self._size**2)
            self._file.write(codes_i[start:stop].astype("<u2").tobytes())
            self._file.write(codes_v[start:stop].astype("<u2").tobytes())
            self._scale[first:middle], self._zero[first:middle] = (
                soft_i[start:stop],
                zero_i[start:stop],
            )
            self._scale[middle:last], self._zero[middle:last] = (
                scale_v[start:stop],
                zero_v[start:stop],
            )

    def _header(self) -> str:
        # Ten distinct strings, however many pages.
        named = {kind: [f"{kind}:{slot}" for slot in SLOTS] for kind in ("image", "variance")}
        names = [
            name
            for flags in self._flags
            for kind in ("image", "variance")
            for name, flag in zip(named[kind], flags, strict=True)
            if flag
        ]
        return json.dumps(
            {
                "format": FORMAT,
                "step_sigma": STEP_SIGMA,
                "size": self._size,
                "data_offset": self._offset,
                "page": names,
                "scale": self._scale.tolist(),
                "zero": self._zero.tolist(),
            }
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if kind is not None:
            self._partial.unlink(missing_ok=True)
            return
        tifffile.tiffcomment(self._partial, self._header())
        self._partial.replace(self.path)


def read_cutouts(
    tiff: Path | str, metadata: Path | str, batch: int = 256
) -> Iterator[tuple[np.ndarray, np.ndarray, pd.DataFrame]]:
    """Cutouts of one chunk in the order of its table, at most `batch` at a time.

    Yields image and variance, float32 [n, band, y, x] (zero and +inf in an absent band), and the
    n rows of metadata. Raises ValueError when file and table do not belong together.
    """
    table = read_metadata(metadata)
    header = json.loads(tifffile.tiffcomment(tiff) or "{}")
    if header.get("format") != FORMAT:
        raise ValueError(f"{tiff}: format {header.get('format')!r} found, {FORMAT!r} wanted")
    flags = table[[f"band_flags_{slot}" for slot in SLOTS]].to_numpy().astype(bool)
    first = np.concatenate([[0], np.cumsum(2 * flags.sum(axis=1))]).astype(int)
    if first[-1] != len(header["page"]):
        raise ValueError(
            f"{tiff}: {len(header['page'])} pages, but {metadata} tells of {first[-1]}; "
            "make both again"
        )
    scale, zero = np.array(header["scale"]), np.array(header["zero"])
    variance_page = np.array([name.startswith("variance") for name in header["page"]], dtype=bool)
    side, page_bytes = int(header["size"]), 2 * int(header["size"]) ** 2
    for start in range(0, len(table), batch):
        stop = min(start + batch, len(table))
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
        image[flags[start:stop]] = decode_image(codes[~is_variance], seen, scale[i], zero[i])
        variance[flags[start:stop]] = seen
        yield image, variance, table.iloc[start:stop].reset_index(drop=True)
