"""Moves of the sky that the lens equation allows, for images and lens parameters alike."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from lenshunt.lensing.simulator import PARAMETERS

#: Lengths (and positions), which a zoom stretches.
_LENGTHS = ("theta_e", "lens_radius", "source_radius")
_POSITIONS = ("mass", "lens", "source")
#: Pairs that turn by twice the angle: ellipticities and the shear.
_SPIN_TWO = (
    ("mass_e1", "mass_e2"),
    ("gamma1", "gamma2"),
    ("lens_e1", "lens_e2"),
    ("source_e1", "source_e2"),
)


@dataclass(frozen=True)
class SkyMove:
    """First a mirror at the y axis, then a turn, then a zoom about the image centre.

    mirror : bool [batch]; angle : radians [batch], counter-clockwise from +x; zoom : [batch], > 0
    The PSF moves along with the image. An isotropic PSF is untouched by turn and mirror, any PSF
    by a zoom of 1; a zoomed image has a PSF (and noise correlation) zoomed by the same factor,
    which is no longer the one that its data set was matched to: keep zooms within a few per cent
    of 1, or simulate anew.
    """

    mirror: torch.Tensor
    angle: torch.Tensor
    zoom: torch.Tensor


def random_move(
    count: int, zoom: float, generator: torch.Generator, device: torch.device | str = "cpu"
) -> SkyMove:
    """Any angle, either hand, zooms between 1/(1 + zoom) and 1 + zoom, uniform in logarithm."""
    draws = torch.rand(3, count, generator=generator, device=generator.device).to(device)
    spread = torch.log1p(torch.tensor(zoom, device=device))
    return SkyMove(draws[0] < 0.5, 2 * torch.pi * draws[1], torch.exp((2 * draws[2] - 1) * spread))


def move_parameters(params: torch.Tensor, move: SkyMove) -> torch.Tensor:
    """Parameters [batch, p] of the moved lenses, columns `simulator.PARAMETERS`.

    Positions and lengths scale with the zoom; ellipticities and shear turn by twice the angle and
    change the sign of their second component in the mirror; slope, Sersic indices, convergence
    and magnification stay: the lens equation holds in every unit of length. Fluxes of render stay
    too, where `move_images` is told to keep the flux.
    """
    if params.shape[-1] != len(PARAMETERS):
        raise ValueError(f"params have {params.shape[-1]} columns, expected {len(PARAMETERS)}")
    columns = dict(zip(PARAMETERS, params.unbind(dim=1), strict=True))
    hand = 1.0 - 2.0 * move.mirror.to(params.dtype)
    cos, sin = move.angle.cos(), move.angle.sin()
    for name in _LENGTHS:
        columns[name] = columns[name] * move.zoom
    for name in _POSITIONS:
        x, y = columns[f"{name}_x"] * hand, columns[f"{name}_y"]
        columns[f"{name}_x"] = move.zoom * (cos * x - sin * y)
        columns[f"{name}_y"] = move.zoom * (sin * x + cos * y)
    cos2, sin2 = (2 * move.angle).cos(), (2 * move.angle).sin()
    for first, second in _SPIN_TWO:
        e1, e2 = columns[first], columns[second] * hand
        columns[first], columns[second] = cos2 * e1 - sin2 * e2, sin2 * e1 + cos2 * e2
    return torch.stack([columns[name] for name in PARAMETERS], dim=1)


def inverse_affine(move: SkyMove) -> torch.Tensor:
    """[batch, 2, 3] in the units of `affine_grid`: where each moved pixel comes from."""
    hand = 1.0 - 2.0 * move.mirror.to(move.angle.dtype)
    cos, sin = move.angle.cos() / move.zoom, move.angle.sin() / move.zoom
    nought = torch.zeros_like(cos)
    rows = torch.stack([hand * cos, hand * sin, nought, -sin, cos, nought], dim=1)
    return rows.view(-1, 2, 3)


def move_images(images: torch.Tensor, move: SkyMove) -> torch.Tensor:
    """Square images [batch, band, y, x] (flux per pixel) moved, bicubic; the flux is kept.

    Quarter turns and mirrors without zoom are exact. What comes from outside is 0. A pixel that
    is not finite spoils its neighbours within 2 px: fill masked pixels first, move masks apart.
    """
    if images.dim() != 4 or images.shape[-1] != images.shape[-2]:
        raise ValueError(
            f"images of shape {tuple(images.shape)}: expected square [batch, band, y, x]"
        )
    # bfloat16 has no more than 8 bits to say where a pixel is
    dtype = torch.promote_types(images.dtype, torch.float32)
    with torch.autocast(images.device.type, enabled=False):
        affine = inverse_affine(move).to(dtype)
        grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
        moved = functional.grid_sample(images.to(dtype), grid, mode="bicubic", align_corners=False)
        # a zoom by z spreads the light of a pixel over z^2 of them
        return (moved / move.zoom.to(dtype)[:, None, None, None] ** 2).to(images.dtype)
