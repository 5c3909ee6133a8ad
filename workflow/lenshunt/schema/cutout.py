"""Cutout, the one type that flows; CutoutBatch, many of one shape; Rejected, an unreadable one."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from lenshunt.schema.bands import SLOTS
from lenshunt.schema.metadata import Metadata

#: raw_index of a Rejected that stands for a whole file of many objects, their number unknown.
WHOLE_FILE = -1


@dataclass(frozen=True)
class Cutout:
    """One object in five band slots.

    image : float32 [band, y, x], nJy per pixel; zero in a slot without data
    variance : float32 [band, y, x], nJy^2; +inf where a pixel is unusable (also a whole slot);
        NaN in a slot that has data of unknown variance (then metadata.variance_available is
        False until the images room has estimated it)
    metadata : Metadata
    psf : float32 [band, h, w], unit sum per band slot (zeros in a slot without data), h and w
        odd; or None
    noise_corr : float32 [band], variance of a sum over a large box / sum of the variances
    """

    image: np.ndarray
    variance: np.ndarray
    metadata: Metadata
    psf: np.ndarray | None = None
    noise_corr: np.ndarray = field(default_factory=lambda: np.ones(len(SLOTS), np.float32))

    def __post_init__(self) -> None:
        name = self.metadata.sample_id
        if self.image.ndim != 3 or self.image.shape[0] != len(SLOTS):
            raise ValueError(f"{name}: image has shape {self.image.shape}, expected [5, y, x]")
        if self.variance.shape != self.image.shape:
            raise ValueError(
                f"{name}: variance {self.variance.shape} does not match image {self.image.shape}"
            )
        for label, array in (("image", self.image), ("variance", self.variance)):
            if array.dtype != np.float32:
                raise ValueError(f"{name}: {label} is {array.dtype}, expected float32")
        if not np.isfinite(self.image).all():
            raise ValueError(f"{name}: image holds NaN or inf; give such pixels variance +inf")
        for band, flag in enumerate(self.metadata.band_flags):
            if not flag and not np.isposinf(self.variance[band]).all():
                raise ValueError(f"{name}: band {SLOTS[band]} is flagged absent, variance is not")
        if self.psf is not None:
            if self.psf.ndim != 3 or self.psf.shape[0] != len(SLOTS):
                raise ValueError(f"{name}: psf has shape {self.psf.shape}, expected [5, h, w]")
            sums = self.psf.sum(axis=(1, 2))
            for band, flag in enumerate(self.metadata.band_flags):
                if flag and abs(sums[band] - 1.0) > 1e-3:
                    raise ValueError(
                        f"{name}: psf of band {SLOTS[band]} sums to {sums[band]:.4f}, expected 1"
                    )

    def with_metadata(self, **changes: object) -> "Cutout":
        """The same pixels with some metadata fields replaced (and validated again)."""
        values = {name: getattr(self.metadata, name) for name in Metadata.model_fields}
        return replace(self, metadata=Metadata(**{**values, **changes}))


@dataclass(frozen=True)
class CutoutBatch:
    """n cutouts of one shape, for array work.

    image, variance : float32 [n, band, y, x] as in `Cutout`
    psf_id : object [n, band], key into `psfs`; "" where there is no PSF
    psfs : the distinct PSFs, id -> float32 [h, w], unit sum
    noise_corr : float32 [n, band]
    metadata : DataFrame of n rows, the columns that the reader was asked for
    row : int [n], position of each cutout in its chunk
    """

    image: np.ndarray
    variance: np.ndarray
    psf_id: np.ndarray
    psfs: dict[str, np.ndarray]
    noise_corr: np.ndarray
    metadata: pd.DataFrame
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True)
class Rejected:
    """A raw file or object that could not be read: where, and why, in a sentence."""

    raw_file: str
    raw_index: int
    reason: str
