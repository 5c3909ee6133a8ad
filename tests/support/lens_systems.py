"""Random lens systems for tests and benchmarks, and the same system drawn by lenstronomy."""

import numpy as np
import torch
from lenstronomy.Data.imaging_data import ImageData
from lenstronomy.Data.psf import PSF
from lenstronomy.ImSim.image_model import ImageModel
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Profiles.sersic_utils import SersicUtil
from lenstronomy.LightModel.light_model import LightModel
from scipy.special import gamma

from lenshunt.core.sersic import sersic_b
from lenshunt.lensing.pixel_grid import PixelGrid
from lenshunt.lensing.simulator import PARAMETERS


def ellipticity(rng: np.random.Generator, n: int, q_min: float) -> tuple[np.ndarray, np.ndarray]:
    """e1, e2 of n axis ratios between `q_min` and 1, of any angle."""
    q, angle = rng.uniform(q_min, 1, n), rng.uniform(0, np.pi, n)
    size = (1 - q) / (1 + q)
    return size * np.cos(2 * angle), size * np.sin(2 * angle)


def draw_systems(rng: np.random.Generator, n: int) -> np.ndarray:
    """Parameters [n, p] of galaxy-scale lenses as the demo survey has them."""
    mass, lens, source = (ellipticity(rng, n, q) for q in (0.45, 0.45, 0.45))
    reach = rng.uniform(0, 0.35, n), rng.uniform(0, 2 * np.pi, n)
    columns = {
        "theta_e": rng.uniform(0.6, 2.5, n),
        "slope": rng.uniform(1.8, 2.2, n),
        "mass_e1": mass[0],
        "mass_e2": mass[1],
        "mass_x": rng.normal(0, 0.05, n),
        "mass_y": rng.normal(0, 0.05, n),
        "gamma1": rng.normal(0, 0.05, n),
        "gamma2": rng.normal(0, 0.05, n),
        "lens_radius": rng.uniform(0.4, 1.5, n),
        "lens_sersic": rng.uniform(1, 5, n),
        "lens_e1": lens[0],
        "lens_e2": lens[1],
        "lens_x": rng.normal(0, 0.05, n),
        "lens_y": rng.normal(0, 0.05, n),
        "source_radius": rng.uniform(0.1, 0.5, n),
        "source_sersic": rng.uniform(0.6, 2.5, n),
        "source_e1": source[0],
        "source_e2": source[1],
        "source_x": reach[0] * np.cos(reach[1]),
        "source_y": reach[0] * np.sin(reach[1]),
    }
    return np.stack([columns[name] for name in PARAMETERS], axis=1)


def one_system(batch: int = 1, dtype: torch.dtype = torch.float32, **values: float):
    """Parameters [batch, p]: a round lens at the centre, source behind it, but for `values`."""
    default = {
        "theta_e": 1.2,
        "slope": 2.0,
        "lens_radius": 0.8,
        "lens_sersic": 2.0,
        "source_radius": 0.3,
        "source_sersic": 1.0,
    }
    row = [{**default, **values}.get(name, 0.0) for name in PARAMETERS]
    return torch.tensor([row] * batch, dtype=dtype)


def lenstronomy_light(row: dict[str, float], name: str, flux: float) -> dict[str, float]:
    """Arguments of SERSIC_ELLIPSE for the same light: its b_n differs, so radius and peak do."""
    n, radius = row[f"{name}_sersic"], row[f"{name}_radius"]
    b, b_theirs = sersic_b(n), SersicUtil.b_n(n)
    at_radius = flux / (2 * np.pi * n * radius**2 * np.exp(b) * b ** (-2 * n) * gamma(2 * n))
    return {
        "amp": at_radius * np.exp(b - b_theirs),
        "R_sersic": radius * (b_theirs / b) ** n,
        "n_sersic": n,
        **{e: row[f"{name}_{e}"] for e in ("e1", "e2")},
        **{f"center_{axis}": row[f"{name}_{axis}"] for axis in ("x", "y")},
    }


def lenstronomy_mass(row: dict[str, float]) -> list[dict[str, float]]:
    """Arguments of EPL and SHEAR."""
    x, y = row["mass_x"], row["mass_y"]
    epl = {"theta_E": row["theta_e"], "gamma": row["slope"], "center_x": x, "center_y": y}
    shear = {"gamma1": row["gamma1"], "gamma2": row["gamma2"], "ra_0": x, "dec_0": y}
    return [{**epl, "e1": row["mass_e1"], "e2": row["mass_e2"]}, shear]


def lenstronomy_model(grid: PixelGrid, psf: np.ndarray | None) -> ImageModel:
    """An ImageModel of our pixels, sampling and PSF."""
    corner = -(grid.size_px - 1) / 2 * grid.pixel_scale_arcsec
    pixels = ImageData(
        image_data=np.zeros((grid.size_px, grid.size_px)),
        ra_at_xy_0=corner,
        dec_at_xy_0=corner,
        transform_pix2angle=np.eye(2) * grid.pixel_scale_arcsec,
    )
    kernel = PSF("NONE") if psf is None else PSF("PIXEL", kernel_point_source=psf.astype(float))
    return ImageModel(
        pixels,
        kernel,
        LensModel(["EPL", "SHEAR"]),
        LightModel(["SERSIC_ELLIPSE"]),
        LightModel(["SERSIC_ELLIPSE"]),
        kwargs_numerics={
            "supersampling_factor": grid.supersampling,
            "supersampling_convolution": False,
        },
    )


def lenstronomy_image(model: ImageModel, params: np.ndarray, fluxes: np.ndarray) -> np.ndarray:
    """Image [y, x] of one system; fluxes [2] of lens and source."""
    row = dict(zip(PARAMETERS, (float(v) for v in params), strict=True))
    return model.image(
        lenstronomy_mass(row),
        [lenstronomy_light(row, "source", fluxes[1])],
        [lenstronomy_light(row, "lens", fluxes[0])],
    )
