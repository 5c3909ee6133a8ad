"""Templates of an image model together with their exact derivatives by every shape parameter."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from lenshunt.lensing.fit_models import Columns, ImageModel
from lenshunt.lensing.pixel_grid import PixelGrid, bin_rays
from lenshunt.lensing.psf_convolution import PsfTransform, convolve
from lenshunt.lensing.simulator import CPU_BLOCK, lens_pixels


@dataclass(frozen=True)
class Templates:
    """Shapes of flux 1 and how they change.

    shapes : [n, band or 1, 2, y, x], galaxy and second component (1 component without a second)
    slopes : [n, band or 1, p, y, x], derivative of the one shape that a free parameter changes
    owner : [p], which of the two shapes that is
    """

    shapes: torch.Tensor
    slopes: torch.Tensor
    owner: torch.Tensor


def templates(
    model: ImageModel, params: torch.Tensor, grid: PixelGrid, psf: PsfTransform | None
) -> Templates:
    """Shapes and derivatives for `params` [n, len(model.names)].

    Every ray gets its own copy of the parameters of the second component: one backward pass of
    the sum over rays is then the derivative of each ray, whatever their number. The galaxy, whose
    centre is sampled more finely, is differentiated forwards.
    """
    names = [n for n in model.free if n.startswith("lens_")]
    others = [n for n in model.free if not n.startswith("lens_")]
    free = [*names, *others]
    owner = torch.tensor([0] * len(names) + [1] * len(others), device=params.device)
    order = [free.index(name) for name in model.free]
    shapes, slopes = [], []
    for block, part in _blocks(params):
        lens, by_lens = _galaxy(model, block, grid, names)
        pieces = [lens[:, None]]
        if model.light is not None:
            second, by_second = _second(model, block, grid, others)
            pieces += [second[:, None], by_lens, by_second]
        else:
            pieces += [by_lens]
        pixels = torch.cat(pieces, dim=1)
        kernel = psf.block(part) if psf else None
        seen = pixels[:, None] if kernel is None else convolve(pixels, kernel)
        count = seen.shape[2] - len(free)
        shapes.append(seen[:, :, :count])
        slopes.append(seen[:, :, count:][:, :, order])
    return Templates(torch.cat(shapes), torch.cat(slopes), owner[order])


def _blocks(params: torch.Tensor) -> Iterator[tuple[torch.Tensor, slice]]:
    step = CPU_BLOCK if params.device.type == "cpu" else max(len(params), 1)
    for start in range(0, len(params), step):
        part = slice(start, start + step)
        yield params[part], part


def _galaxy(
    model: ImageModel, params: torch.Tensor, grid: PixelGrid, free: list[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels [n, y, x] of the galaxy and their derivatives [n, p, y, x]."""
    places = [model.names.index(name) for name in free]
    grid.rays(params.device, params.dtype)  # cached before a transform could wrap them

    def pixels(values: torch.Tensor) -> torch.Tensor:
        columns = {name: values[:, i, None, None] for i, name in enumerate(model.names)}
        return lens_pixels(columns, grid)

    tangents = torch.zeros(len(places), *params.shape, dtype=params.dtype, device=params.device)
    for row, place in enumerate(places):
        tangents[row, :, place] = 1.0
    slopes = torch.func.vmap(lambda t: torch.func.jvp(pixels, (params,), (t,))[1])(tangents)
    return pixels(params), slopes.movedim(0, 1)


def _second(
    model: ImageModel, params: torch.Tensor, grid: PixelGrid, free: list[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels [n, y, x] of the second component and their derivatives [n, p, y, x]."""
    assert model.light is not None
    x, y = grid.rays(params.device, params.dtype)
    side = x.shape[-1]
    columns: Columns = {}
    for i, name in enumerate(model.names):
        column = params[:, i, None, None]
        columns[name] = (
            column.expand(-1, side, side).clone().requires_grad_() if name in free else column
        )
    with torch.enable_grad():
        light = model.light(x, y, columns)
        slopes = torch.autograd.grad(light.sum(), [columns[name] for name in free])
    area = grid.pixel_scale_arcsec**2
    fine = torch.stack([light.detach(), *slopes], dim=1)
    pixels = bin_rays(fine, grid.supersampling) * area
    return pixels[:, 0], pixels[:, 1:]


def second_shapes(
    model: ImageModel, params: torch.Tensor, grid: PixelGrid, psf: PsfTransform | None
) -> torch.Tensor:
    """Shapes [n, band or 1, y, x] of the second component alone, without derivatives.

    psf : the same for all `params`
    """
    if model.light is None:
        raise ValueError(f"the model {model.name!r} has no second component to draw")
    x, y = grid.rays(params.device, params.dtype)
    seen = []
    for block, _ in _blocks(params):
        columns = {name: block[:, i, None, None] for i, name in enumerate(model.names)}
        fine = model.light(x, y, columns)[:, None]
        pixels = bin_rays(fine, grid.supersampling) * grid.pixel_scale_arcsec**2
        seen.append(pixels[:, None] if psf is None else convolve(pixels, psf))
    return torch.cat(seen)[:, :, 0]
