"""PSF matching of a data set: growth curves before and after, residuals per band."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lenshunt.figures.style import COLOURS, PAGE_INCHES, paper_style, save
from lenshunt.images.kernels import kernel_key
from lenshunt.records import SLOTS

#: Growth curves drawn per band; more would only blacken the figure.
CURVES_MAX = 40


def draw_psf_qa(*, kernels: str, table: str, out: str) -> None:
    """Growth curves and residual histogram of the PSFs of one data set on one grid.

    kernels, table : HDF5 and CSV of `make_kernels`
    out : PDF; a PNG of the same name is written beside it
    """
    rows = pd.read_csv(table)
    with paper_style(), h5py.File(kernels) as file:
        figure = Figure(figsize=(PAGE_INCHES, 2.6))
        before, after, residuals = figure.subplots(1, 3)
        target_fwhm, gate = file.attrs["target_fwhm_arcsec"], file.attrs["residual_max"]
        _draw_growth(before, file, rows)
        _draw_difference(after, file, rows, float(gate))
        _draw_residuals(residuals, rows, float(gate))
        name = ", ".join(sorted(rows["dataset"].unique())) if len(rows) else Path(table).stem
        figure.suptitle(
            f"{name}: {rows['psf_id'].nunique()} PSFs matched to {target_fwhm:g}″", fontsize=8
        )
        save(figure, out)


def _band_colours(rows: pd.DataFrame) -> list[tuple[str, str]]:
    return [(s, c) for s, c in zip(SLOTS, COLOURS, strict=False) if (rows["band"] == s).any()]


def _growths(file: h5py.File, rows: pd.DataFrame, slot: str, name: str) -> np.ndarray:
    """Growth curves [n, r] of the PSFs of one band, at most CURVES_MAX, evenly picked."""
    part = rows[rows["band"] == slot]
    pick = np.unique(np.linspace(0, len(part) - 1, min(len(part), CURVES_MAX)).astype(int))
    part = part.iloc[pick]
    keys = map(kernel_key, part["psf_id"], part["pixel_scale_arcsec"])
    return np.stack([file[f"kernel/{key}/{name}"][()] for key in keys])


def _draw_growth(axes: Axes, file: h5py.File, rows: pd.DataFrame) -> None:
    radii = file["radii"][()]
    for slot, colour in _band_colours(rows):
        axes.plot(radii, _growths(file, rows, slot, "growth_before").T, color=colour, lw=0.5)
        axes.plot([], [], color=colour, label=slot)
    axes.plot(radii, file["target_growth"][()], color="black", ls="--", label="target")
    axes.set(xlabel="radius / target FWHM", ylabel="enclosed flux", title="before matching")
    axes.set_ylim(0, 1.02)
    axes.legend(ncols=2)


def _draw_difference(axes: Axes, file: h5py.File, rows: pd.DataFrame, gate: float) -> None:
    radii, target = file["radii"][()], file["target_growth"][()]
    for slot, colour in _band_colours(rows):
        difference = _growths(file, rows, slot, "growth_after") - target
        axes.plot(radii, 100 * difference.T, color=colour, lw=0.5)
    for edge in (-gate, gate):
        axes.axhline(100 * edge, color="black", ls=":", lw=0.8)
    axes.set(xlabel="radius / target FWHM", ylabel="matched − target (%)", title="after matching")


def _draw_residuals(axes: Axes, rows: pd.DataFrame, gate: float) -> None:
    if rows.empty:
        axes.text(0.5, 0.5, "no PSF", ha="center", transform=axes.transAxes)
        return
    values = 100 * rows["residual"].clip(lower=1e-6)
    low, high = min(values.min(), 50 * gate), max(values.max(), 200 * gate)
    bins = np.geomspace(low, high, 25)
    bands = _band_colours(rows)
    axes.hist(
        [values[rows["band"] == slot] for slot, _ in bands],
        bins=bins.tolist(),
        weights=[rows.loc[rows["band"] == slot, "n_cutouts"] for slot, _ in bands],
        color=[colour for _, colour in bands],
        label=[slot for slot, _ in bands],
        stacked=True,
    )
    axes.axvline(100 * gate, color="black", ls=":", lw=0.8)
    unmatched = int((~rows["matched"]).sum())
    axes.set(
        xscale="log",
        xlabel="growth-curve residual (%)",
        ylabel="planes",
        title=f"{unmatched} of {len(rows)} PSFs over the gate",
    )
    axes.legend()
