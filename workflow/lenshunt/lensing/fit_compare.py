"""Lens or not, from the image alone: blind fits of a lens and of what mimics one, compared."""

from dataclasses import dataclass

import torch

from lenshunt.lensing.amplitudes import UNSEEN, fit_amplitudes
from lenshunt.lensing.fit import ShapeFit, fit_from_starts, fit_shapes
from lenshunt.lensing.fit_models import COMPANION, GALAXY, LENS, RING, ImageModel
from lenshunt.lensing.fit_problem import middle_of
from lenshunt.lensing.fit_templates import second_shapes, templates
from lenshunt.lensing.pixel_grid import PixelGrid
from lenshunt.lensing.psf_convolution import PsfTransform, psf_transform

#: Random second components among which starts are looked for, and starts per image.
BANK, STARTS = 1500, 4


@dataclass(frozen=True)
class Comparison:
    """n images, four explanations of each; what follows from them is NaN where a fit failed.

    dof : [n], usable pixels less the parameters of a lens
    """

    galaxy: ShapeFit
    lens: ShapeFit
    ring: ShapeFit
    companion: ShapeFit
    dof: torch.Tensor

    @property
    def gain(self) -> torch.Tensor:
        """chi2 of the best galaxy alone minus chi2 of the best lens, [n], in sigma^2.

        Never negative: a galaxy is a lens with a source of no flux, so that a difference below 0
        only says that the search fell short.
        """
        return (self.galaxy.chi2 - self.lens.chi2).clamp(min=0)

    @property
    def reduced_chi2(self) -> torch.Tensor:
        return self.lens.chi2 / self.dof

    @property
    def log_bayes(self) -> torch.Tensor:
        """ln of the evidence for a lens over that of the best explanation without one, [n].

        A gain says that there is light beside the galaxy, the difference in evidence that only a
        lens makes it fall like this: what fits as well with simpler or likelier parameters
        counts against it (Kass & Raftery 1995, J. Am. Stat. Assoc. 90, 773; above 5 is "very
        strong"). The noise must be known and the models true for that scale to hold; as a rank
        it needs neither.
        """
        others = [fit.log_evidence for fit in (self.galaxy, self.ring, self.companion)]
        return self.lens.log_evidence - torch.stack(others).amax(dim=0)


def prior_draws(model: ImageModel, n: int, generator: torch.Generator) -> torch.Tensor:
    """Parameters [n, p] drawn from the priors of `model`, within their ranges."""
    columns: dict[str, torch.Tensor] = {}
    # parameters that count from another come after it
    for name in sorted(model.names, key=lambda name: model.priors[name].about is not None):
        prior = model.priors[name]
        draw = prior.sigma * torch.randn(n, generator=generator)
        value = prior.mean * draw.exp() if prior.logarithmic else prior.mean + draw
        if prior.about is not None:
            value = value + columns[prior.about]
        columns[name] = value.clamp(prior.low, prior.high)
    return torch.stack([columns[name] for name in model.names], dim=1)


def fit_galaxy(
    image: torch.Tensor, variance: torch.Tensor, grid: PixelGrid, psf: PsfTransform | None
) -> ShapeFit:
    """The galaxy alone, from the middle of its priors."""
    start = middle_of(GALAXY).to(image).expand(len(image), -1)
    return fit_shapes(GALAXY, start, image, variance, grid, psf)


def fit_blind(
    model: ImageModel,
    galaxy: ShapeFit,
    image: torch.Tensor,
    variance: torch.Tensor,
    grid: PixelGrid,
    psf: PsfTransform | None,
    seed: int = 0,
) -> ShapeFit:
    """Best fit of `model` from no more than the image and the galaxy fitted to it.

    Of BANK second components drawn from the priors, those that explain most of what the galaxy
    leaves over are fitted for a few steps, and the best of these to the end.
    """
    generator = torch.Generator().manual_seed(seed)
    bank = prior_draws(model, BANK, generator).to(image)
    score = _explained_by_bank(model, bank, galaxy, image, variance, grid, psf)
    chosen = score.topk(STARTS, dim=1).indices.mT
    shared = [name for name in model.names if name in galaxy.model.names]
    columns = [model.names.index(name) for name in shared]
    own = galaxy.params[:, [galaxy.model.names.index(name) for name in shared]]
    starts = []
    for rows in chosen:
        start = bank[rows].clone()
        start[:, columns] = own
        starts.append(start)
    return fit_from_starts(model, starts, image, variance, grid, psf)


def _explained_by_bank(
    model: ImageModel,
    bank: torch.Tensor,
    galaxy: ShapeFit,
    image: torch.Tensor,
    variance: torch.Tensor,
    grid: PixelGrid,
    psf: PsfTransform | None,
) -> torch.Tensor:
    """chi2 [n, bank] that each component removes from galaxy + image, the galaxy's flux free."""
    # a galaxy that could not be fitted is reported by the fits that start from it
    drawn = torch.where(galaxy.failed[:, None], middle_of(GALAXY).to(image), galaxy.params)
    lens = templates(GALAXY, drawn, grid, psf).shapes
    usable = torch.isfinite(variance) & (variance > 0) & torch.isfinite(image)
    weight = torch.where(usable, 1.0 / torch.where(usable, variance, 1.0), 0.0)
    fluxes = fit_amplitudes(image, variance, lens).fluxes[..., 0]
    left = torch.where(usable, image, 0.0) - lens[:, :, 0] * fluxes[..., None, None]
    shapes = second_shapes(model, bank, grid, psf)
    total = torch.zeros(len(image), len(bank), dtype=image.dtype, device=image.device)
    for band in range(image.shape[1]):
        shape = shapes[:, min(band, shapes.shape[1] - 1)].flatten(1)
        w = weight[:, band].flatten(1)
        own = lens[:, min(band, lens.shape[1] - 1), 0].flatten(1)
        along = (w * left[:, band].flatten(1)) @ shape.mT
        norm = w @ shape.square().mT
        shared = ((w * own) @ shape.mT).square()
        norm = norm - shared / (w * own.square()).sum(1, keepdim=True).clamp(min=UNSEEN)
        total += along.clamp(min=0).square() / norm.clamp(min=UNSEEN)
    return torch.nan_to_num(total, nan=0.0, posinf=0.0)


def compare_explanations(
    image: torch.Tensor,
    variance: torch.Tensor,
    grid: PixelGrid,
    psf: torch.Tensor | PsfTransform | None,
    seed: int = 0,
) -> Comparison:
    """Fit a lens, a ring or spiral, an unlensed companion and nothing beside the galaxy, blindly.

    image, variance : [n, band, y, x] as for `fit_shapes`
    """
    transform = psf_transform(psf, grid.size_px) if isinstance(psf, torch.Tensor) else psf
    seen = (image, variance, grid, transform)
    galaxy = fit_galaxy(*seen)
    lens, ring, companion = (
        fit_blind(model, galaxy, *seen, seed=seed) for model in (LENS, RING, COMPANION)
    )
    usable = torch.isfinite(variance) & (variance > 0) & torch.isfinite(image)
    fluxes = 2 * usable.flatten(2).any(dim=2).sum(dim=1)
    dof = usable.sum(dim=(1, 2, 3)) - fluxes - len(LENS.free)
    return Comparison(galaxy, lens, ring, companion, dof)
