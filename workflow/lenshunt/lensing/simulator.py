"""The differentiable simulator: one ray-tracing per lens, shared by all bands."""

from collections.abc import Iterator

import torch

from lenshunt.lensing.pixel_grid import PixelGrid, bin_rays
from lenshunt.lensing.power_law import power_law_deflection, shear_deflection
from lenshunt.lensing.psf_convolution import (
    PsfTransform,
    cached_psf_transform,
    convolve,
    convolve_sum,
    psf_transform,
)
from lenshunt.lensing.sersic import CORE_ARCSEC, sersic

#: Columns of the parameter table and the range in which images and gradients are finite, tested.
#: Lengths in arcsec, positions from the centre of the image, x towards the right, y upwards;
#: ellipticities are (1 - q)/(1 + q) times cos and sin of twice the angle of the major axis,
#: counter-clockwise from +x: |e| <= 2/3, so that q >= 0.2. The shear acts about the mass.
DOMAIN: dict[str, tuple[float, float]] = {
    "theta_e": (0.0, 10.0),
    "slope": (1.4, 2.6),
    "mass_e1": (-2 / 3, 2 / 3),
    "mass_e2": (-2 / 3, 2 / 3),
    "mass_x": (-10.0, 10.0),
    "mass_y": (-10.0, 10.0),
    "gamma1": (-0.5, 0.5),
    "gamma2": (-0.5, 0.5),
    "lens_radius": (1e-3, 10.0),
    "lens_sersic": (0.3, 8.0),
    "lens_e1": (-2 / 3, 2 / 3),
    "lens_e2": (-2 / 3, 2 / 3),
    "lens_x": (-10.0, 10.0),
    "lens_y": (-10.0, 10.0),
    "source_radius": (1e-3, 10.0),
    "source_sersic": (0.3, 8.0),
    "source_e1": (-2 / 3, 2 / 3),
    "source_e2": (-2 / 3, 2 / 3),
    "source_x": (-10.0, 10.0),
    "source_y": (-10.0, 10.0),
}
PARAMETERS = tuple(DOMAIN)

#: Samples traced together on a CPU: their rays fit into a core's cache.
CPU_BLOCK = 8
#: Side, in pixels, of the square around a galaxy's centre that is sampled more finely.
_CUSP_PX = 4


def columns_of(params: torch.Tensor, dims: int = 2) -> dict[str, torch.Tensor]:
    """Columns of `params` [batch, p] by name, each [batch, 1, ...] with `dims` trailing axes."""
    if params.dim() != 2 or params.shape[1] != len(PARAMETERS):
        raise ValueError(
            f"params of shape {tuple(params.shape)}: expected [batch, {len(PARAMETERS)}] with "
            "columns " + ", ".join(PARAMETERS)
        )
    shape = (-1, *(1,) * dims)
    return {name: params[:, i].reshape(shape) for i, name in enumerate(PARAMETERS)}


def source_position(
    x: torch.Tensor, y: torch.Tensor, columns: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The lens equation: where in the source plane rays at x, y [batch, ...] arcsec come from."""
    c = columns
    dx, dy = x - c["mass_x"], y - c["mass_y"]
    ax, ay = power_law_deflection(dx, dy, c["theta_e"], c["slope"], c["mass_e1"], c["mass_e2"])
    # the shear acts about the lens, so that moving the lens moves the whole picture
    sx, sy = shear_deflection(dx, dy, c["gamma1"], c["gamma2"])
    return x - ax - sx, y - ay - sy


def render_batch(
    params: torch.Tensor,
    grid: PixelGrid,
    psf: torch.Tensor | PsfTransform | None,
    more_deflection: torch.Tensor | None = None,
) -> torch.Tensor:
    """Templates: the lens and the lensed source of each sample, for a flux of 1 each.

    params : [batch, p], columns PARAMETERS
    psf : [h, w], [band, h, w], [batch, band, h, w] or its transform; None: no convolution.
        The transform of a tensor that comes with every batch is made once.
    more_deflection : [batch, 2, fine y, fine x] arcsec in x and y, of each ray of `grid`, beside
        that of the parameters
    Returns [batch, band, 2, y, x], the band axis of length 1 where all bands share a PSF: shapes
    are the same in every band. The lens sums to 1 and the source to its magnification, less what
    falls off the image. float64 for float64 parameters, else float32, whatever the autocast.
    """
    with torch.autocast(params.device.type, enabled=False):
        params, transform = _inputs(params, grid, psf)
        parts = [
            pixels[:, None] if kernel is None else convolve(pixels, kernel)
            for pixels, kernel, _ in _blocks(params, grid, transform, more_deflection)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def render(
    params: torch.Tensor,
    fluxes: torch.Tensor,
    grid: PixelGrid,
    psf: torch.Tensor | PsfTransform | None,
) -> torch.Tensor:
    """Images [batch, band, y, x] in the unit of `fluxes`.

    fluxes : [batch, band, 2], total flux of the lens galaxy and of the source before lensing
    The other arguments and the precision are those of `render_batch`.
    """
    with torch.autocast(params.device.type, enabled=False):
        params, transform = _inputs(params, grid, psf)
        _check_fluxes(fluxes, len(params), transform)
        fluxes = fluxes.to(params.dtype)
        images = []
        for pixels, kernel, part in _blocks(params, grid, transform):
            # two parts to convolve, or as many bands: the fewer transforms the better
            if kernel is not None and (kernel.spectrum.shape[1] > 1 or fluxes.shape[1] == 1):
                images.append(convolve_sum(pixels, fluxes[part], kernel))
                continue
            shapes = pixels if kernel is None else convolve(pixels, kernel)[:, 0]
            images.append(torch.einsum("bcyx,bkc->bkyx", shapes, fluxes[part]))
        return images[0] if len(images) == 1 else torch.cat(images)


def _inputs(
    params: torch.Tensor, grid: PixelGrid, psf: torch.Tensor | PsfTransform | None
) -> tuple[torch.Tensor, PsfTransform | None]:
    """Parameters in the precision of the work, and the transform of the PSF in the same."""
    params = params if params.dtype == torch.float64 else params.float()
    if psf is None:
        return params, None
    if isinstance(psf, torch.Tensor):
        per_sample = psf.dim() == 4 and len(psf) > 1
        make = psf_transform if per_sample else cached_psf_transform
        psf = make(psf, grid.size_px, params.dtype)
    if psf.size_px not in (None, grid.size_px):
        raise ValueError(f"this PSF transform is for images of {psf.size_px} px, not of "
                         f"{grid.size_px}: make it anew with psf_transform")  # fmt: skip
    if len(psf.spectrum) not in (1, len(params)):
        # the blocks would cut them into pieces, some of which might fit
        raise ValueError(f"{len(psf.spectrum)} PSFs for {len(params)} lenses: one for each, or one")
    return params, psf.to(params.dtype)


def _check_fluxes(fluxes: torch.Tensor, count: int, psf: PsfTransform | None) -> None:
    if fluxes.dim() != 3 or len(fluxes) != count or fluxes.shape[2] != 2:
        raise ValueError(
            f"fluxes of shape {tuple(fluxes.shape)} for {count} lenses: expected [batch, band, 2]"
        )
    if psf is not None and psf.spectrum.shape[1] not in (1, fluxes.shape[1]):
        raise ValueError(
            f"PSFs of {psf.spectrum.shape[1]} bands and fluxes of {fluxes.shape[1]}: one PSF per "
            "band, or one for all"
        )


def _blocks(
    params: torch.Tensor,
    grid: PixelGrid,
    psf: PsfTransform | None,
    more: torch.Tensor | None = None,
) -> Iterator[tuple[torch.Tensor, PsfTransform | None, slice]]:
    """Pixels [block, 2, y, x] before the PSF, the block's PSFs, and which samples they are."""
    count = max(len(params), 1)
    step = count if params.device.type != "cpu" else CPU_BLOCK
    for start in range(0, count, step):
        part = slice(start, start + step)
        pixels = _pixels(params[part], grid, None if more is None else more[part])
        yield pixels, psf.block(part) if psf else None, part


def _pixels(params: torch.Tensor, grid: PixelGrid, more: torch.Tensor | None) -> torch.Tensor:
    """Flux per pixel of lens and lensed source before the PSF, [batch, 2, y, x]."""
    c = columns_of(params)
    beta_x, beta_y = source_position(*grid.rays(params.device, params.dtype), c)
    if more is not None:
        beta_x, beta_y = beta_x - more[:, 0], beta_y - more[:, 1]
    source = bin_rays(_light(beta_x, beta_y, c, "source"), grid.supersampling)
    source = source * grid.pixel_scale_arcsec**2
    return torch.stack([lens_pixels(c, grid), source], dim=1)


def lens_pixels(c: dict[str, torch.Tensor], grid: PixelGrid) -> torch.Tensor:
    """Flux per pixel of the lens galaxy before the PSF, [batch, y, x], from its columns `c`."""
    some = next(iter(c.values()))
    x, y = grid.rays(some.device, some.dtype)
    pixels = bin_rays(_light(x, y, c, "lens"), grid.supersampling)
    if grid.cusp_supersampling > grid.supersampling:
        pixels = _with_cusp(pixels, c, grid)
    return pixels * grid.pixel_scale_arcsec**2


def _light(
    x: torch.Tensor,
    y: torch.Tensor,
    c: dict[str, torch.Tensor],
    name: str,
    core_arcsec: float = CORE_ARCSEC,
) -> torch.Tensor:
    """Surface brightness at x, y of the lens galaxy or of the source, before lensing."""
    radius, n, e1, e2 = (c[f"{name}_{field}"] for field in ("radius", "sersic", "e1", "e2"))
    return sersic(x - c[f"{name}_x"], y - c[f"{name}_y"], radius, n, e1, e2, core_arcsec)


def _with_cusp(lens: torch.Tensor, c: dict[str, torch.Tensor], grid: PixelGrid) -> torch.Tensor:
    """`lens` [batch, y, x] with the pixels around its centre sampled more finely."""
    side, per_pixel = min(_CUSP_PX, grid.size_px), grid.cusp_supersampling
    scale = grid.pixel_scale_arcsec
    step = scale / per_pixel
    offset = (torch.arange(side * per_pixel, device=lens.device, dtype=lens.dtype) + 0.5) * step
    pixel = torch.arange(side, device=lens.device)
    first, start = {}, {}
    for axis in ("x", "y"):
        # which pixels are resampled is a choice, not a path for the gradient
        corner = torch.round(c[f"lens_{axis}"].detach() / scale + (grid.size_px - side) / 2)
        # nor is there one where the galaxy is nowhere: its light is NaN already
        corner = corner.nan_to_num(0.0).clamp(0, grid.size_px - side)
        first[axis] = corner.long() + pixel
        start[axis] = (corner - grid.size_px / 2) * scale + offset
    # the ray nearest to the centre stands for a whole cell: 0.2 of a step conserves the flux best
    # (measured over positions of the centre: within 0.25 % for n <= 4, 0.5 % for n = 6)
    fine = _light(start["x"], start["y"].mT, c, "lens", core_arcsec=0.2 * step)
    index = first["y"].mT * grid.size_px + first["x"]
    flat = lens.flatten(1).scatter(1, index.flatten(1), bin_rays(fine, per_pixel).flatten(1))
    return flat.reshape(lens.shape)
