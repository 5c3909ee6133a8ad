"""Match one chunk to the target PSF, bring it onto the grid, judge it, write 16-bit files."""

import sys
from dataclasses import dataclass

import h5py
import numpy as np
import pandas as pd
from tqdm import tqdm

from lenshunt.config import Grid, QualityConfig
from lenshunt.images.convolution import MASKED_WEIGHT_MAX, convolve_batch
from lenshunt.images.kernels import KernelBank, kernel_key
from lenshunt.images.psf import target_size
from lenshunt.images.quality import assess
from lenshunt.images.resampling import resampling
from lenshunt.images.tiff16 import CutoutFile
from lenshunt.schema import SLOTS, CutoutBatch, RecordReader, TableWriter, metadata_batches

#: Pixels of Fourier boxes that one batch may hold; bounds its memory whatever the image size.
BATCH_PIXELS = 6_000_000


#: Columns of the metadata that homogenising reads before it writes the new table.
NEEDED_COLUMNS = ("pixel_scale", "snr", "flags", *(f"band_flags_{slot}" for slot in SLOTS))


@dataclass(frozen=True)
class Matched:
    """n cutouts on the common grid.

    image, variance : float32 [n, band, size, size]
    noise_corr : float [n, band]
    residual : [n], the largest PSF residual of the bands; psf_matched : bool [n]
    covered : [n], fraction of the grid that lies on the raw image
    """

    image: np.ndarray
    variance: np.ndarray
    noise_corr: np.ndarray
    residual: np.ndarray
    psf_matched: np.ndarray
    covered: np.ndarray


def match_batch(
    batch: CutoutBatch, pixel_scale_arcsec: float, bank: KernelBank, grid: Grid
) -> Matched:
    """Match the PSFs of cutouts of one shape and pixel scale and resample them to the grid."""
    flags = batch.metadata[_columns("band_flags")].to_numpy().astype(bool)
    n, shape = len(flags), (batch.image.shape[2], batch.image.shape[3])
    ids, which = np.unique(batch.psf_id[flags], return_inverse=True)
    keys = [kernel_key(psf_id, pixel_scale_arcsec) for psf_id in ids]
    onto = resampling(shape, pixel_scale_arcsec, grid.pixel_scale_arcsec, grid.size_px)
    image = np.zeros((n, len(SLOTS), grid.size_px, grid.size_px), np.float32)
    variance = np.full_like(image, np.inf)
    noise_corr = np.ones((n, len(SLOTS)))
    residual, matched = np.full((n, len(SLOTS)), np.nan), np.ones((n, len(SLOTS)), dtype=bool)
    if keys:
        transforms, gains = bank.transforms(keys, shape, onto)
        convolved, spread, usable = convolve_batch(
            batch.image[flags], batch.variance[flags], transforms, which
        )
        good = (onto.smooth_map(usable) >= 1 - MASKED_WEIGHT_MAX) & onto.footprint
        image[flags] = np.where(good, onto.image(convolved), np.float32(0))
        resampled = onto.smooth_map(spread) * gains[which]
        variance[flags] = np.where(good & (resampled > 0), resampled, np.float32(np.inf))
        image[~np.isfinite(variance)] = 0.0
        per_kernel = np.array([g[onto.footprint].mean(dtype=float) for g in gains])
        squares = np.array([bank.white_noise(key) for key in keys])
        corr = onto.area_ratio / (per_kernel * squares)
        noise_corr[flags] = batch.noise_corr[flags] * corr[which]
        residuals, passed = bank.judgement(keys)
        residual[flags], matched[flags] = residuals[which], passed[which]
    worst = np.where(np.isnan(residual), -np.inf, residual).max(axis=1)
    return Matched(
        image=image,
        variance=variance,
        noise_corr=noise_corr,
        residual=np.where(np.isfinite(worst), worst, np.nan),
        psf_matched=np.logical_and(matched.all(axis=1), flags.any(axis=1)),
        covered=np.full(n, onto.footprint.mean()),
    )


@dataclass(frozen=True)
class Findings:
    """What homogenising has found of n cutouts, in the order of their table.

    Cutouts are worked on shape by shape, while the new table is written row by row.
    noise_corr : [n, band]; residual, quality : [n]; psf_matched : bool [n]; flags : words [n]
    """

    noise_corr: np.ndarray
    residual: np.ndarray
    quality: np.ndarray
    psf_matched: np.ndarray
    flags: np.ndarray

    @classmethod
    def of(cls, n: int) -> "Findings":
        """Room for the findings of n cutouts."""
        return cls(
            noise_corr=np.ones((n, len(SLOTS))),
            residual=np.full(n, np.nan),
            quality=np.full(n, np.nan),
            psf_matched=np.zeros(n, bool),
            flags=np.full(n, "", object),
        )

    def note(self, batch: CutoutBatch, matched: Matched, config: QualityConfig) -> None:
        """Judge the cutouts of one batch and keep what was found."""
        flags = batch.metadata[_columns("band_flags")].to_numpy().astype(bool)
        verdict = assess(
            matched.variance,
            flags,
            matched.covered,
            batch.metadata["snr"].to_numpy(),
            matched.psf_matched,
        )
        words = []
        for before, reasons, value in zip(
            batch.metadata["flags"], verdict.reasons, verdict.quality, strict=True
        ):
            low = "low_quality" if value < config.threshold else ""
            # Few distinct texts, however many cutouts.
            words.append(sys.intern(";".join(part for part in (before, reasons, low) if part)))
        self.noise_corr[batch.row] = matched.noise_corr
        self.residual[batch.row] = matched.residual
        self.quality[batch.row] = verdict.quality
        self.psf_matched[batch.row] = matched.psf_matched
        self.flags[batch.row] = words

    def enter(self, table: pd.DataFrame, start: int, grid: Grid) -> pd.DataFrame:
        """The rows `start` ... of the metadata with the findings entered."""
        rows = slice(start, start + len(table))
        return table.assign(
            **dict(zip(_columns("noise_corr"), self.noise_corr[rows].T, strict=True)),
            psf_matched=self.psf_matched[rows],
            target_psf_fwhm=grid.psf_fwhm_arcsec,
            pixel_scale=grid.pixel_scale_arcsec,
            psf_residual=self.residual[rows],
            quality=self.quality[rows],
            flags=self.flags[rows],
        )


def homogenise_chunk(
    *,
    pixels: str,
    metadata: str,
    kernels: str,
    grid: Grid,
    quality: QualityConfig,
    out: str,
    out_metadata: str,
) -> None:
    """Homogenise the cutouts of one chunk.

    pixels, metadata : the chunk, as `prepare_chunk` wrote it
    kernels : HDF5 of `make_kernels` for the same data set and grid
    out : multi-page 16-bit TIFF, cutouts in the order of the table
    out_metadata : Parquet, schema v2, the rows of `metadata` in the same order
    """
    reader = RecordReader(pixels, metadata, NEEDED_COLUMNS)
    table = reader.metadata
    flags = table[_columns("band_flags")].to_numpy().astype(bool)
    findings = Findings.of(len(table))
    with (
        h5py.File(kernels) as file,
        CutoutFile(out, flags, grid.size_px) as cutouts,
        tqdm(total=len(table), desc="homogenising", unit="cutout", disable=None) as progress,
    ):
        if float(file.attrs["target_fwhm_arcsec"]) != grid.psf_fwhm_arcsec:
            raise ValueError(
                f"{kernels}: made for a target of {file.attrs['target_fwhm_arcsec']} arcsec, the "
                f"grid wants {grid.psf_fwhm_arcsec}; make the kernels again"
            )
        bank = KernelBank(file)
        for mixed in reader.batches(_batch_size(table, grid)):
            for scale, batch in by_pixel_scale(mixed):
                matched = match_batch(batch, scale, bank, grid)
                cutouts.write(batch.row, matched.image, matched.variance)
                findings.note(batch, matched, quality)
            progress.update(len(mixed))
    with TableWriter(out_metadata) as writer:
        start = 0
        for part in metadata_batches(metadata):
            writer.write(findings.enter(part, start, grid))
            start += len(part)


def _batch_size(table: pd.DataFrame, grid: Grid) -> int:
    """Cutouts per batch, so that the Fourier boxes of the finest images fit into BATCH_PIXELS."""
    if table.empty:
        return 1
    finest = float(table["pixel_scale"].min())
    image_px = grid.size_px * grid.pixel_scale_arcsec / finest
    box = max(image_px, 64.0) + target_size(grid, finest) / 2
    return int(np.clip(BATCH_PIXELS / (len(SLOTS) * box**2), 1, 32))


def _columns(name: str) -> list[str]:
    return [f"{name}_{slot}" for slot in SLOTS]


def by_pixel_scale(batch: CutoutBatch) -> list[tuple[float, CutoutBatch]]:
    """The batch split into parts of one pixel scale, to a millionth of an arcsec."""
    scales = batch.metadata["pixel_scale"].round(6).to_numpy()
    distinct = np.unique(scales)
    if len(distinct) == 1:
        return [(float(distinct[0]), batch)]
    parts = []
    for scale in distinct:
        rows = np.flatnonzero(scales == scale)
        part = CutoutBatch(
            image=batch.image[rows],
            variance=batch.variance[rows],
            psf_id=batch.psf_id[rows],
            psfs=batch.psfs,
            noise_corr=batch.noise_corr[rows],
            metadata=batch.metadata.iloc[rows].reset_index(drop=True),
            row=batch.row[rows],
        )
        parts.append((float(scale), part))
    return parts
