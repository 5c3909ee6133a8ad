"""What every lens model must obey: the lens equation, positive mass, a shear of plausible size."""

import torch

#: |magnification| beyond which an image counts no more: near a critical curve it diverges.
MAGNIFICATION_MAX = 30.0
#: Spread of each component of the external shear; the shears fitted to galaxy-scale lenses exceed
#: 0.05 (Etherington et al. 2024, arXiv:2301.05244).
SHEAR_SIGMA = 0.05


def lens_equation_loss(
    beta: torch.Tensor, weight: torch.Tensor, magnification: torch.Tensor
) -> torch.Tensor:
    """Mean squared offset in the image plane, arcsec^2, of images from one common source: [batch].

    beta : [batch, image, 2], each image traced back to the source plane, arcsec
    weight : [batch, image], 0 for a missing image
    magnification : [batch, image]; areas shrink by it on the way back, so that squared offsets in
        the source plane are multiplied by |magnification| (Keeton 2001, astro-ph/0102340, section
        4.1, in its isotropic form), in the mean source as in the scatter. It is a weight, not a
        path for the gradient: else predicting less magnification would lower the loss.
    Fewer than two images say nothing: 0.
    """
    there = weight > 0
    stretch = torch.where(there, magnification.detach().abs().clamp(max=MAGNIFICATION_MAX), 0.0)
    both = (weight * stretch)[..., None]
    at = torch.where(there[..., None], beta, 0.0)
    source = (both * at).sum(dim=1, keepdim=True) / both.sum(dim=1, keepdim=True).clamp(min=1e-12)
    squared = (both * (at - source) ** 2).sum(dim=(1, 2))
    total = torch.where(there, weight, 0.0).sum(dim=1).clamp(min=1e-12)
    return torch.where(there.sum(dim=1) >= 2, squared / total, 0.0)


def convergence_of(potential: torch.Tensor, step_arcsec: float) -> torch.Tensor:
    """kappa = laplace(psi) / 2 of potentials [batch, y, x] in arcsec^2, inner pixels only."""
    inner = potential[:, 1:-1, 1:-1]
    around = (
        potential[:, 2:, 1:-1]
        + potential[:, :-2, 1:-1]
        + potential[:, 1:-1, 2:]
        + potential[:, 1:-1, :-2]
    )
    return (around - 4 * inner) / (2 * step_arcsec**2)


def mass_conservation_loss(
    correction: torch.Tensor, kappa_smooth: torch.Tensor, step_arcsec: float
) -> torch.Tensor:
    """Penalty [batch] on a free-form correction of the potential that makes or negates mass.

    correction : [batch, y, x] arcsec^2; kappa_smooth : [batch, y - 2, x - 2] of the lens model
    Mean squared negative part of the total convergence, plus the square of the correction's mean
    convergence: it may move mass about, not add any.
    """
    extra = convergence_of(correction, step_arcsec)
    negative = torch.relu(-(kappa_smooth + extra))
    return (negative**2).mean(dim=(1, 2)) + extra.mean(dim=(1, 2)) ** 2


def shear_loss(
    gamma1: torch.Tensor, gamma2: torch.Tensor, sigma: float = SHEAR_SIGMA
) -> torch.Tensor:
    """-log prior of the external shear [batch]: normal, `sigma` per component, 0 without shear."""
    return (gamma1**2 + gamma2**2) / (2 * sigma**2)
