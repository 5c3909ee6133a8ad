"""Matching kernels of a data set: one per distinct PSF and pixel scale, checked, written, read."""

from collections import OrderedDict
from dataclasses import dataclass

import h5py
import numpy as np
import pandas as pd
from tqdm import tqdm

from lenshunt.config import Grid
from lenshunt.core import whole_files
from lenshunt.images.convolution import KernelTransforms, transform_kernels
from lenshunt.images.matching_kernel import (
    PEAK_GAIN_MAX,
    Match,
    identity_match,
    matching_kernel,
    noise_correlation,
)
from lenshunt.images.psf import (
    RESIDUAL_RADII,
    centred_stamp,
    fwhm,
    growth_curve,
    psf_residual,
    target_psf,
)
from lenshunt.images.resampling import Resampling, resampling
from lenshunt.schema import SLOTS, RecordReader

#: Columns of the QA table.
TABLE_COLUMNS = (
    "psf_id",
    "dataset",
    "band",
    "filter",
    "pixel_scale_arcsec",
    "fwhm_arcsec",
    "target_fwhm_arcsec",
    "residual_before",
    "residual",
    "matched",
    "noise_corr",
    "noise_gain",
    "peak_gain",
    "n_cutouts",
    "psf_source",
    "raw_file",
    "explanation",
)
#: A kernel that multiplies a Fourier amplitude by more than this is said to sharpen.
SHARPENS = 1.25
#: A PSF stamp whose outermost ring holds more than this fraction of the flux is cut short.
RIM_MAX = 0.005
#: Cutouts named in an error.
NAMED_MAX = 5


#: What tells one use of a PSF from another.
USE_COLUMNS = ["psf_id", "dataset", "band", "filter", "pixel_scale", "psf_source"]


@dataclass(frozen=True)
class KernelResult:
    """What becomes of one PSF on one grid.

    psf : the effective one after matching, on the grid
    residual_before, residual : largest growth-curve difference to the target; the latter the
        larger of that on the image's pixels and that on the grid's
    noise_gain : variance of white noise per pixel of the image after / before the kernel
    explanation : why the gate was missed, or that the kernel sharpens; else empty
    """

    match: Match
    psf: np.ndarray
    fwhm_arcsec: float
    residual_before: float
    residual: float
    matched: bool
    noise_corr: float
    noise_gain: float
    explanation: str
    growth_before: np.ndarray
    growth_after: np.ndarray


def kernel_key(psf_id: str, pixel_scale_arcsec: float) -> str:
    """Name of a kernel: its PSF and its pixel scale, to a millionth of an arcsec."""
    return f"{psf_id}@{pixel_scale_arcsec:.6f}"


def kernel_for(psf: np.ndarray, pixel_scale_arcsec: float, grid: Grid) -> KernelResult:
    """Match one PSF [h, w] (odd) to the grid's target and check the result on the grid itself.

    A PSF broader than the target is matched where a kernel that amplifies no frequency more than
    PEAK_GAIN_MAX reaches the gate; else its image is left alone and counts as unmatched.
    """
    source = centred_stamp(psf, max(psf.shape))
    source /= source.sum()
    scale = pixel_scale_arcsec
    target = target_psf(grid, scale)
    target_fwhm_px = grid.psf_fwhm_arcsec / scale
    size = max(*source.shape, *target.shape)
    match, width = matching_kernel(source, target, target_fwhm_px, size), fwhm(source, scale)
    untouched = identity_match(source, target, target_fwhm_px, size)
    if match.residual > grid.psf_residual_max and width > grid.psf_fwhm_arcsec:
        match = untouched
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
    matched = residual <= grid.psf_residual_max
    return KernelResult(
        match=match,
        psf=effective / effective.sum(),
        fwhm_arcsec=width,
        residual_before=untouched.residual,
        residual=residual,
        matched=matched,
        noise_corr=float(final.area_ratio / gain[final.footprint].mean()),
        noise_gain=1.0 / noise_correlation(match.kernel),
        explanation=_explanation(psf, width, match, matched, grid),
        growth_before=growth_curve(centred_stamp(source, size), radii_arcsec / scale),
        growth_after=growth_curve(effective, radii_arcsec / grid.pixel_scale_arcsec),
    )


def _explanation(psf: np.ndarray, width: float, match: Match, matched: bool, grid: Grid) -> str:
    """Why a PSF [h, w] of FWHM `width` arcsec misses the gate, or at what price it does not."""
    target = grid.psf_fwhm_arcsec
    if matched:
        if match.peak_gain <= SHARPENS:
            return ""
        return (
            f"PSF {width:.2f} arcsec, as broad as the target {target:g}: sharpened, amplitudes "
            f"up to {match.peak_gain:.1f} times"
        )
    if match.regularisation == 0:
        return (
            f"PSF {width:.2f} arcsec, broader than the target {target:g}: it would have to be "
            f"sharpened more than {PEAK_GAIN_MAX:g} times, so it is left as it is"
        )
    rim = np.ones(psf.shape, dtype=bool)
    rim[1:-1, 1:-1] = False
    share = float(np.abs(psf[rim]).sum(dtype=float) / psf.sum(dtype=float))
    if share > RIM_MAX:
        return (
            f"PSF stamp of {psf.shape[0]} x {psf.shape[1]} px cut short: {share:.1%} of its flux "
            "lies in its outermost ring"
        )
    return f"PSF {width:.2f} arcsec: no kernel below a gain of {PEAK_GAIN_MAX:g} reaches the gate"


def _distinct_psfs(chunks: list[tuple[str, str]]) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """PSF image by kernel key, and the uses of each by band: one row per key, band and source.

    raw_file is the first file of each use, n_cutouts their number.
    """
    psfs: dict[str, np.ndarray] = {}
    counts = [pd.DataFrame(columns=[*USE_COLUMNS, "n_cutouts", "raw_file"])]
    needed = ["sample_id", "dataset", "pixel_scale", "psf_source", "raw_file"]
    needed += [f"{name}_{slot}" for name in ("bands", "band_flags") for slot in SLOTS]
    for pixels, metadata in chunks:
        reader = RecordReader(pixels, metadata, needed)
        images = reader.psfs()
        for rows, ids in reader.psf_ids():
            uses = _uses(reader.metadata.iloc[rows], ids, pixels)
            for psf_id, scale in set(zip(uses["psf_id"], uses["pixel_scale"], strict=True)):
                psfs.setdefault(kernel_key(psf_id, scale), images[psf_id])
            by_use = uses.groupby(USE_COLUMNS)["raw_file"]
            counts.append(by_use.agg(n_cutouts="size", raw_file="first").reset_index())
    total = pd.concat([part for part in counts if len(part)] or counts)
    joined = total.groupby(USE_COLUMNS, sort=True)
    return psfs, joined.agg(
        n_cutouts=("n_cutouts", "sum"), raw_file=("raw_file", "first")
    ).reset_index()


def _uses(table: pd.DataFrame, ids: np.ndarray, pixels: str) -> pd.DataFrame:
    """USE_COLUMNS, one row per cutout of `table` and band with data; ids : str [n, band]."""
    uses = []
    for band, slot in enumerate(SLOTS):
        present = table[f"band_flags_{slot}"].to_numpy().astype(bool)
        lacking = present & (ids[:, band] == "")
        if lacking.any():
            raise ValueError(
                f"{pixels}: sample {table['sample_id'][lacking].iloc[0]} has no PSF in "
                f"band {slot}; make the records again"
            )
        part = table.loc[present, ["dataset", "pixel_scale", "psf_source", "raw_file"]].copy()
        part["pixel_scale"] = part["pixel_scale"].round(6)
        part["psf_id"], part["band"] = ids[present, band], slot
        part["filter"] = table.loc[present, f"bands_{slot}"]
        uses.append(part)
    return pd.concat(uses, ignore_index=True)


def make_kernels(*, chunks: list[tuple[str, str]], grid: Grid, out: str, table: str) -> None:
    """Kernel and matched PSF of every distinct PSF of a data set.

    chunks : (pixels, metadata) of every chunk of the data set
    out : HDF5, one group per kernel key; `radii` holds the growth-curve radii in target FWHM
    table : CSV with TABLE_COLUMNS, one row per PSF, band and filter
    Raises ValueError naming the cutouts where a PSF misses the gate and the grid says
    `unmatched: error`; then neither file is left.
    """
    psfs, uses = _distinct_psfs(chunks)
    results: dict[str, KernelResult] = {}
    with whole_files(table, out) as (partial_table, partial):
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
        if grid.unmatched == "error" and not rows["matched"].all():
            raise ValueError(_unmatched_message(chunks, rows[~rows["matched"]], grid))
        rows.to_csv(partial_table, index=False)


def _store(group: h5py.Group, result: KernelResult) -> None:
    group["kernel"] = result.match.kernel.astype(np.float32)
    group["matched_psf"] = result.psf.astype(np.float32)
    group["growth_before"] = result.growth_before
    group["growth_after"] = result.growth_after
    group.attrs["residual"] = result.residual
    group.attrs["matched"] = result.matched
    group.attrs["fwhm_arcsec"] = result.fwhm_arcsec
    group.attrs["regularisation"] = result.match.regularisation
    group.attrs["peak_gain"] = result.match.peak_gain


def _qa_table(uses: pd.DataFrame, results: dict[str, KernelResult], grid: Grid) -> pd.DataFrame:
    rows = uses.rename(columns={"pixel_scale": "pixel_scale_arcsec"})
    each = [
        results[kernel_key(i, s)]
        for i, s in zip(rows["psf_id"], rows["pixel_scale_arcsec"], strict=True)
    ]
    rows["fwhm_arcsec"] = [round(result.fwhm_arcsec, 6) for result in each]
    rows["target_fwhm_arcsec"] = grid.psf_fwhm_arcsec
    rows["residual"] = [round(result.residual, 8) for result in each]
    rows["residual_before"] = [round(result.residual_before, 8) for result in each]
    rows["matched"] = np.array([result.matched for result in each], dtype=bool)
    rows["noise_corr"] = [round(result.noise_corr, 6) for result in each]
    rows["noise_gain"] = [round(result.noise_gain, 6) for result in each]
    rows["peak_gain"] = [round(result.match.peak_gain, 6) for result in each]
    rows["explanation"] = [result.explanation for result in each]
    return rows[list(TABLE_COLUMNS)]


def _unmatched_message(chunks: list[tuple[str, str]], missed: pd.DataFrame, grid: Grid) -> str:
    """Which cutouts have the PSFs in `missed`, rows of the QA table, and what can be done."""
    bad, names, total = set(missed["psf_id"]), [], 0
    for pixels, metadata in chunks:
        reader = RecordReader(pixels, metadata, ["sample_id"])
        for rows, ids in reader.psf_ids():
            total += len(ids)
            has = np.flatnonzero(np.isin(ids, list(bad)).any(axis=1))
            names += list(reader.metadata["sample_id"].iloc[rows[has]])
    listed = ", ".join(names[:NAMED_MAX]) + (", ..." if len(names) > NAMED_MAX else "")
    worst = missed.iloc[int(missed["residual"].to_numpy().argmax())]
    return (
        f"{missed['dataset'].iloc[0]}: the PSFs of {len(names)} of {total} cutouts miss the target "
        f"of {grid.psf_fwhm_arcsec:g} arcsec by more than {grid.psf_residual_max:.1%} ({listed}); "
        f"the worst, band {worst['band']} of {worst['raw_file']}, by {worst['residual']:.1%}: "
        f"{worst['explanation']}. Raise psf_fwhm_arcsec of this grid (the broadest PSF that misses "
        f"it has {missed['fwhm_arcsec'].max():.2f} arcsec), or set its unmatched to keep or drop"
    )


class KernelBank:
    """Matching kernels by key; keeps the `keep` most recently used sets of transforms."""

    def __init__(self, file: h5py.File, keep: int = 4) -> None:
        self._file, self._keep = file, keep
        self._sets: OrderedDict[tuple, tuple[KernelTransforms, np.ndarray]] = OrderedDict()

    def judgement(self, keys: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Growth-curve residual of each kernel, and whether it passed the gate."""
        attrs = [self._group(key).attrs for key in keys]
        residual = np.array([attr["residual"] for attr in attrs], dtype=float)
        return residual, np.array([attr["matched"] for attr in attrs], dtype=bool)

    def transforms(
        self, keys: list[str], shape: tuple[int, int], onto: Resampling
    ) -> tuple[KernelTransforms, np.ndarray]:
        """Transforms of the kernels for images of `shape`, and their noise gains.

        The gains, float32 [m, size, size], turn a variance convolved with k^2 into the variance
        of the resampled pixels.
        """
        name = (tuple(keys), shape, onto.area_ratio)
        if name not in self._sets:
            kernels = [self._group(key)["kernel"][()] for key in keys]
            gains = [onto.noise_gain(k) / np.square(k, dtype=float).sum() for k in kernels]
            self._sets[name] = (
                transform_kernels(kernels, shape),
                np.stack(gains).astype(np.float32),
            )
            while len(self._sets) > self._keep:
                self._sets.popitem(last=False)
        self._sets.move_to_end(name)
        return self._sets[name]

    def white_noise(self, key: str) -> float:
        """Sum of k^2: variance per pixel of white noise of variance 1 after the kernel."""
        return float(np.square(self._group(key)["kernel"][()], dtype=float).sum())

    def _group(self, key: str) -> h5py.Group:
        try:
            return self._file[f"kernel/{key}"]
        except KeyError:
            raise KeyError(
                f"{self._file.filename}: no kernel {key}; records and kernels do not belong "
                "together, make the kernels again"
            ) from None
