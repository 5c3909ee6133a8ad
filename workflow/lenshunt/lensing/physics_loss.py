"""What the physics loss is made of: chi2 per degree of freedom, its schedule, renders that fail."""

import logging

import torch

from lenshunt.lensing.amplitudes import Fit

#: More failed renders than this fraction mean that something is wrong.
FAILED_FRACTION_MAX = 0.01
#: The fraction is judged on this many renders or more, so that one of a small batch is no verdict.
JUDGED_RENDERS_MIN = 200
#: chi2 per degree of freedom beyond which a bad fit counts like its square root.
ROBUST_SCALE = 3.0

_log = logging.getLogger(__name__)


class RenderFailures:
    """Counts failed renders over a training, logs them, and stops it when they are too many."""

    def __init__(self) -> None:
        self.failed, self.rendered = 0, 0

    def note(self, failed: int, rendered: int) -> None:
        """Add `failed` ones of `rendered` further renders.

        Those that fail on the way back alone are added when that is known, with rendered 0.
        Raises ValueError when more than FAILED_FRACTION_MAX failed so far.
        """
        self.failed += failed
        self.rendered += rendered
        if failed:
            _log.warning(
                "%d of %d lens models of a batch could not be rendered (%d of %d so far); they "
                "are left out of the physics loss",
                failed, rendered, self.failed, self.rendered,
            )  # fmt: skip
        if self.failed > FAILED_FRACTION_MAX * max(self.rendered, JUDGED_RENDERS_MIN):
            raise ValueError(
                f"{self.failed} of {self.rendered} lens models could not be rendered, more than "
                f"{FAILED_FRACTION_MAX:.0%}: predicted shapes are out of bounds, or images hold NaN"
            )


def physics_curriculum(epoch: float, warmup_epochs: float) -> float:
    """Weight of the physics loss: 0.1 at the start, 1 from `warmup_epochs` on, linear between."""
    if warmup_epochs <= 0:
        return 1.0
    return 0.1 + 0.9 * min(max(epoch / warmup_epochs, 0.0), 1.0)


def robust(chi2_per_dof: torch.Tensor) -> torch.Tensor:
    """Linear for a good fit, a square root for a hopeless one; slope 1 at 0 (pseudo-Huber)."""
    scale = ROBUST_SCALE
    return 2 * scale * (torch.sqrt(1 + chi2_per_dof / scale) - 1)


def degrees_of_freedom(fit: Fit, noise_corr: torch.Tensor, n_shapes: int) -> torch.Tensor:
    """Independent pixels less parameters, [batch].

    noise_corr : [batch, band]; n_shapes : number of shape parameters; each usable band has one
    flux (or two, with a source) more. n pixels whose noise is correlated count as n / noise_corr:
    chi2 of a perfect model, divided by noise_corr, has just that mean, less one for every smooth
    template fitted.
    """
    seen = fit.n_pixels > 0
    independent = (fit.n_pixels / torch.where(seen, noise_corr, 1.0)).sum(dim=1)
    return independent - n_shapes - fit.fluxes.shape[-1] * seen.sum(dim=1)


def reduced_chi2(fit: Fit, noise_corr: torch.Tensor, n_shapes: int) -> torch.Tensor:
    """chi2 per degree of freedom over all usable bands, [batch]; 1 for a perfect model.

    inf with fewer independent pixels than parameters, NaN where the model is not finite.
    """
    seen = fit.n_pixels > 0
    chi2 = torch.where(seen, fit.chi2 / torch.where(seen, noise_corr, 1.0), 0.0).sum(dim=1)
    dof = degrees_of_freedom(fit, noise_corr, n_shapes)
    value = torch.where(dof > 0, chi2 / torch.where(dof > 0, dof, 1.0), torch.inf)
    return torch.where(torch.isfinite(chi2), value, torch.nan)


def without_failed(shapes: torch.Tensor) -> torch.Tensor:
    """`shapes` [batch, p] whose gradient is 0 in rows where it is not finite.

    A render that failed is left out of the loss, but 0 times its NaN is NaN on the way back and
    would reach every weight of the network.
    """
    if not shapes.requires_grad:
        return shapes
    passed = shapes.view_as(shapes)

    def keep_finite(gradient: torch.Tensor) -> torch.Tensor:
        finite = torch.isfinite(gradient).all(dim=1)
        return torch.where(finite[:, None], gradient, 0.0)

    passed.register_hook(keep_finite)
    return passed
