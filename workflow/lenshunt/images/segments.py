"""Segments of cutouts: their numbers, how they are packed for a network, and their file."""

from dataclasses import dataclass, fields
from pathlib import Path

import h5py
import numpy as np

from lenshunt.core import whole_file

#: Names of the numbers that a segment has beside its fluxes, in the order in which they are packed.
GEOMETRY = ("x", "y", "area", "snr", "psf_likeness")
#: Likeness to the PSF from which on a segment counts as point-like.
POINT_LIKE = 0.9
FORMAT = "lenshunt-segments-1"


@dataclass(frozen=True)
class Segments:
    """Segments of n cutouts, brightest S/N first, padded to the same number.

    flux, variance : float32 [n, segment, band], nJy and nJy^2; 0 and +inf where a band is missing
        and in the padding
    x, y : float32 [n, segment] arcsec from the middle of the cutout, to the right and up
    area : float32 [n, segment] square arcsec; 0 in the padding
    snr : float32 [n, segment] of all bands together
    psf_likeness : float32 [n, segment], 1 for a point source, less for anything extended
    count : int16 [n], segments that are there
    """

    flux: np.ndarray
    variance: np.ndarray
    x: np.ndarray
    y: np.ndarray
    area: np.ndarray
    snr: np.ndarray
    psf_likeness: np.ndarray
    count: np.ndarray

    @property
    def point_like(self) -> np.ndarray:
        """bool [n, segment]: as compact as a star; False in the padding."""
        return self.psf_likeness > POINT_LIKE

    def packed(self) -> np.ndarray:
        """float32 [n, segment, 2 band + 5]: fluxes, variances, then GEOMETRY; one row per segment.

        Padding has area 0 and variance +inf.
        """
        geometry = np.stack([getattr(self, name) for name in GEOMETRY], axis=-1)
        return np.concatenate([self.flux, self.variance, geometry], axis=-1).astype(np.float32)

    @staticmethod
    def empty(n: int, n_max: int, bands: int) -> "Segments":
        """No segments in any of n cutouts."""
        plane = (n, n_max)
        return Segments(
            flux=np.zeros((*plane, bands), np.float32),
            variance=np.full((*plane, bands), np.inf, np.float32),
            **{name: np.zeros(plane, np.float32) for name in GEOMETRY},
            count=np.zeros(n, np.int16),
        )

    @staticmethod
    def joined(parts: "list[Segments]") -> "Segments":
        """Segments of all parts, one after the other."""
        arrays = {f.name: [getattr(p, f.name) for p in parts] for f in fields(Segments)}
        return Segments(**{name: np.concatenate(values) for name, values in arrays.items()})


def packed_bands(columns: int) -> int:
    """Number of bands in a packed row: fluxes, variances, GEOMETRY. ValueError where none fits."""
    bands, rest = divmod(columns - len(GEOMETRY), 2)
    if rest or bands < 1:
        raise ValueError(
            f"packed segments have 2 bands + {len(GEOMETRY)} columns, found {columns}; "
            "make the shards again"
        )
    return bands


def write_segments(path: Path | str, segments: Segments, sample_ids: list[str]) -> None:
    """Write segments [n, segment] of these n samples as HDF5; the file appears whole or not."""
    with whole_file(path) as partial, h5py.File(partial, "w", libver="latest") as file:
        file.attrs["format"] = FORMAT
        file["sample_id"] = np.array([name.encode() for name in sample_ids], dtype=bytes)
        for field in fields(Segments):
            file[field.name] = getattr(segments, field.name)


def read_segments(path: Path | str) -> tuple[Segments, list[str]]:
    """Segments of one chunk and its sample_ids. Raises ValueError for a file of another kind."""
    with h5py.File(path) as file:
        found = file.attrs.get("format", "none")
        if found != FORMAT:
            raise ValueError(f"{path}: format {found!r} found, {FORMAT!r} wanted; make it again")
        arrays = {field.name: file[field.name][()] for field in fields(Segments)}
        names = [name.decode() for name in np.asarray(file["sample_id"]).tolist()]
    return Segments(**arrays), names
