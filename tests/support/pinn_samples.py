"""Networks, lenses and fits for the tests of `pinn_lens`."""

from dataclasses import fields

import numpy as np
import torch
from lens_systems import draw_systems
from small_models import conditioned

from lenshunt.core.moffat import moffat_psf
from lenshunt.lensing import PARAMETERS, PixelGrid, RenderFailures, render
from lenshunt.models.lens_fit import LensFit, fit_lenses
from lenshunt.models.pinn_lens import FitOptions, PinnLens
from lenshunt.models.resnet import ResNetBackbone

SMALL = ResNetBackbone(widths=(8, 16, 16, 24), depths=(1, 1, 1, 1))
TERMS = ("physics", "shear", "lens_equation", "simulated")
SCALE = 0.168
GRID = PixelGrid(48, SCALE, 2)
PSF = torch.tensor(moffat_psf(0.8, 3.0, SCALE))
AT = {name: i for i, name in enumerate(PARAMETERS)}


def pinn(**changes) -> PinnLens:
    """A small network; changes : arguments of `PinnLens` and of `FitOptions`."""
    torch.manual_seed(0)
    options = {f.name for f in fields(FitOptions)} & set(changes)
    fit = FitOptions(**{"supersampling": 1, **{name: changes.pop(name) for name in options}})
    return PinnLens(conditioned(), True, backbone=SMALL, fit=fit, **{"hide_fit": 0.0, **changes})


def batch_of(image: torch.Tensor, **more) -> dict[str, torch.Tensor]:
    return {
        "image": image,
        "variance": torch.ones_like(image),
        "band_flags": torch.ones(image.shape[:2]),
        "theta_e": torch.full((len(image),), torch.nan),
        **more,
    }


def lenses(n: int, seed: int = 0, **values: float) -> tuple[torch.Tensor, dict]:
    """Parameters of n lenses, and their noisy images in five bands, 48 pixels."""
    rng = np.random.default_rng(seed)
    params = torch.tensor(draw_systems(rng, n)).float()
    params[:, AT["theta_e"]] = torch.tensor(rng.uniform(0.8, 1.6, n)).float()
    params[:, AT["slope"]] = 2.0
    for name, value in values.items():
        params[:, AT[name]] = value
    fluxes = torch.tensor([1500.0, 150.0]).expand(n, 5, 2)
    image = render(params, fluxes, GRID, PSF) + torch.tensor(rng.normal(size=(n, 5, 48, 48)))
    return params, batch_of(image.float(), theta_e=params[:, AT["theta_e"]])


def fitted(params: torch.Tensor, batch: dict) -> LensFit:
    return fit_lenses(params, batch, torch.ones(5), GRID, PSF, 19, RenderFailures())


def noise(count: int = 4, seed: int = 0) -> dict:
    generator = torch.Generator().manual_seed(seed)
    return batch_of(torch.randn(count, 5, 32, 32, generator=generator))


def masked(batch: dict) -> dict:
    """One pixel, one band, one half, and one image whole, without a measurement."""
    variance = batch["variance"].clone()
    variance[0, 0, 5, 5] = torch.inf
    variance[1, 2] = torch.inf
    variance[2, :, :, :16] = torch.nan
    variance[3] = torch.inf
    return {**batch, "variance": variance}
