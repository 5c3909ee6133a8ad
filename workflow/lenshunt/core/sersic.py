"""What all Sersic profiles share, in numpy and in torch: b_n, flux, and what a radius is.

The profile is I_e exp(-b_n ((r / r_e)^(1/n) - 1)): Graham & Driver 2005, PASA 22, 118, eq. 1. A
*half-light radius* is everywhere that of the circle with the area of the half-light ellipse
(circularised); the long half-axis of that ellipse is called `semi_major`.
"""

from typing import Any

import numpy as np
from scipy.special import gamma, gammainc


def sersic_b(n: Any) -> Any:
    """b_n with which half of the light lies within the half-light radius.

    n : Sersic index; a number, an array or a tensor, and so is the result
    Ciotti & Bertin 1999, A&A 352, 447, eq. 18, to 1 / n^2. The error is below 1e-4 for n > 0.7,
    5e-4 at n = 0.5 and 4e-3 at n = 0.3. The series is asymptotic: its next term, 131 / (1148175
    n^3), makes it worse for all n < 3.2.
    """
    return 2 * n - 1 / 3 + 4 / (405 * n) + 46 / (25515 * n**2)


def sersic_flux(n: float, b: float, radii: float = np.inf) -> float:
    """Flux within `radii` half-light radii, for r_e = I_e = 1: Graham & Driver 2005, eq. 2."""
    total = 2 * np.pi * n * np.exp(b) * b ** (-2 * n) * gamma(2 * n)
    return float(total * gammainc(2 * n, b * radii ** (1 / n)))


def semi_major_of(half_light_radius: float, q: float) -> float:
    """Long half-axis of the half-light ellipse of axis ratio q = b/a, in the unit of the radius."""
    return half_light_radius / np.sqrt(q)


def half_light_radius_of(semi_major: float, q: float) -> float:
    """The inverse: circularised radius of an ellipse."""
    return semi_major * np.sqrt(q)
