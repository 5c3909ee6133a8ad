"""PSF matching of a data set: growth curves before and after, residuals per band."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lenshunt.images.kernels import kernel_key
from lenshunt.reporting.figures.style import COLOURS, PAGE_INCHES, paper_style, save
from lenshunt.schema import SLOTS

#: Growth curves drawn per band; more would only blacken the figure.
CURVES_MAX = 40
#: Differences below this fraction are drawn on a linear scale, those above on a logarithmic one.
LINEAR_BELOW = 0.001
#: Second mark of a band beside its colour, for prints in grey and any colour vision.
DASHES = ("-", (0, (5, 1)), (0, (1, 1)), (0, (4, 1, 1, 1)), (0, (2, 1)))
HATCHES = ("", "////", "....", "xxxx", "----")


def draw_psf_qa(*, kernels: str, table: str, out: str) -> None:
    """Growth curves and residual histogram of the PSFs of one data set on one grid.

    kernels, table : HDF5 and CSV of `make_kernels`
    out : PDF; a PNG of the same name is written beside it
    """
    rows = pd.read_csv(table, keep_default_na=False)
    with paper_style(), h5py.File(kernels) as file:
        figure = Figure(figsize=(PAGE_INCHES, 2.8))
        before, after, residuals = figure.subplots(1, 3)
        target_fwhm, gate = file.attrs["target_fwhm_arcsec"], file.attrs["residual_max"]
        _draw_growth(before, file, rows, float(target_fwhm))
        _draw_difference(after, file, rows, float(gate))
        _draw_residuals(residuals, rows, float(gate))
        name = ", ".join(sorted(rows["dataset"].unique())) if len(rows) else Path(table).stem
        figure.suptitle(_title(name, rows, float(target_fwhm)), fontsize=8)
        save(figure, out)


def _title(name: str, rows: pd.DataFrame, target_fwhm: float) -> str:
    if rows.empty:
        return f"{name}: no PSF"
    widths, gain = rows["fwhm_arcsec"], rows["noise_corr"]
    sources = ", ".join(sorted(set(";".join(rows["psf_source"]).split(";"))))
    return (
        f"{name}: {rows['psf_id'].nunique()} PSFs ({sources}) of {widths.min():.2f}–"
        f"{widths.max():.2f}″ matched to {target_fwhm:g}″; noise correlation "
        f"{gain.min():.1f}–{gain.max():.1f}"
    )


def _bands(rows: pd.DataFrame) -> list[tuple[str, str, int]]:
    """Slot, colour and number of each band with PSFs."""
    return [
        (slot, COLOURS[number], number)
        for number, slot in enumerate(SLOTS)
        if (rows["band"] == slot).any()
    ]


def _growths(file: h5py.File, rows: pd.DataFrame, slot: str, name: str) -> np.ndarray:
    """Growth curves [n, r] of the PSFs of one band, at most CURVES_MAX, evenly picked.

    The broadest and the worst matched are among them.
    """
    part = rows[rows["band"] == slot].sort_values("residual")
    pick = np.unique(np.linspace(0, len(part) - 1, min(len(part), CURVES_MAX)).astype(int))
    pick = np.union1d(pick, int(np.argmax(part["fwhm_arcsec"])))
    part = part.iloc[pick]
    keys = map(kernel_key, part["psf_id"], part["pixel_scale_arcsec"])
    return np.stack([file[f"kernel/{key}/{name}"][()] for key in keys])


def _draw_growth(axes: Axes, file: h5py.File, rows: pd.DataFrame, target_fwhm: float) -> None:
    radii = file["radii"][()]
    for slot, colour, number in _bands(rows):
        curves = _growths(file, rows, slot, "growth_before").T
        axes.plot(radii, curves, color=colour, ls=DASHES[number], lw=0.6)
        width = rows.loc[rows["band"] == slot, "fwhm_arcsec"].median()
        axes.plot([], [], color=colour, ls=DASHES[number], label=f"{slot}  {width:.2f}″")
    axes.plot(radii, file["target_growth"][()], color="black", lw=1.4, ls="--", label="target")
    axes.set(ylabel="enclosed flux", title="before matching")
    axes.set_xlabel(f"radius / target FWHM ({target_fwhm:g}″)")
    axes.set_ylim(0, 1.02)
    axes.set_xlim(0.2, 3.05)
    axes.legend(title="median FWHM" if len(rows) else None, title_fontsize=7, loc="lower right")


def _draw_difference(axes: Axes, file: h5py.File, rows: pd.DataFrame, gate: float) -> None:
    radii, target = file["radii"][()], file["target_growth"][()]
    largest = 2 * gate
    for slot, colour, number in _bands(rows):
        difference = _growths(file, rows, slot, "growth_after") - target
        largest = max(largest, 1.2 * float(np.abs(difference).max()))
        axes.plot(radii, 100 * difference.T, color=colour, ls=DASHES[number], lw=0.6)
    axes.axhline(0.0, color="black", lw=0.5)
    axes.axhspan(-100 * gate, 100 * gate, color="black", alpha=0.06, lw=0)
    for edge in (-gate, gate):
        axes.axhline(100 * edge, color="black", ls=":", lw=0.8)
    axes.set_yscale("symlog", linthresh=100 * LINEAR_BELOW, linscale=1.0)
    axes.set_ylim(-100 * largest, 100 * largest)
    axes.set_xlim(0.2, 3.05)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set(xlabel="radius / target FWHM", ylabel="matched − target (% of flux)")
    axes.set_title("after matching")
    axes.text(3.0, 100 * gate, f"gate {gate:.0%}", ha="right", va="bottom", fontsize=6)


def _draw_residuals(axes: Axes, rows: pd.DataFrame, gate: float) -> None:
    if rows.empty:
        axes.text(0.5, 0.5, "no PSF", ha="center", transform=axes.transAxes)
        return
    values = 100 * rows["residual"].clip(lower=1e-6)
    before = 100 * rows["residual_before"].clip(lower=1e-6)
    low, high = min(values.min(), 5 * gate), max(before.max(), values.max(), 200 * gate)
    bins = np.geomspace(0.8 * low, 1.2 * high, 28)
    bands = _bands(rows)
    members = [rows["band"] == slot for slot, _, _ in bands]
    axes.hist(
        [values[chosen] for chosen in members],
        bins=bins.tolist(),
        weights=[rows.loc[chosen, "n_cutouts"] for chosen in members],
        color=[colour for _, colour, _ in bands],
        label=[slot for slot, _, _ in bands],
        hatch=[HATCHES[number] for _, _, number in bands],
        edgecolor="white",
        linewidth=0.3,
        stacked=True,
    )
    axes.hist(
        before, bins=bins.tolist(), weights=rows["n_cutouts"], histtype="step", color="0.4",
        label="before",
    )  # fmt: skip
    axes.axvline(100 * gate, color="black", ls=":", lw=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    missed = rows[~rows["matched"].astype(bool)]
    text = f"{len(missed)} of {len(rows)} PSFs miss the gate"
    axes.set(xlabel="largest growth-curve difference (%)", ylabel="cutouts × bands", title=text)
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(ncols=3, loc="upper center", columnspacing=1.0, handlelength=1.5)
