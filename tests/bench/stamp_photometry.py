"""Aperture photometry of real HSC stamps after the chain: against the raw pixels, against truth.

Every stamp is cut about its brightest and its injected objects, goes through prepare, homogenise
and the 16-bit file, and is compared with the whole raw stamp convolved by astropy in float64.
`python tests/bench/photometry.py` prints the tables.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from astropy.convolution import convolve_fft
from photutils.aperture import CircularAperture
from scipy.ndimage import maximum_filter

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from images_samples import GROUND, SCALE, run_chain

from lenshunt.config import StampsDataset
from lenshunt.images import growth_curve, read_cutouts, target_psf
from lenshunt.images.kernels import kernel_key
from lenshunt.schema import SLOTS, RecordReader, njy_from_magnitude, njy_per_count, survey_named

#: Half of the sides of the crops, in pixels: the grid's 64, its kernels, and the least of use.
REACH_PX = (20, 56)
DIAMETERS_ARCSEC = (1.5, 2.0, 3.0, 5.0, 10.0)
#: BAD, SAT, EDGE and NO_DATA of afw, what the reader takes for unusable.
UNUSABLE = 1 | 2 | 16 | 256


@dataclass(frozen=True)
class Target:
    """One object of a stamp.

    magnitudes : injected AB magnitudes g r i z y, NaN where the object is none
    kind : brightest, star or galaxy; alone_px : distance to the next peak
    """

    stamp: Path
    x: int
    y: int
    kind: str
    magnitudes: np.ndarray
    alone_px: float


def targets_of(path: Path) -> list[Target]:
    """The injected objects of a stamp, and its brightest peak where that is none of them."""
    with np.load(path) as file:
        found, peaks, image = file["matched"], file["centers"], file["images"][2]
    brightest = peaks[np.argmax([image[y, x] for y, x in peaks])]
    listed = {
        (round(m["x"]), round(m["y"])): (
            m["sourceType"].decode(),
            np.array([m[f"{band}magVar"] for band in SLOTS], float),
        )
        for m in found
    }
    listed.setdefault((brightest[1], brightest[0]), ("brightest", np.full(len(SLOTS), np.nan)))
    out = []
    for (x, y), (kind, magnitudes) in listed.items():
        apart = np.hypot(peaks[:, 1] - x, peaks[:, 0] - y)
        out.append(Target(path, x, y, kind, magnitudes, float(apart[apart > 2].min())))
    return out


def write_crops(stamps: Path, folder: Path) -> list[Target]:
    """One NPZ per target, its pixel right of the middle; targets in the order of the files."""
    folder.mkdir(parents=True)
    kept: list[Target] = []
    for path in sorted(stamps.glob("*.npz")):
        with np.load(path) as file:
            arrays = {key: file[key] for key in ("images", "variance", "mask", "psfs")}
        height, width = arrays["images"].shape[1:]
        for target in targets_of(path):
            x, y = target.x, target.y
            reach = min(x, y, width - 1 - x, height - 1 - y, REACH_PX[1])
            if reach < REACH_PX[0]:
                continue
            # even sides, as the grid's, so that pixels of the crop are pixels of the grid
            part = (slice(None), slice(y - reach, y + reach), slice(x - reach, x + reach))
            crop = {key: arrays[key][part] for key in ("images", "variance", "mask")}
            np.savez(folder / f"{len(kept):03d}.npz", psfs=arrays["psfs"], **crop)
            kept.append(target)
    return kept


def stamp_fluxes(stamps: Path, folder: Path) -> pd.DataFrame:
    """Fluxes in nJy of every target, band and aperture that lies on usable pixels of the grid.

    Columns: number, kind, band, alone_px, diameter, magnitude (injected), error, ours (after the
    chain), reference (raw, the sky level that the chain took off subtracted, convolved by
    astropy), raw (the same, not convolved), coadd (reference with the sky that the coadd has).
    """
    targets = write_crops(stamps, folder / "stamps")
    dataset = StampsDataset(
        reader="stamps", images=[str(folder / "stamps/*.npz")], survey="hsc",
        role="search", grids=["any"],
    )  # fmt: skip
    paths = run_chain(dataset, folder, GROUND)
    rows: list[dict] = []
    prepared = {}
    for batch in RecordReader(paths["pixels"], paths["metadata"]).batches():
        for index, row in enumerate(batch.row):
            prepared[row] = (batch.image[index], batch.variance[index], batch.psf_id[index])
    count = 0
    with h5py.File(paths["kernels"]) as kernels:
        for image, variance, _ in read_cutouts(paths["cutouts"], paths["table"]):
            for pixels, spread in zip(image, variance, strict=True):
                record = prepared[count]
                for band in range(len(SLOTS)):
                    key = kernel_key(record[2][band], SCALE)
                    kernel = kernels[f"kernel/{key}/kernel"][()].astype(float)
                    planes = _planes(targets[count], folder / f"stamps/{count:03d}.npz", band)
                    level = float(np.median((planes.crop - record[0][band])[~planes.crop_bad]))
                    for one in _apertures(planes, level, kernel, pixels[band], spread[band]):
                        rows.append({"number": count, "band": SLOTS[band], **one})
                count += 1
    table = pd.DataFrame(rows)
    of = [targets[number] for number in table["number"]]
    return table.assign(
        kind=[target.kind for target in of],
        alone_px=[target.alone_px for target in of],
        magnitude=[
            target.magnitudes[SLOTS.index(band)]
            for target, band in zip(of, table["band"], strict=True)
        ],
    )


@dataclass(frozen=True)
class _Planes:
    """One band of a whole raw stamp and of the crop, nJy; where they are unusable; the target."""

    raw: np.ndarray
    bad: np.ndarray
    variance: np.ndarray
    crop: np.ndarray
    crop_bad: np.ndarray
    at: tuple[int, int]


def _planes(target: Target, crop: Path, band: int) -> _Planes:
    unit = njy_per_count(survey_named("hsc").zero_point(SLOTS[band]))
    with np.load(target.stamp) as file, np.load(crop) as part:
        return _Planes(
            file["images"][band].astype(float) * unit,
            _unusable(file["mask"], band),
            file["variance"][band].astype(float) * unit**2,
            part["images"][band].astype(float) * unit,
            _unusable(part["mask"], band),
            (target.x, target.y),
        )


def _unusable(mask: np.ndarray, band: int) -> np.ndarray:
    return ((mask if mask.ndim == 2 else mask[band]) & UNUSABLE) != 0


def _apertures(
    planes: _Planes, level: float, kernel: np.ndarray, ours: np.ndarray, spread: np.ndarray
) -> list[dict]:
    """Fluxes in every aperture whose pixels are all usable, in our grid and within the stamp."""
    sky_free = planes.raw - level
    convolved = convolve_fft(
        sky_free, kernel, boundary="fill", fill_value=0.0, normalize_kernel=False,
        nan_treatment="fill",
    )  # fmt: skip
    # pixels within 12 of a masked one hold light that was put in its place
    near_bad = maximum_filter(planes.bad, 25)
    middle = (ours.shape[1] / 2, ours.shape[0] / 2)
    out = []
    for diameter in DIAMETERS_ARCSEC:
        radius = diameter / 2 / SCALE
        there = CircularAperture(planes.at, radius)
        here = CircularAperture(middle, radius * SCALE / GROUND.pixel_scale_arcsec)
        whole = there.do_photometry(np.ones_like(planes.raw))[0][0] > 0.9999 * there.area
        hidden = here.do_photometry((~np.isfinite(spread)).astype(float))[0][0]
        masked = there.do_photometry(near_bad.astype(float))[0][0]
        if not whole or hidden > 0 or masked > 0:
            continue
        flux = there.do_photometry(convolved)[0][0]
        out.append(
            {
                "diameter": diameter,
                "ours": here.do_photometry(ours.astype(float))[0][0],
                "reference": flux,
                "raw": there.do_photometry(sky_free)[0][0],
                "coadd": flux + level * kernel.sum() * there.area,
                "error": float(np.sqrt(there.do_photometry(planes.variance)[0][0])),
            }
        )
    return out


def weighted(ratio: np.ndarray, snr: np.ndarray) -> tuple[float, float]:
    """Mean of flux ratios with weights S/N^2, and its error from their weighted scatter."""
    weight = snr**2 / (snr**2).sum()
    mean = float((weight * ratio).sum())
    return mean, float(np.sqrt((weight**2 * (ratio - mean) ** 2).sum()))


def against(table: pd.DataFrame, column: str, snr_min: float = 20.0) -> pd.DataFrame:
    """Per aperture: number, weighted mean and error, median and robust scatter of ours / column - 1
    of the fluxes of at least `snr_min`."""
    bright = table[table["reference"] > snr_min * table["error"]]
    rows = []
    for diameter, part in bright.groupby("diameter"):
        ratio = (part["ours"] / part[column] - 1).to_numpy()
        mean, error = weighted(ratio, (part["reference"] / part["error"]).to_numpy())
        scatter = 1.4826 * np.median(np.abs(ratio - np.median(ratio)))
        worst = np.abs(ratio).max()
        rows.append((diameter, len(part), mean, error, np.median(ratio), scatter, worst))
    names = ("diameter", "n", "mean", "error", "median", "scatter", "worst")
    return pd.DataFrame(rows, columns=names)


def against_injected(table: pd.DataFrame, diameter: float = 3.0, alone_px: float = 12.0):
    """Measured - injected magnitude of stars without a peak within `alone_px`, one row per star
    and band; the light of the target PSF outside the aperture is added."""
    radius = np.array([diameter / 2 / GROUND.pixel_scale_arcsec])
    inside = growth_curve(target_psf(GROUND), radius)[0]
    part = table[(table["diameter"] == diameter) & (table["kind"] == "star")]
    part = part[part["alone_px"] >= alone_px]
    flux = part["ours"] / inside / njy_from_magnitude(part["magnitude"].to_numpy())
    return part.assign(offset=-2.5 * np.log10(flux.where(flux > 0)))


def print_tables(stamps: Path, folder: Path) -> None:
    """Both comparisons, as tables of per cent and magnitudes."""
    table = stamp_fluxes(stamps, folder)
    text = {"reference": "convolved by astropy, same sky", "raw": "not convolved, same sky",
            "coadd": "convolved by astropy, sky of the coadd"}  # fmt: skip
    for column, words in text.items():
        print(f"\nreal HSC stamps, S/N > 20: flux after the chain / raw {words} - 1, per cent")
        percent = against(table, column)
        percent.iloc[:, 2:] *= 100
        print(percent.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    print("\ninjected stars without neighbours within 2 arcsec, 3 arcsec: measured - true, mag")
    stars = against_injected(table)
    for low, high in ((15, 18), (18, 20), (20, 22), (22, 24), (24, 28)):
        one = stars["offset"][stars["magnitude"].between(low, high)]
        if len(one):
            spread = 1.4826 * (one - one.median()).abs().median()
            print(f"{low}-{high} mag: {len(one):3d}  median {one.median():+.3f}  {spread:.3f}")
