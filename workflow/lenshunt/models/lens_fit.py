"""How well predicted lenses explain their images: templates, fluxes, chi2, residuals."""

import math
from dataclasses import dataclass

import torch

from lenshunt.lensing import (
    PixelGrid,
    RenderFailures,
    chi2_gain,
    fit_amplitudes,
    reduced_chi2,
    render_batch,
    without_failed,
)
from lenshunt.lensing.physics_loss import degrees_of_freedom
from lenshunt.models.inputs import usable_pixels
from lenshunt.models.interface import Batch


@dataclass(frozen=True)
class LensFit:
    """Predicted lenses and their images, band fluxes solved. Only `reduced` carries a gradient.

    reduced : [b], chi2 per degree of freedom; NaN where the render failed, inf where the image
        has too few pixels to judge a lens, or a PSF that is not the model's
    good : bool [b], neither of the two
    gain : [b], chi2 without a source minus chi2 with it; NaN where not good
    dof : [b], degrees of freedom
    fluxes : [b, band, 2], lens and source; templates : [b, 1, 2, y, x]; both 0 where not good
    data, weight : [b, band, y, x], flux in units of `sigma` and inverse variance, 0 where unusable
    noise_corr : [b, band], see `noise_correlation`
    """

    reduced: torch.Tensor
    good: torch.Tensor
    gain: torch.Tensor
    dof: torch.Tensor
    fluxes: torch.Tensor
    templates: torch.Tensor
    data: torch.Tensor
    weight: torch.Tensor
    noise_corr: torch.Tensor

    def without_lens_light(self) -> torch.Tensor:
        """Data less the light of the lens galaxy, [b, band, y, x]; 0 where unusable."""
        galaxy = self.templates[:, :, 0] * self.fluxes[:, :, 0, None, None]
        return torch.where(self.weight > 0, self.data - galaxy, 0.0)

    def arcs(self) -> torch.Tensor:
        """The model's lensed source, [b, band, y, x]."""
        return self.templates[:, :, 1] * self.fluxes[:, :, 1, None, None]

    def in_sigma(self, light: torch.Tensor) -> torch.Tensor:
        """S/N per pixel of `light` [b, band, y, x] with its bands added up: [b, y, x]."""
        bands = (self.weight > 0).sum(dim=1).clamp(min=1)
        return (light * self.weight.sqrt()).sum(dim=1) / bands.sqrt()

    def in_sigma_of_nine(self, light: torch.Tensor) -> torch.Tensor:
        """The same for the sums over 3 x 3 pixels, whose noise is correlated: [b, y, x].

        Noise that was white before a Gaussian of width s smoothed it has noise_corr 4 pi s^2 and a
        correlation exp(-d^2 / 4 s^2) = exp(-pi d^2 / noise_corr) of pixels d apart; the pairs of
        pixels of a box 3 wide and 3 high add up to a factor for its variance from 1 to 9.
        """
        mean = torch.nn.functional.avg_pool2d(self.in_sigma(light)[:, None], 3, stride=1, padding=1)
        beside = torch.exp(-math.pi / self.noise_corr)
        correlated = ((3 + 4 * beside + 2 * beside**4) / 3) ** 2
        seen = (self.weight > 0).any(dim=(-2, -1))
        bands = seen.sum(dim=1).clamp(min=1)
        factor = torch.where(seen, correlated, 0.0).sum(dim=1) / bands
        return 3.0 * mean[:, 0] / torch.where(factor > 0, factor, 1.0).sqrt()[:, None, None]


def fit_lenses(
    params: torch.Tensor,
    batch: Batch,
    sigma: torch.Tensor,
    grid: PixelGrid,
    psf: torch.Tensor,
    n_shapes: int,
    failures: RenderFailures,
    more_deflection: torch.Tensor | None = None,
    model_error: float = 0.0,
) -> LensFit:
    """Render lenses [b, p] and solve for their fluxes. Call it with autocast off.

    sigma : [band], the unit of flux per band, which keeps float32 away from its limits
    psf : [h, w], that images were matched to; those that keep another have no usable pixel here
    n_shapes : number of fitted shape parameters
    model_error : fraction by which the model's light is wrong in any pixel, added in quadrature to
        the noise: no galaxy is a Sersic profile to the S/N of its core, whose misfit would else
        outweigh every arc
    The gradient runs through the chi2 with a source, that of the physics loss, and nothing else:
    what is fed back to the classifier measures the lens, it must not become a way to shape it.
    """
    usable = usable_pixels(batch["variance"], batch["band_flags"])
    if "psf_matched" in batch:
        usable = usable & batch["psf_matched"][:, None, None, None]
    unit = sigma[:, None, None]
    data = torch.where(usable, batch["image"].float() / unit, 0.0)
    variance = torch.where(
        usable, batch["variance"].float() / unit**2 + (model_error * data) ** 2, torch.inf
    )
    noise_corr = noise_correlation(batch)
    params = without_failed(params)
    params = params.view_as(params)
    templates = render_batch(params, grid, psf, more_deflection)
    with_source = fit_amplitudes(data, variance, templates)
    reduced = reduced_chi2(with_source, noise_corr, n_shapes)
    with torch.no_grad():
        good, failed = torch.isfinite(reduced), torch.isnan(reduced)
        failures.note(int(failed.sum()), len(reduced))
        _count_failed_gradients(params, good, failures)
        without = fit_amplitudes(data, variance, templates[:, :, :1])
        gain = chi2_gain(with_source, without, noise_corr)
        row = good[:, None, None]
        return LensFit(
            reduced=reduced,
            good=good,
            gain=torch.where(good, gain, torch.nan),
            dof=degrees_of_freedom(with_source, noise_corr, n_shapes),
            fluxes=torch.where(row, with_source.fluxes, 0.0),
            templates=torch.where(row[..., None, None], templates, 0.0),
            data=data,
            weight=torch.where(usable, 1.0 / variance, 0.0),
            noise_corr=noise_corr,
        )


def _count_failed_gradients(
    params: torch.Tensor, good: torch.Tensor, failures: RenderFailures
) -> None:
    """Count fits whose gradient is not finite though their image was; failed ones are counted."""

    def count(gradient: torch.Tensor) -> None:
        finite = torch.isfinite(gradient).all(dim=1)
        failures.note(int((~finite & good).sum()), 0)

    if params.requires_grad:
        params.register_hook(count)


def noise_correlation(batch: Batch) -> torch.Tensor:
    """`noise_corr` [b, band] of a batch; 1, independent pixels, where it says nothing."""
    flags = batch["band_flags"]
    if "noise_corr" not in batch:
        return torch.ones_like(flags, dtype=torch.float32)
    return torch.where(flags > 0, batch["noise_corr"].float(), 1.0)
