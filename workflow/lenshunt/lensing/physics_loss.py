"""The physics loss: how well the best lens explains an image, for what the network calls a lens."""

import logging
from dataclasses import dataclass

import torch

from lenshunt.lensing.amplitudes import Fit

#: More failed renders than this fraction mean that something is wrong.
FAILED_FRACTION_MAX = 0.01
#: The fraction is judged on this many renders or more, so that one of a small batch is no verdict.
JUDGED_RENDERS_MIN = 200
#: chi2 per degree of freedom beyond which a bad fit counts like its square root.
ROBUST_SCALE = 3.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PhysicsLoss:
    """Mean loss of the samples that could be judged, and how many could not.

    failed : renders that are not finite
    unusable : images with fewer usable pixels than the model has parameters
    """

    loss: torch.Tensor
    failed: int
    unusable: int


class RenderFailures:
    """Counts failed renders over a training, logs them, and stops it when they are too many."""

    def __init__(self) -> None:
        self.failed, self.rendered = 0, 0
        self._expected = 0

    def note(self, failed: int, rendered: int) -> None:
        """Add one batch, before its gradient is taken.

        Raises ValueError when more than FAILED_FRACTION_MAX failed so far.
        """
        self._expected = failed
        self._add(failed, rendered)

    def note_gradients(self, lost: int) -> None:
        """Add samples of the batch noted last that were rendered but have no finite gradient.

        lost : samples without a finite gradient, those whose render failed among them
        """
        self._add(max(lost - self._expected, 0), 0)

    def _add(self, failed: int, rendered: int) -> None:
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


def chi2_loss(
    logit: torch.Tensor, fit: Fit, noise_corr: torch.Tensor, n_shapes: int
) -> PhysicsLoss:
    """Mean of gate x robust(chi2 / dof) over the samples whose model could be rendered.

    logit : [batch]; noise_corr : [batch, band]; n_shapes : number of shape parameters
    The gate sigmoid(logit) is detached: with a live gate the loss falls fastest by calling every
    lens a non-lens. A failed render is left out and counted (`RenderFailures` keeps the sum);
    to keep its NaN out of the gradients, shapes go through `without_failed` before rendering.
    """
    value = reduced_chi2(fit, noise_corr, n_shapes)
    failed, unusable = torch.isnan(value), torch.isinf(value)
    good = ~(failed | unusable)
    gate = torch.sigmoid(logit.float()).detach()
    # an empty sum keeps the graph: its gradient is 0, not an error
    terms = torch.where(good, gate * robust(torch.where(good, value, 0.0)), 0.0)
    loss = terms.sum() / max(int(good.sum()), 1)
    return PhysicsLoss(loss, int(failed.sum()), int(unusable.sum()))


def without_failed(shapes: torch.Tensor, failures: RenderFailures | None = None) -> torch.Tensor:
    """`shapes` [batch, p] whose gradient is 0 in rows where it is not finite.

    A render that failed is left out of the loss, but 0 times its NaN is NaN on the way back and
    would reach every weight of the network. failures : also counts rows whose image was finite
    and whose gradient is not; `note` it the batch before the gradient is taken.
    """
    if not shapes.requires_grad:
        return shapes
    passed = shapes.view_as(shapes)

    def keep_finite(gradient: torch.Tensor) -> torch.Tensor:
        finite = torch.isfinite(gradient).all(dim=1)
        if failures is not None:
            failures.note_gradients(int((~finite).sum()))
        return torch.where(finite[:, None], gradient, 0.0)

    passed.register_hook(keep_finite)
    return passed
