"""A coarse free-form correction to the potential of a smooth lens, on cubic B-splines."""

from functools import lru_cache

import torch

from lenshunt.lensing import PixelGrid, mass_conservation_loss, power_law_convergence
from lenshunt.lensing.simulator import columns_of

#: Points per node and axis at which the convergence is judged.
_CHECKS = 3


@lru_cache(maxsize=32)
def spline_basis(
    nodes: int, side_arcsec: float, points: int, reach: float, device: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cubic B-splines and their slopes at `points` places of (-reach, reach): [points, nodes].

    The outer nodes lie two spacings inside the image's edge: there the correction ends smoothly.
    """
    step = side_arcsec / (nodes + 3)
    with torch.inference_mode(False):
        at = (torch.arange(points, device=device, dtype=torch.float64) + 0.5) / points
        value, slope = _splines((2 * at - 1) * reach, nodes, step)
    return value.float(), slope.float()


def _splines(
    place: torch.Tensor, nodes: int, step_arcsec: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cubic B-splines and their slopes at places [...] in arcsec from the middle: [..., nodes]."""
    node = torch.arange(nodes, device=place.device, dtype=place.dtype) - (nodes - 1) / 2
    t = place[..., None] / step_arcsec - node
    far, near = (2 - t.abs()).clamp(min=0), (1 - t.abs()).clamp(min=0)
    value = (far**3 - 4 * near**3) / 6
    slope = -t.sign() * (far**2 - 4 * near**2) / (2 * step_arcsec)
    return value, slope


def deflection_of(nodes: torch.Tensor, grid: PixelGrid) -> torch.Tensor:
    """Deflection in arcsec of every ray of `grid`: [b, 2, fine y, fine x].

    nodes : [b, k, k] coefficients of the potential in arcsec^2, y and x
    """
    side = grid.size_px * grid.pixel_scale_arcsec
    fine = grid.size_px * grid.supersampling
    value, slope = spline_basis(nodes.shape[-1], side, fine, side / 2, str(nodes.device))
    return torch.stack([value @ nodes @ slope.mT, slope @ nodes @ value.mT], dim=1)


def deflection_at(
    nodes: torch.Tensor, x: torch.Tensor, y: torch.Tensor, grid: PixelGrid
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same at places x, y [b, n] arcsec from the middle of the image, in x and y: [b, n]."""
    count = nodes.shape[-1]
    step = grid.size_px * grid.pixel_scale_arcsec / (count + 3)
    value_x, slope_x = _splines(x, count, step)
    value_y, slope_y = _splines(y, count, step)
    in_x = torch.einsum("bnk,bkl,bnl->bn", value_y, nodes, slope_x)
    return in_x, torch.einsum("bnk,bkl,bnl->bn", slope_y, nodes, value_x)


def mass_loss(nodes: torch.Tensor, params: torch.Tensor, grid: PixelGrid) -> torch.Tensor:
    """`mass_conservation_loss` of corrections [b, k, k] to lenses [b, p]: [b]."""
    side = grid.size_px * grid.pixel_scale_arcsec
    points = _CHECKS * (nodes.shape[-1] + 3)
    value, _ = spline_basis(nodes.shape[-1], side, points, side / 2, str(nodes.device))
    step = side / points
    axis = (torch.arange(points, device=nodes.device) - (points - 1) / 2)[1:-1] * step
    c = columns_of(params)
    smooth = power_law_convergence(
        axis[None, None, :] - c["mass_x"], axis[None, :, None] - c["mass_y"],
        c["theta_e"], c["slope"], c["mass_e1"], c["mass_e2"],
    )  # fmt: skip
    return mass_conservation_loss(value @ nodes @ value.mT, smooth, step)
