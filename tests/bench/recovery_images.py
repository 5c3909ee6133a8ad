"""Images for recovery.py: noisy lenses, and rings and spirals of the same sizes and S/N."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from lens_systems import draw_systems

from lenshunt.core.moffat import moffat_psf
from lenshunt.lensing import PARAMETERS, PixelGrid, PsfTransform, psf_transform, render_batch
from lenshunt.lensing.psf_convolution import convolve

AT = {name: i for i, name in enumerate(PARAMETERS)}
#: Parameters whose scatter is relative.
LOGARITHMIC = ("theta_e", "lens_radius", "lens_sersic", "source_radius", "source_sersic")


@dataclass(frozen=True)
class Setting:
    """Pixels and seeing (FWHM in arcsec per band, Moffat of beta 3)."""

    name: str
    grid: PixelGrid
    fwhm_arcsec: tuple[float, ...]

    def psf(self) -> PsfTransform:
        scale = self.grid.pixel_scale_arcsec
        psfs = [torch.tensor(moffat_psf(fwhm, 3.0, scale, 21)) for fwhm in self.fwhm_arcsec]
        return psf_transform(torch.stack(psfs), self.grid.size_px)


#: Two bands as g and i: from the ground with the pixels of HSC, and from space.
SETTINGS = {
    "ground": Setting("ground", PixelGrid(48, 0.168), (0.8, 0.6)),
    "space": Setting("space", PixelGrid(64, 0.08), (0.2, 0.2)),
}


@dataclass(frozen=True)
class Images:
    """Images [n, band, y, x], noisy and clean, their variance, S/N of the arcs (or arms) [n]."""

    image: torch.Tensor
    clean: torch.Tensor
    variance: torch.Tensor
    snr: torch.Tensor


def draw_lenses(rng: np.random.Generator, n: int) -> torch.Tensor:
    """Isothermal lenses [n, p] whose arcs lie inside the image: theta_E 0.6-1.8 arcsec."""
    params = torch.tensor(draw_systems(rng, n)).float()
    params[:, AT["theta_e"]] = torch.tensor(rng.uniform(0.6, 1.8, n)).float()
    params[:, AT["slope"]] = 2.0
    for axis in "xy":
        # the mass lies where the light is, within the scatter drawn
        params[:, AT[f"mass_{axis}"]] += params[:, AT[f"lens_{axis}"]]
    return params


def perturbed(rng: np.random.Generator, params: torch.Tensor) -> torch.Tensor:
    """A start as a network might give: theta_E off by 15 %, centres by 0.05-0.1 arcsec, etc."""
    start = params.clone()
    for name, column in AT.items():
        draw = torch.tensor(rng.normal(size=len(params))).float()
        if name in LOGARITHMIC:
            start[:, column] *= torch.exp((0.15 if name == "theta_e" else 0.3) * draw)
        elif name != "slope":
            start[:, column] += draw * (0.1 if name.startswith("source") else 0.05)
    return start


def observe(rng: np.random.Generator, lens: torch.Tensor, other: torch.Tensor) -> Images:
    """Noise of unit variance on a lens of S/N 100-300 and on `other` of S/N 4-150 (log-uniform).

    lens, other : [n, band, y, x] shapes
    """
    n = len(lens)
    colour = torch.tensor(np.stack([rng.uniform(0.15, 0.4, n), np.ones(n)], 1)).float()
    blue = torch.tensor(np.stack([rng.uniform(0.5, 1.5, n), np.ones(n)], 1)).float()
    snr = torch.tensor(np.exp(rng.uniform(np.log(4), np.log(150), n))).float()
    lens_snr = torch.tensor(rng.uniform(100, 300, n)).float()
    clean = _of_snr(lens * colour[..., None, None], lens_snr)
    clean = clean + _of_snr(other * blue[..., None, None], snr)
    noise = torch.tensor(rng.normal(size=clean.shape)).float()
    return Images(clean + noise, clean, torch.ones_like(clean), snr)


def _of_snr(shape: torch.Tensor, snr: torch.Tensor) -> torch.Tensor:
    return shape * (snr / shape.square().sum((1, 2, 3)).sqrt())[:, None, None, None]


def observe_lenses(
    rng: np.random.Generator, n: int, setting: Setting, psf: PsfTransform
) -> tuple[torch.Tensor, Images]:
    """True parameters [n, p] and images of n lenses."""
    truth = draw_lenses(rng, n)
    shapes = render_batch(truth, setting.grid, psf)
    return truth, observe(rng, shapes[:, :, 0], shapes[:, :, 1])


def observe_both(
    rng: np.random.Generator, n: int, setting: Setting, psf: PsfTransform
) -> tuple[np.ndarray, Images]:
    """Labels [2 n] and images of n lenses, then n rings and spirals around like galaxies."""
    shapes = render_batch(draw_lenses(rng, 2 * n), setting.grid, psf)
    other = torch.cat([shapes[:n, :, 1], draw_impostors(rng, n, setting, psf)])
    return np.repeat([1, 0], n), observe(rng, shapes[:, :, 0], other)


def draw_impostors(
    rng: np.random.Generator, n: int, setting: Setting, psf: PsfTransform
) -> torch.Tensor:
    """Rings (even rows) and two-armed spirals (odd rows) with knots, [n, band, y, x].

    A ring has a Gaussian profile; arms are logarithmic, of pitch 10-35 degrees, on an exponential
    disk. Knots are five azimuthal harmonics of random phase that multiply the light. Their radii
    are those of the lenses' arcs.
    """
    x, y = (axis[0].numpy() for axis in setting.grid.rays())
    fine = []
    for i in range(n):
        turn, q, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.55, 1), rng.uniform(0.6, 1.8)
        u = (x * np.cos(turn) + y * np.sin(turn)) * np.sqrt(q)
        v = (y * np.cos(turn) - x * np.sin(turn)) / np.sqrt(q)
        radius, azimuth = np.hypot(u, v) + 1e-3, np.arctan2(v, u)
        if i % 2 == 0:
            light = np.exp(-0.5 * ((radius / size - 1) / rng.uniform(0.1, 0.3)) ** 2)
        else:
            phase = 2 * (
                azimuth * rng.choice([-1, 1])
                - np.log(radius / size) / np.tan(np.radians(rng.uniform(10, 35)))
            )
            hole = 1 - np.exp(-((2 * radius / size) ** 2))
            light = np.exp(-1.678 * radius / size + rng.uniform(1, 3) * np.cos(phase)) * hole
        knots = 1.0
        for order in range(1, 6):
            wave = np.cos(order * azimuth + rng.uniform(0, 2 * np.pi))
            knots = knots + rng.normal(0, 0.4) / np.sqrt(order) * wave
        fine.append(light * np.maximum(knots, 0.02))
    rays = torch.tensor(np.array(fine)).float()
    pixels = torch.nn.functional.avg_pool2d(rays, setting.grid.supersampling)
    return convolve(pixels[:, None], psf)[:, :, 0]
