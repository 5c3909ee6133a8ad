"""chi2 plus priors of an image model, with gradient and curvature, the fluxes solved."""

from dataclasses import dataclass, fields

import torch

from lenshunt.lensing.amplitudes import UNSEEN, fit_amplitudes
from lenshunt.lensing.fit_models import ELLIPTICITY_MAX, ImageModel
from lenshunt.lensing.fit_templates import templates
from lenshunt.lensing.pixel_grid import PixelGrid
from lenshunt.lensing.psf_convolution import PsfTransform


@dataclass
class FitState:
    """Where n fits stand, and chi2 + penalty around there, as a quadratic form.

    u : [n, q], the free parameters, in logarithm where the prior is; chi2, penalty : [n]
    downhill : [n, q], curvature : [n, q, q]: half the negative gradient, half the Hessian in the
        approximation of Gauss and Newton, float64
    """

    u: torch.Tensor
    chi2: torch.Tensor
    penalty: torch.Tensor
    downhill: torch.Tensor
    curvature: torch.Tensor

    @property
    def value(self) -> torch.Tensor:
        return self.chi2 + self.penalty

    def rows(self, which: torch.Tensor) -> "FitState":
        return FitState(*(getattr(self, field.name)[which] for field in fields(self)))

    def take(self, other: "FitState", rows: torch.Tensor) -> None:
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(other, field.name)


def middle_of(model: ImageModel) -> torch.Tensor:
    """The parameters [p] in the middle of the priors of `model`."""
    return torch.tensor([prior.mean for prior in model.priors.values()])


class FitProblem:
    """Images, noise and a model: value, gradient and curvature of chi2 plus priors."""

    def __init__(
        self,
        model: ImageModel,
        image: torch.Tensor,
        variance: torch.Tensor,
        grid: PixelGrid,
        psf: PsfTransform | None,
        start: torch.Tensor,
    ) -> None:
        self.model, self.image, self.variance, self.grid = model, image, variance, grid
        self.psf, self.start = psf, start.to(image.dtype)
        self.usable = torch.isfinite(variance) & (variance > 0) & torch.isfinite(image)
        self.n_pixels = self.usable.sum(dim=(1, 2, 3))
        self.middle = middle_of(model).to(self.start)
        self.columns = [model.names.index(name) for name in model.free]
        priors = [model.priors[name] for name in model.free]
        self.log = torch.tensor([p.logarithmic for p in priors], device=image.device)
        self.mean = self.to_u(image.new_tensor([p.mean for p in priors]))
        self.low = self.to_u(image.new_tensor([p.low for p in priors]))
        self.high = self.to_u(image.new_tensor([p.high for p in priors]))
        # rows of the priors: a parameter, or its distance from the one it counts from
        rows = torch.eye(len(priors), dtype=torch.float64, device=image.device)
        for i, prior in enumerate(priors):
            if prior.about in model.free:
                rows[i, model.free.index(prior.about)] = -1.0
        rows = rows / image.new_tensor([p.sigma for p in priors]).double()[:, None]
        self.rows, self.precision = rows, rows.mT @ rows
        self.log_prior_volume = float(torch.linalg.slogdet(self.precision)[1])

    def to_u(self, values: torch.Tensor) -> torch.Tensor:
        return torch.where(self.log, values.clamp(min=1e-6).log(), values)

    def params(self, u: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        """All parameters of the images `which`, [n, p]: the fixed ones as in the start."""
        values = self.start[which].clone()
        values[:, self.columns] = torch.where(self.log, u.exp(), u)
        return values

    def inside(self, u: torch.Tensor) -> torch.Tensor:
        """`u` moved back into the ranges of the priors, ellipticities into their disk."""
        u = torch.minimum(torch.maximum(u, self.low), self.high)
        for i, name in enumerate(self.model.free):
            if name.endswith("_e1"):
                pair = [i, self.model.free.index(name[:-1] + "2")]
                size = u[:, pair].norm(dim=1, keepdim=True) / ELLIPTICITY_MAX
                u[:, pair] = u[:, pair] / size.clamp(min=1.0)
        return u

    def _psf_of(self, which: torch.Tensor) -> PsfTransform | None:
        if self.psf is None or len(self.psf.spectrum) == 1:
            return self.psf
        return PsfTransform(self.psf.spectrum[which], self.psf.box)

    def expand(self, u: torch.Tensor, which: torch.Tensor) -> FitState:
        """The state at `u`; value inf where the model cannot be rendered.

        Fluxes are solved at every step and the derivatives projected off the templates: the
        variable projection of Golub & Pereyra 1973 in the form of Kaufman 1975, BIT 15, 49.
        """
        params = self.params(u, which)
        fine = torch.isfinite(params).all(dim=1)
        # something to draw in the rows that are reported as failed
        params = torch.where(fine[:, None], params, self.middle)
        made = templates(self.model, params, self.grid, self._psf_of(which))
        image, variance = self.image[which], self.variance[which]
        fine &= torch.isfinite(made.shapes).flatten(1).all(1)
        fine &= torch.isfinite(made.slopes).flatten(1).all(1)
        shapes = torch.where(fine[:, None, None, None, None], made.shapes, 0.0)
        slopes = torch.where(fine[:, None, None, None, None], made.slopes, 0.0)
        fit = fit_amplitudes(image, variance, shapes)
        usable = self.usable[which]
        root = torch.where(usable, torch.where(usable, variance, 1.0).rsqrt(), 0.0)
        fluxes = fit.fluxes
        model = (shapes * fluxes[..., None, None]).sum(dim=2)
        residual = (torch.where(usable, image, 0.0) - model) * root
        # the chain rule for parameters fitted in their logarithm
        scale = fluxes[:, :, made.owner] * torch.where(self.log, u.exp(), 1.0)[:, None]
        jacobian = (slopes * (root[:, :, None] * scale[..., None, None])).flatten(-2)
        basis = (shapes * root[:, :, None]).flatten(-2)
        curvature = (jacobian @ jacobian.mT).double().sum(dim=1)
        curvature = curvature - _explained(basis, jacobian, fluxes)
        downhill = (jacobian @ residual.flatten(-2)[..., None])[..., 0].double().sum(dim=1)
        away = (u - self.mean).double() @ self.rows.mT
        value = torch.where(fine, fit.chi2.sum(dim=1), torch.inf)
        return FitState(
            u, value, away.square().sum(dim=1).to(u.dtype),
            downhill - away @ self.rows, curvature + self.precision,
        )  # fmt: skip


def _explained(basis: torch.Tensor, jacobian: torch.Tensor, fluxes: torch.Tensor) -> torch.Tensor:
    """What changes of the fluxes explain of the curvature: [n, q, q], float64.

    basis : [n, band, 1 or 2, pixel]; jacobian : [n, band, q, pixel]; only fluxes above 0 move
    """
    active = (fluxes > 0).double()
    normal = (basis @ basis.mT).double() * active[..., :, None] * active[..., None, :]
    normal = normal + torch.diag_embed(1.0 - active)
    diagonal = torch.diagonal(normal, dim1=-2, dim2=-1).clamp(min=UNSEEN)
    unit = diagonal.rsqrt()
    normal = normal * unit[..., :, None] * unit[..., None, :]
    # templates that are one another's copy are told apart by nothing: a ridge keeps them apart
    normal = normal + 1e-9 * torch.eye(normal.shape[-1], dtype=torch.float64, device=basis.device)
    cross = (basis @ jacobian.mT).double() * (active * unit)[..., None]
    return (cross.mT @ torch.linalg.solve(normal, cross)).sum(dim=1)
