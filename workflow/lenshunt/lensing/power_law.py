"""Elliptical power law (SIE where the slope is 2) with external shear, in torch, batched."""

from typing import Any

import torch
from torch.autograd.function import once_differentiable

#: Terms of the angular series. The error falls like |e|^n: measured, 6e-5 Einstein radii for an
#: axis ratio of 0.2 and slope 2.3.
SERIES_TERMS = 20
#: Softening of the centre in arcsec: a ray exactly on it would have no direction and no gradient.
CORE_ARCSEC = 1e-4


def power_law_deflection(
    x: torch.Tensor,
    y: torch.Tensor,
    theta_e: torch.Tensor,
    slope: torch.Tensor,
    e1: torch.Tensor,
    e2: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Deflection in arcsec of an elliptical power law, kappa = (3 - slope)/2 (theta_e/R)^(slope-1).

    x, y : [batch, ...] arcsec from the centre of the lens
    theta_e : Einstein radius in arcsec, pi theta_e^2 the area inside the critical curve of slope 2
    slope : of the three-dimensional density, 1 < slope < 3; 2 is isothermal
    e1, e2 : ellipticity (1 - q)/(1 + q) times cos and sin of twice the angle of the major axis
    The parameters broadcast against x and y.

    Tessore & Metcalf 2015, A&A 580, A79, eqs. 11-13, in coordinates that are not rotated: with
    w = x + iy, e = e1 + i e2 and u = w - e conj(w), their elliptical radius is (1 + q)|u|/2, their
    angular argument u/|u|, and the axis ratio enters through |e|^2 alone. A round lens is
    therefore no special case, for the value as for the gradient.
    """
    ux = (1.0 - e1) * x - e2 * y
    uy = (1.0 + e1) * y - e2 * x
    inverse = torch.rsqrt(ux * ux + uy * uy + CORE_ARCSEC**2)
    dx, dy = ux * inverse, uy * inverse
    cos2, sin2 = dx * dx - dy * dy, 2.0 * dx * dy
    real, imaginary = _AngularSeries.apply(
        -(e1 * cos2 + e2 * sin2), e2 * cos2 - e1 * sin2, slope - 1.0
    )
    scale = torch.sqrt(1.0 - e1 * e1 - e2 * e2) * theta_e
    # without mass, a slope below 2 would take a negative power of 0
    size = scale * torch.pow(scale.clamp(min=CORE_ARCSEC) * inverse, slope - 2.0)
    return size * (dx * real - dy * imaginary), size * (dx * imaginary + dy * real)


def power_law_convergence(
    x: torch.Tensor,
    y: torch.Tensor,
    theta_e: torch.Tensor,
    slope: torch.Tensor,
    e1: torch.Tensor,
    e2: torch.Tensor,
) -> torch.Tensor:
    """Convergence kappa of the same lens, from its definition: positive where there is mass."""
    ux = (1.0 - e1) * x - e2 * y
    uy = (1.0 + e1) * y - e2 * x
    inverse = torch.rsqrt(ux * ux + uy * uy + CORE_ARCSEC**2)
    scale = torch.sqrt(1.0 - e1 * e1 - e2 * e2) * theta_e
    size = scale * inverse * torch.pow(scale.clamp(min=CORE_ARCSEC) * inverse, slope - 2.0)
    return (3.0 - slope) / 2.0 * size


def shear_deflection(
    x: torch.Tensor, y: torch.Tensor, gamma1: torch.Tensor, gamma2: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Deflection of an external shear about the origin of x, y."""
    return gamma1 * x + gamma2 * y, gamma2 * x - gamma1 * y


class _AngularSeries(torch.autograd.Function):
    """F = 2F1(1, t/2; 2 - t/2; z) as a power series in complex z, |z| < 1, with its own gradient.

    Summed as G = (F - 1)/z, which leads to the derivative without a second series: the recurrence
    of the coefficients, (c + n) a[n+1] = (b + n) a[n] with b = t/2 and c = 2 - b, says that
    (1 - z) F' = b F - (c - 1) G. Written out for autograd, every term of the sum would be kept.
    What is kept here has no second derivative: asking for one is an error.
    """

    @staticmethod
    def forward(
        ctx: Any, real: torch.Tensor, imaginary: torch.Tensor, t: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        terms, by_t = _coefficients(t)
        g_real, g_imaginary = _polynomial(real, imaginary, terms[1:])
        f_real = 1.0 + real * g_real - imaginary * g_imaginary
        f_imaginary = real * g_imaginary + imaginary * g_real
        if any(ctx.needs_input_grad):
            along_t = _polynomial(real, imaginary, by_t) if ctx.needs_input_grad[2] else ()
            ctx.save_for_backward(
                real, imaginary, t, f_real, f_imaginary, g_real, g_imaginary, *along_t
            )
        return f_real, f_imaginary

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, *gradients: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        grad_real, grad_imaginary = gradients
        real, imaginary, t, f_real, f_imaginary, g_real, g_imaginary, *along_t = ctx.saved_tensors
        b, rest = 0.5 * t, 1.0 - 0.5 * t
        over_real, over_imaginary = b * f_real - rest * g_real, b * f_imaginary - rest * g_imaginary
        under = 1.0 - real
        # the series is holomorphic: the gradient is the product with the conjugate derivative,
        # and dividing by conj(1 - z) is multiplying by (1 - z) / |1 - z|^2
        a = grad_real * over_real + grad_imaginary * over_imaginary
        c = grad_imaginary * over_real - grad_real * over_imaginary
        norm = 1.0 / (under * under + imaginary * imaginary)
        by_real = (a * under + c * imaginary) * norm
        by_imaginary = (c * under - a * imaginary) * norm
        by_t = None
        if along_t:
            by_t = (grad_real * along_t[0] + grad_imaginary * along_t[1]).sum_to_size(t.shape)
        return by_real, by_imaginary, by_t


def _coefficients(t: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Coefficients a_n of the series and da_n / dt, each of the shape of t."""
    terms, by_t = [torch.ones_like(t)], [torch.zeros_like(t)]
    for n in range(SERIES_TERMS - 1):
        over, under = t / 2 + n, 2 - t / 2 + n
        factor = over / under
        by_t.append(by_t[-1] * factor + terms[-1] * (0.5 * (under + over) / (under * under)))
        terms.append(terms[-1] * factor)
    return terms, by_t


def _polynomial(
    real: torch.Tensor, imaginary: torch.Tensor, terms: list[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Real and imaginary part of sum a_n z^n with real a_n.

    Clenshaw's form of Horner's rule needs one real product per term and sum.
    """
    twice = real + real
    minus_norm = -(real * real + imaginary * imaginary)
    before = terms[-1].expand_as(real)
    last = torch.addcmul(terms[-2], twice, before)
    for term in reversed(terms[1:-2]):
        last, before = torch.addcmul(torch.addcmul(term, twice, last), minus_norm, before), last
    value = torch.addcmul(torch.addcmul(terms[0], real, last), minus_norm, before)
    return value, imaginary * last
