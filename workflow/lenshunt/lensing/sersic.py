"""Sersic light in torch, of unit total flux."""

import math

import torch

#: Softening of the radius in arcsec: at the very centre the gradient of a cusp does not exist.
CORE_ARCSEC = 1e-4


def sersic_b(n: torch.Tensor) -> torch.Tensor:
    """b_n with which the effective radius holds half the light; error < 1e-4 for n > 0.36.

    Ciotti & Bertin 1999, A&A 352, 447, eq. 18.
    """
    return 2 * n - 1 / 3 + (4 / 405 + (46 / 25515 + 131 / (1148175 * n)) / n) / n


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
    radius : effective radius in arcsec of the circle with the area of the half-light ellipse
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
