"""Table of flux recovered through the whole chain against the flux put in, by kind of source.

Run `python tests/bench/photometry.py [CUTOUTS]`. Sources of known flux, PSF-convolved, go as raw
files (HSC counts, HST ELECTRONS with PHOTFLAM) through every step to 16-bit cutouts; apertures on
those are compared with the same source drawn with the target PSF on the grid. Then the same for
the real HSC stamps of the public samples, where they exist (see `stamp_photometry`).
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import fftconvolve
from scipy.special import gamma, gammaincinv

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from images_samples import GROUND, SPACE, run_chain, write_castles, write_planes
from stamp_photometry import print_tables

from lenshunt.core import ROOT
from lenshunt.core.moffat import moffat_alpha, moffat_profile, moffat_psf
from lenshunt.images import aperture_photometry, read_cutouts
from lenshunt.schema import SLOTS, survey_named

#: Pixels drawn per pixel and axis.
OVERSAMPLING = 3
SIGMA_NJY = {"hsc": 3.0, "hst": 0.3}


@dataclass(frozen=True)
class Source:
    """A Sersic galaxy, or a point where the half-light radius is 0; fluxes in nJy.

    castles : whether the raw files are SCI and ERR of the reader `castles`, not of `cutouts`
    """

    survey: str
    flux: float
    half_light_arcsec: float = 0.0
    index: float = 1.0
    axis_ratio: float = 0.7
    neighbours: bool = False
    gradient: bool = False
    castles: bool = False


#: name: source. 1e5 nJy are 18.9 mag, 1e4 21.4 mag, 2e3 23.1 mag.
CASES = {
    "HSC point 1e5 nJy": Source("hsc", 1e5),
    "HSC point 1e4 nJy": Source("hsc", 1e4),
    "HSC point 2e3 nJy": Source("hsc", 2e3),
    "HSC point 1e4, neighbours": Source("hsc", 1e4, neighbours=True),
    "HSC point 1e4, gradient": Source("hsc", 1e4, gradient=True),
    "HSC n=1 0.5 arcsec 1e4": Source("hsc", 1e4, 0.5, 1),
    "HSC n=4 0.8 arcsec 3e4": Source("hsc", 3e4, 0.8, 4),
    "HSC n=1 1.5 arcsec 1e5": Source("hsc", 1e5, 1.5, 1),
    "HSC n=4 1.5 arcsec 1e5": Source("hsc", 1e5, 1.5, 4),
    "HSC n=1 3 arcsec 1e5": Source("hsc", 1e5, 3.0, 1),
    "HST point 1e4": Source("hst", 1e4),
    "HST point 500": Source("hst", 500),
    "HST n=1 0.4 arcsec 1e4": Source("hst", 1e4, 0.4, 1),
    "HST n=4 0.5 arcsec 1e4, gradient": Source("hst", 1e4, 0.5, 4, gradient=True),
    "HST n=1 0.4 arcsec 1e4, neighbours": Source("hst", 1e4, 0.4, 1, neighbours=True),
    "CASTLES point 1e4": Source("hst", 1e4, castles=True),
    "CASTLES n=1 0.4 arcsec 1e4": Source("hst", 1e4, 0.4, 1, castles=True),
    "CASTLES n=4 0.5 arcsec 1e4": Source("hst", 1e4, 0.5, 4, castles=True),
}


def draw(source: Source, fwhm_arcsec: float, beta: float, scale: float, side: int) -> np.ndarray:
    """Flux per pixel [side, side] of the source with a Moffat PSF, centred, nJy."""
    fine, n = scale / OVERSAMPLING, OVERSAMPLING * (2 * side + 1)
    psf = moffat_psf(fwhm_arcsec, beta, fine, n - 1 + n % 2).astype(float)
    offset = (np.arange(OVERSAMPLING * side) - (OVERSAMPLING * side - 1) / 2) * fine
    y, x = np.meshgrid(offset, offset, indexing="ij")
    if source.half_light_arcsec == 0:
        alpha = moffat_alpha(fwhm_arcsec, beta)
        light = moffat_profile(y**2 + x**2, alpha, beta) * fine**2
        light *= (beta - 1) / (np.pi * alpha**2)
    else:
        power = gammaincinv(2 * source.index, 0.5)
        radius = np.hypot(y * np.sqrt(source.axis_ratio), x / np.sqrt(source.axis_ratio))
        profile = np.exp(-power * (radius / source.half_light_arcsec) ** (1 / source.index))
        area = 2 * np.pi * source.index * source.half_light_arcsec**2
        total = area * power ** (-2 * source.index) * gamma(2 * source.index)
        light = fftconvolve(profile / total * fine**2, psf / psf.sum(), mode="same")
    # the PSF is the effective one: pixel values are samples, not integrals
    middle = light[OVERSAMPLING // 2 :: OVERSAMPLING, OVERSAMPLING // 2 :: OVERSAMPLING]
    return source.flux * middle * OVERSAMPLING**2


@dataclass(frozen=True)
class Recovered:
    """Measured / expected - 1 of the flux in an aperture: mean, its error, expected S/N."""

    bias: float
    error: float
    snr: float


def recover(
    source: Source, folder: Path, n: int, diameter_arcsec: float = 3.0, seed: int = 1
) -> Recovered:
    """Flux of n noisy images of a source after the chain, in an aperture about the centre."""
    hst = source.survey == "hst"
    grid, bands, side = (SPACE, ("F814W",), 180) if hst else (GROUND, ("r", "i"), 80)
    survey, rng = survey_named(source.survey), np.random.default_rng(seed)
    scale, sigma = survey.pixel_scale_arcsec, SIGMA_NJY[source.survey]
    planes = np.empty((n, len(bands), side, side))
    for band, name in enumerate(bands):
        fwhm = survey.psf_fwhm_arcsec.get(name, survey.psf_fwhm_arcsec["default"])
        clean = draw(source, fwhm, survey.moffat_beta, scale, side)
        planes[:, band] = clean + rng.normal(0, sigma, (n, side, side))
        if source.neighbours:
            other = draw(
                Source(source.survey, source.flux / 2), fwhm, survey.moffat_beta, scale, side
            )
            for shift in ((0.36, -0.3), (-0.4, -0.1)):
                at = [round(part * side) for part in shift]
                planes[:, band] += np.roll(other, at, axis=(0, 1))
    if source.gradient:
        planes += sigma * np.linspace(-1, 1, side)
    if source.castles:
        dataset = write_castles(folder / "raw", planes[:, 0], sigma, sky=1.0)
    else:
        dataset = write_planes(folder / "raw", planes, bands, source.survey, sky=1.0)
    paths = run_chain(dataset, folder, grid)
    parts = list(read_cutouts(paths["cutouts"], paths["table"]))
    slots = [SLOTS.index("i")] if hst else [SLOTS.index(name) for name in bands]
    image = np.concatenate([part[0] for part in parts])[:, slots]
    variance = np.concatenate([part[1] for part in parts])[:, slots]
    pixel = grid.pixel_scale_arcsec
    target = draw(source, grid.psf_fwhm_arcsec, grid.moffat_beta, pixel, grid.size_px)[None]
    if source.neighbours:
        other = Source(source.survey, source.flux / 2)
        grown = draw(other, grid.psf_fwhm_arcsec, grid.moffat_beta, pixel, 3 * grid.size_px)
        for shift in ((0.36, -0.3), (-0.4, -0.1)):
            start = [grid.size_px - round(round(part * side) * scale / pixel) for part in shift]
            cut = tuple(slice(s, s + grid.size_px) for s in start)
            target = target + grown[cut]
    expected, _ = aperture_photometry(target, np.ones_like(target), pixel, 1.0, diameter_arcsec)
    flux, _ = aperture_photometry(image, variance, pixel, 1.0, diameter_arcsec)
    ratio = (flux / expected[0] - 1).ravel()
    return Recovered(
        bias=float(np.mean(ratio)),
        error=float(np.std(ratio) / np.sqrt(len(ratio))),
        snr=float(1 / np.std(ratio)),
    )


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    print(f"{'flux in a 3 arcsec aperture, measured / true - 1':40s}  bias +- error (%)   S/N")
    for name, source in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            one = recover(source, Path(folder), n // 2 if source.survey == "hst" else n)
        print(
            f"{name:48s} {100 * one.bias:7.3f} +- {100 * one.error:.3f} {one.snr:8.0f}", flush=True
        )
    stamps = ROOT.parent / "shared" / "data" / "hsc_stamps"
    if stamps.is_dir():
        with tempfile.TemporaryDirectory() as folder:
            print_tables(stamps, Path(folder))


if __name__ == "__main__":
    main()
