"""What the classifier gets of the fitted lens: numbers, residual maps, the source plane."""

import torch
from torch import nn

from lenshunt.lensing import PARAMETERS, PixelGrid
from lenshunt.lensing.simulator import columns_of, source_position
from lenshunt.models.inputs import asinh
from lenshunt.models.lens_fit import LensFit

#: Cells per side of the source-plane reconstruction, and its half-width in Einstein radii.
SOURCE_CELLS, SOURCE_REACH = 12, 1.0
_AT = {name: i for i, name in enumerate(PARAMETERS)}


def fit_numbers(fit: LensFit, params: torch.Tensor) -> torch.Tensor:
    """Numbers of order one that describe a fit, [b, 7]; 0 where there is none.

    ln(1 + gain / sqrt(dof)): sqrt(2 dof) is the spread of chi2 by chance
    ln(chi2 / dof), and gain / (gain + misfit): how much of what the galaxy leaves a lens explains
    ln(theta_E / arcsec), and the distance of the source from the lens in theta_E
    share of the lensed source in the model's flux: mean and spread over the bands
    """
    dof = fit.dof.clamp(min=1.0)
    reduced = torch.where(fit.good, fit.reduced.detach(), 1.0)
    gain = torch.where(fit.good, fit.gain, 0.0)
    misfit = (reduced - 1.0).clamp(min=0.0) * dof
    theta_e = params[:, _AT["theta_e"]]
    offset = torch.hypot(
        params[:, _AT["source_x"]] - params[:, _AT["mass_x"]],
        params[:, _AT["source_y"]] - params[:, _AT["mass_y"]],
    )
    light = (fit.templates.sum(dim=(-2, -1)) * fit.fluxes).clamp(min=0.0)
    total = light.sum(dim=2)
    seen = total > 0
    share = torch.where(seen, light[:, :, 1] / torch.where(seen, total, 1.0), 0.0)
    bands = seen.sum(dim=1).clamp(min=1)
    mean = share.sum(dim=1) / bands
    spread = torch.where(seen, (share - mean[:, None]) ** 2, 0.0).sum(dim=1) / bands
    numbers = [
        torch.log1p(gain / dof.sqrt()),
        torch.log(reduced.clamp(min=1e-3)),
        gain / (gain + misfit + 1.0),
        torch.log(theta_e),
        offset / theta_e,
        mean,
        spread.sqrt(),
    ]
    return torch.where(fit.good[:, None], torch.stack(numbers, dim=1), 0.0)


N_NUMBERS = 7


def residual_maps(fit: LensFit) -> torch.Tensor:
    """Stretched S/N maps [b, 3, y, x]: without the lens galaxy, the model's arcs, what is left."""
    left, arcs = fit.in_sigma(fit.without_lens_light()), fit.in_sigma(fit.arcs())
    return asinh(torch.stack([left, arcs, left - arcs], dim=1))


def source_plane(
    fit: LensFit,
    params: torch.Tensor,
    grid: PixelGrid,
    more_deflection: torch.Tensor | None = None,
) -> torch.Tensor:
    """The source as the image says it is, traced back through the lens: [b, 3, cell, cell].

    Surface brightness is conserved: every pixel, less the lens galaxy, is a measurement of the
    source where its ray comes from. Channels: S/N of the mean brightness of a cell, how far the
    pixels that land in it disagree (chi2 per pixel, small for a true lens: its images show the
    same source), and how many there are. The cells cover SOURCE_REACH theta_E around the lens;
    a pixel is shared between neighbouring cells bilinearly, as two matrix products.
    more_deflection : [b, 2, y, x] arcsec at the pixels
    """
    c = columns_of(params)
    pixels = PixelGrid(grid.size_px, grid.pixel_scale_arcsec, 1)
    x, y = pixels.rays(params.device, torch.float32)
    beta_x, beta_y = source_position(x, y, c)
    if more_deflection is not None:
        beta_x, beta_y = beta_x - more_deflection[:, 0], beta_y - more_deflection[:, 1]
    size = SOURCE_REACH * c["theta_e"]
    across = _hats((beta_x - c["mass_x"]) / size).flatten(1, 2)
    along = _hats((beta_y - c["mass_y"]) / size).flatten(1, 2)
    weight = fit.weight.sum(dim=1)
    light = (fit.without_lens_light() * fit.weight).sum(dim=1)
    mean_light = light / torch.where(weight > 0, weight, 1.0)

    def gathered(values: torch.Tensor) -> torch.Tensor:
        return (along * values.flatten(1)[:, :, None]).mT @ across

    total = gathered(weight)
    seen = total > 0
    safe = torch.where(seen, total, 1.0)
    mean = gathered(light) / safe
    number = gathered((weight > 0).float())
    scatter = gathered(weight * mean_light**2) / safe - mean**2
    chi2 = scatter.clamp(min=0.0) * total / number.clamp(min=1e-6)
    plane = torch.stack([asinh(mean * total.sqrt()), torch.log1p(chi2), torch.log1p(number)], dim=1)
    return torch.where(seen[:, None] & fit.good[:, None, None, None], plane, 0.0)


def _hats(place: torch.Tensor) -> torch.Tensor:
    """Bilinear shares of places [b, y, x], in units of the reach, in the cells: [b, y, x, cell]."""
    cell = torch.arange(SOURCE_CELLS, device=place.device, dtype=place.dtype)
    at = (place + 1.0) * (SOURCE_CELLS / 2) - 0.5
    return (1.0 - (at[..., None] - cell).abs()).clamp(min=0.0)


class _MapEncoder(nn.Module):
    """Two strided convolutions; mean and maximum of each channel: [b, 2 x channels]."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, channels, kernel, stride=2, padding=kernel // 2)
        self.second = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        hidden = nn.functional.gelu(self.second(nn.functional.gelu(self.first(maps))))
        return torch.cat([hidden.mean(dim=(2, 3)), hidden.amax(dim=(2, 3))], dim=1)


class RenderFeatures(nn.Module):
    """A fitted lens as features [b, width]; an embedding of its own where there is no fit.

    hide : chance in training that a sample is treated as without a fit, so that the embedding is
        learned and the classifier keeps looking at the image
    """

    def __init__(self, width: int = 32, channels: int = 12, hide: float = 0.1) -> None:
        super().__init__()
        self.hide = hide
        self.images = _MapEncoder(channels, 5)
        self.source = _MapEncoder(channels, 3)
        self.mix = nn.Linear(N_NUMBERS + 4 * channels, width)
        self.no_fit = nn.Parameter(torch.zeros(width))

    def forward(
        self,
        fit: LensFit,
        params: torch.Tensor,
        grid: PixelGrid,
        more_deflection: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """params : [b, p], of the fitted lenses; the rest as in `source_plane`."""
        with torch.no_grad(), torch.autocast(params.device.type, enabled=False):
            # a lens without a fit has no numbers: any finite ones do, they are replaced below
            params = torch.where(fit.good[:, None], params, 1.0)
            numbers = fit_numbers(fit, params)
            maps = residual_maps(fit)
            plane = source_plane(fit, params, grid, more_deflection)
        hidden = torch.cat([numbers, self.images(maps), self.source(plane)], dim=1)
        features = nn.functional.gelu(self.mix(hidden))
        shown = fit.good
        if self.training and self.hide > 0:
            shown = shown & (torch.rand_like(fit.dof) >= self.hide)
        return torch.where(shown[:, None], features, self.no_fit.to(features.dtype))
