"""A coarse free-form correction to the potential of a smooth lens, on cubic B-splines."""

from functools import lru_cache

import torch

from lenshunt.lensing import PixelGrid, mass_conservation_loss, power_law_convergence
from lenshunt.lensing.simulator import columns_of

#: Points per node and axis at which the convergence is judged.
_CHECKS = 3


@lru_cache(maxsize=32)
def _basis(
    nodes: int, side_arcsec: float, points: int, reach: float, device: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cubic B-splines and their slopes at `points` places of (-reach, reach): [points, nodes].

    The outer nodes lie two spacings inside the image's edge: there the correction ends smoothly.
    """
    step = side_arcsec / (nodes + 3)
    with torch.inference_mode(False):
        at = (torch.arange(points, device=device, dtype=torch.float64) + 0.5) / points
        centre = (torch.arange(nodes, device=device, dtype=torch.float64) - (nodes - 1) / 2) * step
        t = ((2 * at - 1) * reach)[:, None] / step - centre / step
        far, near = (2 - t.abs()).clamp(min=0), (1 - t.abs()).clamp(min=0)
        value = (far**3 - 4 * near**3) / 6
        slope = -t.sign() * (far**2 - 4 * near**2) / (2 * step)
    return value.float(), slope.float()


def deflection_of(nodes: torch.Tensor, grid: PixelGrid) -> torch.Tensor:
    """Deflection in arcsec of every ray of `grid`: [b, 2, fine y, fine x].

    nodes : [b, k, k] coefficients of the potential in arcsec^2, y and x
    """
    side = grid.size_px * grid.pixel_scale_arcsec
    fine = grid.size_px * grid.supersampling
    value, slope = _basis(nodes.shape[-1], side, fine, side / 2, str(nodes.device))
    return torch.stack([value @ nodes @ slope.mT, slope @ nodes @ value.mT], dim=1)


def mass_loss(nodes: torch.Tensor, params: torch.Tensor, grid: PixelGrid) -> torch.Tensor:
    """`mass_conservation_loss` of corrections [b, k, k] to lenses [b, p]: [b]."""
    side = grid.size_px * grid.pixel_scale_arcsec
    points = _CHECKS * (nodes.shape[-1] + 3)
    value, _ = _basis(nodes.shape[-1], side, points, side / 2, str(nodes.device))
    step = side / points
    axis = (torch.arange(points, device=nodes.device) - (points - 1) / 2)[1:-1] * step
    c = columns_of(params)
    smooth = power_law_convergence(
        axis[None, None, :] - c["mass_x"], axis[None, :, None] - c["mass_y"],
        c["theta_e"], c["slope"], c["mass_e1"], c["mass_e2"],
    )  # fmt: skip
    return mass_conservation_loss(value @ nodes @ value.mT, smooth, step)
