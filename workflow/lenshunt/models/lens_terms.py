"""Loss terms of a network that predicts lens parameters, each [b], float32."""

from collections.abc import Callable

import torch

from lenshunt.lensing import PARAMETERS, PixelGrid, lens_equation_loss
from lenshunt.lensing.physics_loss import robust
from lenshunt.lensing.simulator import columns_of, source_position
from lenshunt.models.lens_fit import LensFit
from lenshunt.models.potential_correction import deflection_at

#: Bright places of a residual that are taken for images of one source, at most.
IMAGES_MAX = 4
#: S/N in 3 x 3 pixels from which a place counts as an image, and above which it counts no more:
#: a bright image is not known to lie where the model's are better than a fair one.
SNR_MIN, SNR_MAX = 5.0, 20.0
#: Images nearer to the lens than this fraction of theta_E are a misfit of its core.
CORE = 0.4
#: Error of ln theta_E beyond which a sample counts linearly.
HUBER_DELTA = 0.2
#: Step in arcsec of the finite differences for the magnification.
_STEP_ARCSEC = 0.02
_AT = {name: i for i, name in enumerate(PARAMETERS)}


def gate(logit: torch.Tensor) -> torch.Tensor:
    """Probability of being a lens, as a weight that cannot be learned: [b].

    Detached: with a live gate the loss falls fastest by calling every lens a non-lens.
    """
    return torch.sigmoid(logit.float()).detach()


def physics_term(logit: torch.Tensor, fit: LensFit) -> torch.Tensor:
    """gate x robust(chi2 / dof); 0 for a failed render.

    Scaled up by the share of samples that have a fit, so that a mean over the batch is the mean
    over those.
    """
    value = robust(torch.where(fit.good, fit.reduced, 0.0))
    scale = len(value) / fit.good.sum().clamp(min=1)
    return torch.where(fit.good, gate(logit) * value * scale, 0.0)


def simulated_term(params: torch.Tensor, theta_e: torch.Tensor) -> torch.Tensor:
    """Huber loss of ln theta_E where the true one is known.

    theta_e : [b] arcsec, NaN where unknown
    """
    known = torch.isfinite(theta_e) & (theta_e > 0)
    truth = torch.where(known, theta_e, 1.0).float().log()
    error = params[:, _AT["theta_e"]].clamp(min=1e-6).log() - truth
    loss = torch.nn.functional.huber_loss(
        error, torch.zeros_like(error), reduction="none", delta=HUBER_DELTA
    )
    return torch.where(known, loss / HUBER_DELTA, 0.0)


def lens_equation_term(
    logit: torch.Tensor,
    params: torch.Tensor,
    fit: LensFit,
    grid: PixelGrid,
    correction: torch.Tensor | None = None,
) -> torch.Tensor:
    """gate x scatter in arcsec^2 of the sources that the brightest residual peaks are traced to.

    Where the peaks are is data, not a path for the gradient; so is the magnification.
    correction : [b, k, k] of `deflection_at`, which bends the rays too
    """
    x, y, weight = bright_places(fit, params, grid)

    def traced(at_x: torch.Tensor, at_y: torch.Tensor) -> torch.Tensor:
        beta = torch.stack(source_position(at_x, at_y, columns_of(params, dims=1)), dim=-1)
        if correction is None:
            return beta
        return beta - torch.stack(deflection_at(correction, at_x, at_y, grid), dim=-1)

    loss = lens_equation_loss(traced(x, y), weight, magnification(x, y, traced))
    return torch.where(fit.good, gate(logit) * torch.where(fit.good, loss, 0.0), 0.0)


@torch.no_grad()
def bright_places(
    fit: LensFit, params: torch.Tensor, grid: PixelGrid
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x, y in arcsec and weight [b, IMAGES_MAX] of peaks left by the lens galaxy; weight 0: none.

    Peaks of the S/N in 3 x 3 pixels, outside the core of the lens.
    """
    smooth = fit.in_sigma_of_nine(fit.without_lens_light())
    pixels = PixelGrid(grid.size_px, grid.pixel_scale_arcsec, 1)
    x, y = pixels.rays(smooth.device, torch.float32)
    c = columns_of(params)
    away = torch.hypot(x - c["mass_x"], y - c["mass_y"]) > CORE * c["theta_e"]
    outside = torch.where(away, smooth, 0.0)
    highest = torch.nn.functional.max_pool2d(outside[:, None], 5, stride=1, padding=2)[:, 0]
    peak = torch.where(outside == highest, outside, 0.0)
    value, index = peak.flatten(1).topk(IMAGES_MAX, dim=1)
    row, column = index // grid.size_px, index % grid.size_px
    middle = (grid.size_px - 1) / 2
    at_x, at_y = ((i - middle) * grid.pixel_scale_arcsec for i in (column, row))
    weight = torch.where(value > SNR_MIN, value.clamp(max=SNR_MAX), 0.0)
    return at_x, at_y, weight


@torch.no_grad()
def magnification(
    x: torch.Tensor,
    y: torch.Tensor,
    traced: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Magnification [b, image] at x, y arcsec, of either sign.

    traced : from x, y to the source plane, [b, image, 2] arcsec
    """
    h = _STEP_ARCSEC
    xx, yx = ((traced(x + h, y) - traced(x - h, y)) / (2 * h)).unbind(-1)
    xy, yy = ((traced(x, y + h) - traced(x, y - h)) / (2 * h)).unbind(-1)
    determinant = xx * yy - xy * yx
    return 1.0 / torch.where(determinant.abs() > 1e-6, determinant, 1e-6)
