"""Fit lenses, or what mimics them, to many images at once: Levenberg-Marquardt, fluxes solved."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lenshunt.lensing.fit_models import LENS, ImageModel
from lenshunt.lensing.fit_problem import FitProblem, FitState
from lenshunt.lensing.pixel_grid import PixelGrid
from lenshunt.lensing.psf_convolution import PsfTransform, psf_transform

#: Damping at the start, what it is multiplied by after a step that failed or was taken, its range.
_DAMPING, _UP, _DOWN, _DAMPING_MAX = 1e-2, 6.0, 0.2, 1e8
#: A fit has converged when an accepted step gains less than this, in sigma^2.
TOLERANCE = 0.02
#: Steps from each of several starts before the best goes on alone.
FIRST_STEPS = 6
#: Images fitted together: their derivatives, some MB each, are held at once.
BLOCK = 32


@dataclass(frozen=True)
class ShapeFit:
    """The best shapes of n images under one image model.

    params : [n, p], columns `model.names`; NaN where failed
    chi2 : [n], summed over bands; penalty : [n], of the priors; both NaN where failed
    covariance : [n, q, q] of the free parameters (`model.free`; in logarithm where the prior is),
        fluxes marginalised, priors included
    log_evidence : [n], ln of the evidence in Laplace's approximation (MacKay 2003, "Information
        Theory, Inference, and Learning Algorithms", chapter 28): -(chi2 + penalty)/2 plus half the
        logarithm of the priors' precision over the posterior's. The fluxes are at their best and
        count for nothing: every model with two components has as many.
    failed : [n] bool, nothing was fitted: the start could not be rendered, or the image has no
        more usable pixels than the model has free parameters
    """

    model: ImageModel
    params: torch.Tensor
    chi2: torch.Tensor
    penalty: torch.Tensor
    covariance: torch.Tensor
    log_evidence: torch.Tensor
    failed: torch.Tensor

    @property
    def objective(self) -> torch.Tensor:
        return self.chi2 + self.penalty

    def column(self, name: str) -> torch.Tensor:
        return self.params[:, self.model.names.index(name)]

    def sigma(self, name: str) -> torch.Tensor:
        """Standard error [n] of a free parameter; relative where it is fitted in its logarithm."""
        i = self.model.free.index(name)
        return self.covariance[:, i, i].sqrt()


_FIELDS = ("params", "chi2", "penalty", "covariance", "log_evidence", "failed")


def fit_shapes(
    model: ImageModel,
    start: torch.Tensor,
    image: torch.Tensor,
    variance: torch.Tensor,
    grid: PixelGrid,
    psf: torch.Tensor | PsfTransform | None,
    steps: int = 40,
) -> ShapeFit:
    """The shapes near `start` [n, p] that minimise chi2 plus the priors of `model`.

    image, variance : [n, band, y, x]; variance +inf, NaN or 0 where a pixel is unusable, times
        the noise correlation factor where the noise is correlated
    steps : at most; a fit ends when a step gains less than TOLERANCE
    Levenberg-Marquardt (Marquardt 1963, J. SIAM 11, 431) on BLOCK images at once, each with its
    own damping. Parameters stay in the ranges of their priors.
    """
    psf = psf_transform(psf, grid.size_px) if isinstance(psf, torch.Tensor) else psf
    parts = [
        _fit_block(
            model, start[part], image[part], variance[part], grid,
            psf.block(part) if psf else None, steps,
        )
        for part in (slice(i, i + BLOCK) for i in range(0, len(image), BLOCK))
    ]  # fmt: skip
    return ShapeFit(model, *(torch.cat([getattr(p, f) for p in parts]) for f in _FIELDS))


def best_of(fits: list[ShapeFit]) -> ShapeFit:
    """Per image the fit of least objective among fits of one model; failed only where all are."""
    values = torch.stack([torch.nan_to_num(fit.objective, nan=torch.inf) for fit in fits])
    best, rows = values.argmin(dim=0), torch.arange(values.shape[1], device=values.device)
    picked = (torch.stack([getattr(fit, f) for fit in fits])[best, rows] for f in _FIELDS)
    return ShapeFit(fits[0].model, *picked)


def fit_from_starts(
    model: ImageModel,
    starts: Sequence[torch.Tensor],
    image: torch.Tensor,
    variance: torch.Tensor,
    grid: PixelGrid,
    psf: torch.Tensor | PsfTransform | None,
) -> ShapeFit:
    """Fits from several starts [n, p] each: FIRST_STEPS steps of all, then the best to the end."""
    psf = psf_transform(psf, grid.size_px) if isinstance(psf, torch.Tensor) else psf
    seen = (image, variance, grid, psf)
    first = best_of([fit_shapes(model, start, *seen, FIRST_STEPS) for start in starts])
    return fit_shapes(model, first.params, *seen)


def _fit_block(
    model: ImageModel,
    start: torch.Tensor,
    image: torch.Tensor,
    variance: torch.Tensor,
    grid: PixelGrid,
    psf: PsfTransform | None,
    steps: int,
) -> ShapeFit:
    problem = FitProblem(model, image, variance, grid, psf, start)
    everything = torch.arange(len(image), device=image.device)
    u = problem.inside(problem.to_u(problem.start[:, problem.columns]))
    state = problem.expand(u, everything)
    # with fewer pixels than parameters anything fits
    failed = ~torch.isfinite(state.value) | (problem.n_pixels <= len(model.free))
    damping = torch.full((len(image),), _DAMPING, dtype=torch.float64, device=image.device)
    moving = ~failed
    for _ in range(steps):
        if not moving.any():
            break
        rows = everything[moving]
        trial_u = problem.inside(state.u[rows] + _step(problem, state, damping, rows))
        trial = problem.expand(trial_u, rows)
        gain = state.value[rows] - trial.value
        better = gain > 0
        damping[rows] *= torch.where(better, _DOWN, _UP)
        accepted = rows[better]
        state.take(trial.rows(better), accepted)
        # a small gain of a heavily damped step says nothing
        settled = (better & (gain < TOLERANCE) & (damping[rows] < 1)) | (
            damping[rows] > _DAMPING_MAX
        )
        moving[rows[settled]] = False
    return _result(problem, state, failed, everything)


def _step(
    problem: FitProblem, state: FitState, damping: torch.Tensor, rows: torch.Tensor
) -> torch.Tensor:
    """Damped Newton step [n, q]; a parameter at the end of its range that pushes out stays."""
    u, downhill, curvature = state.u[rows], state.downhill[rows], state.curvature[rows]
    held = ((u <= problem.low) & (downhill < 0)) | ((u >= problem.high) & (downhill > 0))
    free = (~held).double()
    diagonal = torch.diagonal(curvature, dim1=-2, dim2=-1)
    damped = curvature * free[:, :, None] * free[:, None, :]
    damped = damped + torch.diag_embed(damping[rows, None] * diagonal + (1 - free))
    return torch.linalg.solve(damped, downhill * free).to(u.dtype)


def _result(
    problem: FitProblem, state: FitState, failed: torch.Tensor, everything: torch.Tensor
) -> ShapeFit:
    curvature = torch.where(failed[:, None, None], problem.precision, state.curvature)
    log_volume = problem.log_prior_volume - torch.linalg.slogdet(curvature)[1]
    evidence = -0.5 * state.value.double() + 0.5 * log_volume
    nothing = torch.tensor(torch.nan, dtype=state.u.dtype, device=state.u.device)
    return ShapeFit(
        problem.model,
        torch.where(failed[:, None], nothing, problem.params(state.u, everything)),
        torch.where(failed, nothing, state.chi2),
        torch.where(failed, nothing, state.penalty),
        torch.where(failed[:, None, None], torch.nan, torch.linalg.inv(curvature)),
        torch.where(failed, torch.nan, evidence),
        failed,
    )


def cramer_rao_sigma(
    params: torch.Tensor,
    image: torch.Tensor,
    variance: torch.Tensor,
    grid: PixelGrid,
    psf: torch.Tensor | PsfTransform | None,
    name: str = "theta_e",
    model: ImageModel = LENS,
) -> torch.Tensor:
    """Smallest standard error [n] of a free parameter that any fit to such images can have.

    params : [n, p], the truth; image : without noise
    The Bayesian Cramer-Rao bound (van Trees 1968, section 2.4.3): the inverse of the Fisher matrix
    at the truth plus the precision of the priors, fluxes marginalised. Relative where the
    parameter is fitted in its logarithm, as theta_e is.
    """
    return fit_shapes(model, params, image, variance, grid, psf, steps=0).sigma(name)
