"""Table of 16-bit schemes: rounding error against pixel sigma on made and real cutouts.

Run `python tests/bench/rounding.py [FOLDER]`; FOLDER holds public samples (`hsc_stamps`,
`hst_lenses`); by default those beside the checkout, where they exist.
"""

import sys
from pathlib import Path

import h5py
import numpy as np
from rounding_schemes import rounding_table

from lenshunt.core import ROOT

Planes = tuple[np.ndarray, np.ndarray]


def made(peak_snr: float, poisson: bool, n: int = 20) -> Planes:
    """Exponential galaxies of peak S/N `peak_snr` per pixel in unit sky noise, [n, 64, 64].

    poisson : whether the variance holds the galaxy's own noise too (variance 1 + signal / 10)
    """
    rng = np.random.default_rng(int(peak_snr))
    light = np.exp(-np.hypot(*(np.indices((64, 64)) - 31.5)) / 4)
    # peak S/N = signal / sqrt(1 + signal / 10)
    signal = peak_snr**2 / 20 + np.sqrt((peak_snr**2 / 20) ** 2 + peak_snr**2)
    signal = (signal if poisson else peak_snr) * light
    variance = 1 + signal / 10 if poisson else np.ones_like(signal)
    image = signal + rng.normal(size=(n, 64, 64)) * np.sqrt(variance)
    return image.astype(np.float32), np.broadcast_to(variance, image.shape).astype(np.float32)


def hsc_stamps(folder: Path) -> Planes:
    """Central 62 px of the r and i planes of every stamp with its variance, [54, 62, 62]."""
    image, variance = [], []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            height, width = file["images"].shape[1:]
            y, x = (height - 62) // 2, (width - 62) // 2
            part = (slice(1, 3), slice(y, y + 62), slice(x, x + 62))
            image.append(file["images"][part])
            variance.append(file["variance"][part])
    planes, noise = np.concatenate(image), np.concatenate(variance)
    return planes, np.where(noise > 0, noise, np.inf).astype(np.float32)


def hst_lenses(folder: Path) -> Planes:
    """Central 120 px of every HST lens; variance of sky and source, [7, 120, 120]."""
    image, variance = [], []
    for path in sorted(folder.glob("image_*.h5")):
        with h5py.File(path) as file:
            rate, seconds = file["image_data"][:], file["exposure_time"][()]
            noise = float(file["background_rms"][()]) ** 2 + np.clip(rate, 0, None) / seconds
        middle = tuple(slice((side - 120) // 2, (side + 120) // 2) for side in rate.shape)
        image.append(rate[middle])
        variance.append(noise[middle])
    return np.array(image, np.float32), np.array(variance, np.float32)


def samples(folder: Path) -> dict[str, Planes]:
    """Made planes, and the real ones that lie in `folder`."""
    known = {
        "arcs of S/N 1-5": made(5, poisson=False),
        "galaxy, peak S/N 500, Poisson": made(500, poisson=True),
        "galaxy, peak S/N 2e4, sky variance": made(2e4, poisson=False),
    }
    if (folder / "hsc_stamps").is_dir():
        known["HSC stamps (real)"] = hsc_stamps(folder / "hsc_stamps")
    if (folder / "hst_lenses").is_dir():
        known["HST lenses (real)"] = hst_lenses(folder / "hst_lenses")
    return known


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data"
    table = rounding_table(samples(folder))
    for name, part in table.groupby("sample", sort=False):
        print(f"\n{name}: largest (rms) error per pixel in units of its own sigma")
        columns = list(part["class"].unique())
        print(f"{'scheme':30s}", *(f"{c:>18s}" for c in [*columns, "5x5 box", "B/px zlib"]))
        for scheme, rows in part.groupby("scheme", sort=False):
            by_class = rows.set_index("class")
            cells = [
                f"{by_class['max_error'][c]:.3g} ({by_class['rms_error'][c]:.2g})" for c in columns
            ]
            cells += [f"{rows['box_error'].iloc[0]:.3g}"]
            cells += [f"{rows['zlib_bytes_per_pixel'].iloc[0]:.2f}"]
            print(f"{scheme:30s}", *(f"{cell:>18s}" for cell in cells))


if __name__ == "__main__":
    main()
