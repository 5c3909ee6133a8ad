"""Fluxes that fit an image best for given shapes: closed form, non-negative, differentiable."""

from dataclasses import dataclass

import torch

#: Two templates with 1 - correlation^2 below this are one another's copy within float32: only one
#: gets flux. A ridge on every fit would do as well, but moves fluxes off the minimum of chi2, and
#: the gradient of a bright image with them.
COPY = 1e-6
#: A template whose weighted square is below this fraction of the largest weight is not in the
#: image: its flux would be a quotient of rounding errors.
UNSEEN = 1e-12


@dataclass(frozen=True)
class Fit:
    """Best fluxes and their chi2.

    fluxes : [batch, band, 2], lens and source; 0 in a band without usable pixels
    chi2 : [batch, band]; 0 in a band without usable pixels
    n_pixels : [batch, band], usable pixels
    """

    fluxes: torch.Tensor
    chi2: torch.Tensor
    n_pixels: torch.Tensor


def fit_amplitudes(image: torch.Tensor, variance: torch.Tensor, templates: torch.Tensor) -> Fit:
    """Non-negative fluxes of lens and source that minimise chi2, per band.

    image, variance : [batch, band, y, x]; variance +inf, NaN or 0 where a pixel is unusable
    templates : [batch, band or 1, 1 or 2, y, x], from `render_batch`
    The 2 x 2 non-negative least squares has four candidates (both free, one of them 0, both 0);
    the best of those that are allowed is taken, and the gradient of the fluxes runs through its
    closed form. The gradient of chi2 needs none of that: at the minimum its derivative by the
    fluxes is 0, or a flux is held at 0, so it is taken at fixed fluxes.
    """
    with torch.autocast(image.device.type, enabled=False):
        dtype = torch.promote_types(templates.dtype, torch.float32)
        usable = torch.isfinite(variance) & (variance > 0) & torch.isfinite(image)
        weight = torch.where(usable, 1.0 / torch.where(usable, variance, 1.0), 0.0).to(dtype)
        data = torch.where(usable, image, 0.0).to(dtype)
        shapes = templates.to(dtype)
        normal, right = _normal_equations(data, weight, shapes)
        seen = torch.diagonal(normal, dim1=-2, dim2=-1) > UNSEEN * weight.amax((-2, -1))[..., None]
        fluxes = non_negative_solution(normal, right, seen)
        residual = data - _model(shapes, fluxes.detach())
        chi2 = (weight * residual**2).sum(dim=(-2, -1))
    return Fit(fluxes, chi2, usable.sum(dim=(-2, -1)))


def chi2_gain(with_source: Fit, without: Fit, noise_corr: torch.Tensor) -> torch.Tensor:
    """chi2 without a source minus chi2 with one, in sigma^2, summed over bands: [batch].

    with_source, without : of one image and one lens galaxy
    noise_corr : [batch, band], variance of a sum over a large box / sum of the variances; of no
        account in a band without usable pixels
    Never negative: the models are nested. Its meaning comes from comparison with objects that
    are no lenses.
    """
    seen = with_source.n_pixels > 0
    gain = (without.chi2 - with_source.chi2) / torch.where(seen, noise_corr, 1.0)
    return gain.clamp(min=0).sum(dim=1)


def _normal_equations(
    data: torch.Tensor, weight: torch.Tensor, shapes: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """N [batch, band, i, i] and r [batch, band, i] of chi2 = a.N.a - 2 a.r + constant."""
    data, weight, shapes = data.flatten(-2), weight.flatten(-2), shapes.flatten(-2)
    weighted = weight[:, :, None] * shapes
    normal = weighted @ shapes.mT.expand(-1, weight.shape[1], -1, -1)
    return normal, (weighted @ data[..., None])[..., 0]


def _model(shapes: torch.Tensor, fluxes: torch.Tensor) -> torch.Tensor:
    return (shapes * fluxes[..., None, None]).sum(dim=2)


def non_negative_solution(
    normal: torch.Tensor, right: torch.Tensor, seen: torch.Tensor
) -> torch.Tensor:
    """Argument >= 0 that minimises a.N.a - 2 a.r for N [..., i, i], r [..., i], i = 1 or 2.

    seen : [..., i] bool; the others are 0
    """
    diagonal = torch.diagonal(normal, dim1=-2, dim2=-1)
    safe = torch.where(seen, diagonal, 1.0)
    alone = torch.where(seen, right / safe, 0.0).clamp(min=0)
    if right.shape[-1] == 1:
        return alone
    # scaled to a unit diagonal: the determinant is then 1 - correlation^2, free of units
    root = torch.sqrt(safe)
    correlation = torch.where(seen.all(-1), normal[..., 0, 1] / (root[..., 0] * root[..., 1]), 0.0)[
        ..., None
    ]
    r = right / root
    determinant = 1 - correlation**2
    both = (r - correlation * r.flip(-1)) / determinant.clamp(min=COPY) / root
    free = seen.all(-1, keepdim=True) & (determinant > COPY)
    allowed = (both >= 0).all(-1, keepdim=True) & free
    # with one of them 0, the one that explains more stays
    explained = alone * right
    first = explained[..., :1] >= explained[..., 1:]
    single = alone * torch.cat([first, ~first], dim=-1)
    return torch.where(allowed, both, single)
