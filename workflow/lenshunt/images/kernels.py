"""Matching kernels of a data set: one per distinct PSF and pixel scale, with its quality check."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from tqdm import tqdm

from lenshunt.config import Grid
from lenshunt.images.matching import Match, identity_match, matching_kernel, noise_correlation
from lenshunt.images.psf import (
    RESIDUAL_RADII,
    centred_stamp,
    fwhm,
    growth_curve,
    psf_residual,
    target_psf,
)
from lenshunt.images.resampling import resampling
from lenshunt.records import SLOTS, RecordReader

#: Columns of the QA table.
TABLE_COLUMNS = (
    "psf_id",
    "dataset",
    "band",
    "filter",
    "pixel_scale_arcsec",
    "fwhm_arcsec",
    "target_fwhm_arcsec",
    "residual",
    "matched",
    "noise_corr",
    "n_cutouts",
    "psf_source",
)


@dataclass(frozen=True)
class KernelResult:
    """What becomes of one PSF on one grid; `psf` is the effective one after matching."""

    match: Match
    psf: np.ndarray
    fwhm_arcsec: float
    residual: float
    matched: bool
    noise_corr: float
    growth_before: np.ndarray
    growth_after: np.ndarray


def kernel_key(psf_id: str, pixel_scale_arcsec: float) -> str:
    """Name of a kernel: its PSF and its pixel scale, to a millionth of an arcsec."""
    return f"{psf_id}@{pixel_scale_arcsec:.6f}"


def kernel_for(psf: np.ndarray, pixel_scale_arcsec: float, grid: Grid) -> KernelResult:
    """Match one PSF [h, w] (odd) to the grid's target and check the result on the grid itself.

    A PSF that is broader than the target is left alone where matching it would sharpen (amplify)
    the noise; it counts as matched only where its residual passes the gate all the same.
    """
    source = centred_stamp(psf, max(psf.shape))
    source /= source.sum()
    scale = pixel_scale_arcsec
    target = target_psf(grid, scale)
    target_fwhm_px = grid.psf_fwhm_arcsec / scale
    size = max(*source.shape, *target.shape)
    match = matching_kernel(source, target, target_fwhm_px, size)
    if noise_correlation(match.kernel) < 1.0:
        match = identity_match(source, target, target_fwhm_px, size)
    on_grid = target_psf(grid)
    final = resampling(
        (match.matched.shape[0], match.matched.shape[1]),
        scale,
        grid.pixel_scale_arcsec,
        on_grid.shape[0],
    )
    effective = final.image(match.matched.astype(np.float32))
    radii_arcsec = RESIDUAL_RADII * grid.psf_fwhm_arcsec
    residual = max(
        match.residual,
        psf_residual(effective, on_grid, grid.psf_fwhm_arcsec / grid.pixel_scale_arcsec),
    )
    gain = final.noise_gain(match.kernel)
    return KernelResult(
        match=match,
        psf=effective / effective.sum(),
        fwhm_arcsec=fwhm(source, scale),
        residual=residual,
        matched=residual <= grid.psf_residual_max,
        noise_corr=float(final.area_ratio / gain[final.footprint].mean()),
        growth_before=growth_curve(centred_stamp(source, size), radii_arcsec / scale),
        growth_after=growth_curve(effective, radii_arcsec / grid.pixel_scale_arcsec),
    )


def _distinct_psfs(chunks: list[tuple[str, str]]) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """PSF image by kernel key, and the uses of each by band: one row per key, band and source."""
    psfs: dict[str, np.ndarray] = {}
    uses: list[pd.DataFrame] = []
    for pixels, metadata in chunks:
        reader = RecordReader(pixels, metadata)
        table, ids, images = reader.metadata, reader.psf_ids(), reader.psfs()
        for band, slot in enumerate(SLOTS):
            present = table[f"band_flags_{slot}"].to_numpy().astype(bool)
            lacking = present & (ids[:, band] == "")
            if lacking.any():
                raise ValueError(
                    f"{pixels}: sample {table['sample_id'][lacking].iloc[0]} has no PSF in "
                    f"band {slot}; make the records again"
                )
            part = table.loc[present, ["dataset", "pixel_scale", "psf_source"]].copy()
            part["psf_id"], part["band"] = ids[present, band], slot
            part["filter"] = table.loc[present, f"bands_{slot}"]
            uses.append(part)
            for psf_id, scale in set(zip(part["psf_id"], part["pixel_scale"], strict=True)):
                psfs.setdefault(kernel_key(psf_id, scale), images[psf_id])
    columns = ["psf_id", "dataset", "band", "filter", "pixel_scale", "psf_source"]
    if not any(len(part) for part in uses):
        return {}, pd.DataFrame(columns=[*columns, "n_cutouts"])
    rows = pd.concat(uses, ignore_index=True)
    rows["pixel_scale"] = rows["pixel_scale"].round(6)
    return psfs, rows.groupby(columns, sort=True).size().reset_index(name="n_cutouts")


def make_kernels(*, chunks: list[tuple[str, str]], grid: Grid, out: str, table: str) -> None:
    """Kernel and matched PSF of every distinct PSF of a data set.

    chunks : (pixels, metadata) of every chunk of the data set
    out : HDF5, one group per kernel key; `radii` holds the growth-curve radii in target FWHM
    table : CSV with TABLE_COLUMNS, one row per PSF, band and filter
    """
    psfs, uses = _distinct_psfs(chunks)
    results: dict[str, KernelResult] = {}
    partial = Path(out).with_name(Path(out).name + ".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(partial, "w", libver="latest") as file:
        on_grid = target_psf(grid)
        radii_px = RESIDUAL_RADII * grid.psf_fwhm_arcsec / grid.pixel_scale_arcsec
        file["radii"] = RESIDUAL_RADII
        file["target_psf"] = on_grid
        file["target_growth"] = growth_curve(on_grid, radii_px)
        file.attrs["target_fwhm_arcsec"] = grid.psf_fwhm_arcsec
        file.attrs["residual_max"] = grid.psf_residual_max
        for key in tqdm(sorted(psfs), desc="PSF kernels", unit="PSF", disable=None):
            result = kernel_for(psfs[key], float(key.split("@")[1]), grid)
            results[key] = result
            _store(file.create_group(f"kernel/{key}"), result)
    rows = _qa_table(uses, results, grid)
    partial_table = Path(table).with_name(Path(table).name + ".partial")
    partial_table.parent.mkdir(parents=True, exist_ok=True)
    rows.to_csv(partial_table, index=False)
    partial_table.replace(table)
    partial.replace(out)


def _store(group: h5py.Group, result: KernelResult) -> None:
    group["kernel"] = result.match.kernel.astype(np.float32)
    group["matched_psf"] = result.psf.astype(np.float32)
    group["growth_before"] = result.growth_before
    group["growth_after"] = result.growth_after
    group.attrs["residual"] = result.residual
    group.attrs["matched"] = result.matched
    group.attrs["fwhm_arcsec"] = result.fwhm_arcsec
    group.attrs["regularisation"] = result.match.regularisation


def _qa_table(uses: pd.DataFrame, results: dict[str, KernelResult], grid: Grid) -> pd.DataFrame:
    rows = uses.rename(columns={"pixel_scale": "pixel_scale_arcsec"})
    each = [
        results[kernel_key(i, s)]
        for i, s in zip(rows["psf_id"], rows["pixel_scale_arcsec"], strict=True)
    ]
    rows["fwhm_arcsec"] = [round(result.fwhm_arcsec, 6) for result in each]
    rows["target_fwhm_arcsec"] = grid.psf_fwhm_arcsec
    rows["residual"] = [round(result.residual, 8) for result in each]
    rows["matched"] = [result.matched for result in each]
    rows["noise_corr"] = [round(result.noise_corr, 6) for result in each]
    return rows[list(TABLE_COLUMNS)]
