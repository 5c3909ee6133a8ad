"""Sersic light in torch, of unit total flux."""

import math

import torch

from lenshunt.core.sersic import sersic_b

#: Softening of the radius in arcsec: at the very centre the gradient of a cusp does not exist.
CORE_ARCSEC = 1e-4


def sersic(
    x: torch.Tensor,
    y: torch.Tensor,
    radius: torch.Tensor,
    n: torch.Tensor,
    e1: torch.Tensor,
    e2: torch.Tensor,
    core_arcsec: float = CORE_ARCSEC,
) -> torch.Tensor:
    """Surface brightness per square arcsec of an elliptical Sersic profile of flux 1.

    x, y : arcsec from its centre
    radius : half-light radius in arcsec, circularised (core.sersic)
    n : Sersic index
    e1, e2 : ellipticity (1 - q)/(1 + q) times cos and sin of twice the angle of the major axis
    core_arcsec : added to the radius in quadrature
    Graham & Driver 2005, PASA 22, 118, eqs. 1 and 4. The parameters broadcast against x and y.
    """
    b = sersic_b(n)
    u = (1 - e1) * x - e2 * y
    v = (1 + e1) * y - e2 * x
    r2 = (u * u + v * v) * (1 / (1 - e1 * e1 - e2 * e2)) + core_arcsec**2
    log_flux = (
        math.log(2 * math.pi)
        + torch.log(n)
        + 2 * torch.log(radius)
        - 2 * n * torch.log(b)
        + torch.lgamma(2 * n)
    )
    # b (r / radius)^(1/n) in one exponential
    half = 0.5 / n
    steepness = torch.exp(half * torch.log(r2) + (torch.log(b) - 2 * half * torch.log(radius)))
    return torch.exp(-steepness - log_flux)
