"""The lens systems of the tests drawn by caustics: EPL with shear, Sersic source and lens light."""

from collections.abc import Callable

import caustics
import numpy as np
import torch
from scipy.special import gamma

from lenshunt.core.sersic import semi_major_of, sersic_b
from lenshunt.lensing import PARAMETERS, PixelGrid

Render = Callable[[torch.Tensor], torch.Tensor]


def caustics_render(grid: PixelGrid, psf: np.ndarray) -> Render:
    """Images [batch, y, x] of rows of `caustics_row`, `caustics.LensSource` under vmap.

    caustics traces rays in a margin as wide as half the PSF too, so its image is made that much
    smaller: it traces the rays of `grid`, and what comes out is the middle of our image.
    """
    cosmology = caustics.FlatLambdaCDM(name="cosmology")
    lenses = [
        kind(cosmology=cosmology, name=name)
        for kind, name in ((caustics.EPL, "mass"), (caustics.ExternalShear, "shear"))
    ]
    plane = caustics.SinglePlane(cosmology=cosmology, lenses=lenses, name="plane", z_l=0.5, z_s=1.5)
    fine = grid.supersampling
    # caustics wants a PSF of the sampling of the rays: one that convolves whole pixels
    sparse = np.zeros([fine * (side - 1) + 1 for side in psf.shape], np.float32)
    sparse[::fine, ::fine] = psf
    simulator = caustics.LensSource(
        lens=plane,
        source=caustics.Sersic(name="source"),
        lens_light=caustics.Sersic(name="lens"),
        psf=torch.from_numpy(sparse),
        pixelscale=grid.pixel_scale_arcsec,
        pixels_x=grid.size_px - (len(psf) - 1),
        upsample_factor=fine,
    )
    simulator.psf.to_static()
    found = [f"{next(iter(p.parents)).name} {p.name}" for p in simulator.dynamic_params]
    expected = [name for part in _PARTS for name in part]
    if found != expected:
        raise ValueError(f"caustics wants the parameters {found}, this benchmark has {expected}")
    area = grid.pixel_scale_arcsec**2
    return torch.vmap(lambda row: area * simulator(row))


_LIGHT = ("x0", "y0", "q", "phi", "n", "Re", "Ie")
_PARTS = (
    [f"mass {n}" for n in ("x0", "y0", "q", "phi", "Rein", "t")],
    [f"shear {n}" for n in ("x0", "y0", "gamma_1", "gamma_2")],
    [f"source {n}" for n in _LIGHT],
    [f"lens {n}" for n in _LIGHT],
)


def caustics_row(params: np.ndarray) -> list[float]:
    """Our parameters [p], fluxes of 1, in the order and the conventions of caustics."""
    row = dict(zip(PARAMETERS, (float(v) for v in params), strict=True))
    centre = [row["mass_x"], row["mass_y"]]
    mass = [*centre, *_axis(row, "mass"), row["theta_e"], row["slope"] - 1]
    return [
        *mass,
        *centre,
        row["gamma1"],
        row["gamma2"],
        *_light(row, "source"),
        *_light(row, "lens"),
    ]


def _axis(row: dict[str, float], name: str) -> list[float]:
    """Axis ratio and angle of the major axis."""
    e1, e2 = row[f"{name}_e1"], row[f"{name}_e2"]
    size = np.hypot(e1, e2)
    return [(1 - size) / (1 + size), 0.5 * np.arctan2(e2, e1)]


def _light(row: dict[str, float], name: str) -> list[float]:
    q, angle = _axis(row, name)
    radius, n = row[f"{name}_radius"], row[f"{name}_sersic"]
    b = sersic_b(n)
    at_radius = np.exp(-b) * b ** (2 * n) / (2 * np.pi * n * radius**2 * gamma(2 * n))
    # caustics measures radii along the major axis
    return [row[f"{name}_x"], row[f"{name}_y"], q, angle, n, semi_major_of(radius, q), at_radius]
