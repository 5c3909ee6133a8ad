"""Table of the noise of matched images: pure noise through the whole chain, S/N of apertures.

Run `python tests/bench/noise.py [CUTOUTS]`. Sky noise of known variance goes from raw files to
16-bit cutouts; what comes back is divided by what the variance and `noise_corr` say.
"""

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from images_samples import GROUND, SPACE, run_chain, write_planes

from lenshunt.config import Grid, SplitConfig
from lenshunt.dataset import SPLITS, make_loader, make_splits, write_shards
from lenshunt.images import read_cutouts
from lenshunt.images.kernels import kernel_key
from lenshunt.images.photometry import (
    aperture_noise_correlation,
    aperture_weights,
    noise_autocorrelation,
)
from lenshunt.schema import SLOTS, RecordReader, read_metadata

#: Apertures: side of a box in pixels, or a name.
SHAPES = ("pixel", "3x3", "5x5", "2 arcsec", "arc", "21x21")
#: Distance in pixels between neighbouring places at which one shape is laid.
SPACING_PX = 7


@dataclass(frozen=True)
class Noise:
    """Pure-noise cutouts after the chain.

    image, variance : [n, band, y, x]; noise_corr [n, band]
    autocorrelation : of the noise of every cutout and band, [n, band] objects
    slots : bands that hold data
    """

    image: np.ndarray
    variance: np.ndarray
    noise_corr: np.ndarray
    autocorrelation: list[list[np.ndarray | None]]
    slots: list[int]
    grid: Grid


CASES = {
    "HSC grizy, no variance": {},
    "HSC grizy, variance": {"variance": "flat"},
    "HSC grizy, Poisson variance": {"variance": "varying"},
    "HSC grizy, variance, masked": {"variance": "flat", "masked": True},
    "HST r i, no variance": {"survey": "hst"},
    "HST r i, Poisson variance": {"survey": "hst", "variance": "varying"},
}


def noise_through_the_chain(
    folder: Path,
    n: int,
    survey: str = "hsc",
    variance: str | None = None,
    masked: bool = False,
    psf: np.ndarray | None = None,
    side: int | None = None,
    seed: int = 1,
) -> Noise:
    """n cutouts of noise (sigma 3 nJy, a sky level of 2 units) through every step of the chain.

    variance : none shipped; "flat"; "varying", rising tenfold towards the middle and with a slope
    masked : 1 % of the pixels, two columns and a disc have no data
    psf : [n, band, h, w] to be shipped
    """
    grid, bands = (SPACE, ("F606W", "F814W")) if survey == "hst" else (GROUND, tuple("grizy"))
    side = side or (180 if survey == "hst" else 80)
    rng = np.random.default_rng(seed)
    y, x = np.indices((side, side)) / (side - 1) - 0.5
    shape = np.ones((side, side))
    if variance == "varying":
        shape = 1 + 9 * np.exp(-np.hypot(y, x) / 0.15) + 0.8 * x
    truth = np.broadcast_to(9.0 * shape, (n, len(bands), side, side))
    planes = rng.normal(size=truth.shape) * np.sqrt(truth)
    if masked:
        planes[rng.uniform(size=planes.shape) < 0.01] = np.nan
        planes[..., side // 3 : side // 3 + 2] = np.nan
        planes[..., np.hypot(y + 0.2, x - 0.2) < 0.05] = np.nan
    dataset = write_planes(
        folder / "raw", planes, bands, survey, truth if variance else None, psf, sky=2.0
    )
    return read_noise(run_chain(dataset, folder, grid), grid)


def read_noise(paths: dict[str, str], grid: Grid) -> Noise:
    """What the chain has written, with the autocorrelation of the noise of each kernel."""
    parts = list(read_cutouts(paths["cutouts"], paths["table"]))
    table = pd.concat([part[2] for part in parts], ignore_index=True)
    flags = table[[f"band_flags_{slot}" for slot in SLOTS]].to_numpy().astype(bool)
    before = read_metadata(paths["metadata"])["pixel_scale"].to_numpy()
    ids = np.full(flags.shape, "", dtype=object)
    for rows, some in RecordReader(paths["pixels"], paths["metadata"]).psf_ids():
        ids[rows] = some
    known: dict[str, np.ndarray] = {}
    with h5py.File(paths["kernels"]) as file:
        for psf_id, scale in {(i, s) for row, s in zip(ids, before, strict=True) for i in row if i}:
            kernel = file[f"kernel/{kernel_key(psf_id, scale)}/kernel"][()]
            known[psf_id] = noise_autocorrelation(kernel, grid.pixel_scale_arcsec / scale)
    return Noise(
        image=np.concatenate([part[0] for part in parts]),
        variance=np.concatenate([part[1] for part in parts]),
        noise_corr=table[[f"noise_corr_{slot}" for slot in SLOTS]].to_numpy(),
        autocorrelation=[[known.get(i) for i in row] for row in ids],
        slots=[int(slot) for slot in np.flatnonzero(flags.any(axis=0))],
        grid=grid,
    )


def read_shards(folder: Path, noise: Noise) -> Noise:
    """The same noise as it comes out of the loader: write_shards of what the chain left in
    `folder`, batches of make_loader, in the order of the table."""
    chunk = (str(folder / "t.tif"), str(folder / "t.parquet"))
    splits, index = str(folder / "splits.parquet"), str(folder / "index.json")
    make_splits(metadata=[chunk[1]], config=SplitConfig(), seed=1, out=splits, search=True)
    write_shards(
        cutouts=[chunk],
        splits=splits,
        quality_threshold=0.0,
        drop_unmatched=False,
        folder=str(folder / "shards"),
        index=index,
    )
    batches = list(make_loader(indexes=[index], splits=SPLITS, batch_size=16))
    order = np.argsort(np.concatenate([batch["row"].numpy() for batch in batches]))
    image, variance, noise_corr = (
        np.concatenate([batch[name].numpy() for batch in batches])[order]
        for name in ("image", "variance", "noise_corr")
    )
    return replace(noise, image=image, variance=variance, noise_corr=noise_corr)


def shape_weights(shape: str, grid: Grid) -> np.ndarray:
    """Weights of the pixels of one of SHAPES, [h, w]."""
    if shape == "pixel":
        return np.ones((1, 1))
    if "x" in shape:
        return np.ones(2 * (int(shape.split("x")[0]),))
    if shape == "2 arcsec":
        radius = 1.0 / grid.pixel_scale_arcsec
        side = 2 * int(np.ceil(radius)) + 1
        return aperture_weights((side, side), radius).astype(float)
    # a quarter of a ring of 1.5 arcsec, as thin as the PSF lets it be: its matched filter
    fwhm = grid.psf_fwhm_arcsec / grid.pixel_scale_arcsec
    reach = int(1.5 / grid.pixel_scale_arcsec + fwhm)
    y, x = np.mgrid[: reach + 1, : reach + 1]
    ring = (np.hypot(y, x) - 1.5 / grid.pixel_scale_arcsec) / fwhm
    return np.exp(-4 * np.log(2) * ring**2)


@dataclass(frozen=True)
class Pulls:
    """Sums of one shape at many places / their noise, [places]: naive is without noise_corr."""

    naive: np.ndarray
    exact: np.ndarray
    with_noise_corr: np.ndarray
    factor: float
    noise_corr: float


def pulls(noise: Noise, shape: str) -> Pulls:
    """S/N of one shape laid on a lattice over every band of every cutout; masked places left out.

    naive = sum / sqrt(sum of variances), with_noise_corr = naive / sqrt(noise_corr) and exact with
    the correlation of exactly this shape.
    """
    weights = shape_weights(shape, noise.grid)
    naive, exact, broad, factors = [], [], [], []
    size = noise.image.shape[-1]
    at = [range(0, size - side + 1, max(side // 2, SPACING_PX)) for side in weights.shape]
    cached: dict[int, float] = {}
    for row in range(len(noise.image)):
        for slot in noise.slots:
            correlation = noise.autocorrelation[row][slot]
            assert correlation is not None
            if id(correlation) not in cached:
                cached[id(correlation)] = aperture_noise_correlation(weights, correlation)
            factor, image = cached[id(correlation)], noise.image[row, slot]
            for y in at[0]:
                for x in at[1]:
                    part = (slice(y, y + weights.shape[0]), slice(x, x + weights.shape[1]))
                    cut = noise.variance[row, slot][part]
                    if np.isfinite(cut).all():
                        total = (weights**2 * cut).sum()
                        pull = float((weights * image[part]).sum()) / np.sqrt(total)
                        naive.append(pull)
                        exact.append(pull / np.sqrt(factor))
                        broad.append(pull / np.sqrt(noise.noise_corr[row, slot]))
            factors.append(factor)
    corr = float(noise.noise_corr[:, noise.slots].mean())
    return Pulls(np.array(naive), np.array(exact), np.array(broad), float(np.mean(factors)), corr)


def variance_ratio(noise: Noise) -> np.ndarray:
    """Mean of image^2 / variance of each slot that holds data: 1 where variances are right."""
    with np.errstate(divide="ignore"):
        chi2 = np.where(np.isfinite(noise.variance), noise.image**2 / noise.variance, np.nan)
    return np.nanmean(chi2[:, noise.slots], axis=(0, 2, 3))


def chi2_scatter(noise: Noise) -> tuple[float, float]:
    """Scatter of the chi2 of whole planes about its mean / the mean: measured, expected.

    n pixels whose correlation is rho have the chi2 scatter sqrt(2 n sum rho^2).
    """
    measured, expected = [], []
    for slot in noise.slots:
        usable = np.isfinite(noise.variance[:, slot])
        ratio = np.where(usable, noise.image[:, slot] ** 2, 0) / np.where(
            usable, noise.variance[:, slot], 1
        )
        mean = ratio.sum(axis=(1, 2)) / usable.sum(axis=(1, 2))
        measured.append(mean.std() / mean.mean())
        rho = noise.autocorrelation[0][slot]
        assert rho is not None
        expected.append(np.sqrt(2 * (rho**2).sum() / usable.sum(axis=(1, 2)).mean()))
    return float(np.mean(measured)), float(np.mean(expected))


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    head = ("shape", "places", "factor", "noise_corr", "scatter exact", "scatter n_corr")
    for name, options in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            cutouts = n // 4 if options.get("survey") == "hst" else n
            noise = noise_through_the_chain(Path(folder), cutouts, **options)
        ratios = " ".join(f"{value:.4f}" for value in variance_ratio(noise))
        measured, expected = chi2_scatter(noise)
        print(f"\n{name}: empirical / stated variance per band {ratios}")
        print(f"scatter of chi2 of a plane {measured:.4f}, expected {expected:.4f}")
        print(*(f"{cell:>15s}" for cell in head), "  > 3 (> 5) sigma: expected, exact, ", end="")
        print("noise_corr, without it")
        for shape in SHAPES:
            one = pulls(noise, shape)
            counts = [
                f"{(p > 3).sum()} ({(p > 5).sum()})"
                for p in (one.exact, one.with_noise_corr, one.naive)
            ]
            cells = [shape, str(len(one.naive)), f"{one.factor:.2f}", f"{one.noise_corr:.2f}"]
            cells += [f"{one.exact.std():.3f}", f"{one.with_noise_corr.std():.3f}"]
            expect = len(one.naive) * norm.sf(3)
            print(*(f"{cell:>15s}" for cell in cells), f"  {expect:.1f}", *counts, sep=" ")


if __name__ == "__main__":
    main()
