"""What is fitted to an image: a galaxy with a lensed source, a ring or spiral, or a companion."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from lenshunt.lensing.lens_constraints import SHEAR_SIGMA
from lenshunt.lensing.sersic import sersic
from lenshunt.lensing.simulator import PARAMETERS, source_position

#: |e| up to which ellipticities are fitted: an axis ratio of 0.29.
ELLIPTICITY_MAX = 0.55
#: Azimuthal orders of the light of rings and spirals: as many as a quad has images.
HARMONICS = 4

Columns = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Prior:
    """Normal prior of one parameter, and the range in which it is fitted.

    mean, sigma : in the parameter, or in its natural logarithm where `logarithmic`, with `mean`
        itself always in the parameter's own unit; sigma 0 fixes the parameter at the start's value
    about : the parameter from whose value `mean` counts
    """

    mean: float
    sigma: float
    low: float
    high: float
    logarithmic: bool = False
    about: str | None = None


@dataclass(frozen=True)
class ImageModel:
    """A galaxy and a second component, each of free flux in every band.

    priors : of every parameter; the galaxy's are those named lens_*
    light : surface brightness of the second component at x, y from its columns; None: no such
    """

    name: str
    priors: dict[str, Prior]
    light: Callable[[torch.Tensor, torch.Tensor, Columns], torch.Tensor] | None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.priors)

    @property
    def free(self) -> tuple[str, ...]:
        return tuple(name for name, prior in self.priors.items() if prior.sigma > 0)


def _size(mean: float, sigma: float, low: float, high: float) -> Prior:
    return Prior(mean, sigma, low, high, logarithmic=True)


def _ellipticity(name: str, sigma: float) -> dict[str, Prior]:
    return {
        f"{name}_{e}": Prior(0.0, sigma, -ELLIPTICITY_MAX, ELLIPTICITY_MAX) for e in ("e1", "e2")
    }


def _centre(name: str, sigma: float, reach: float, about: str | None = None) -> dict[str, Prior]:
    return {
        f"{name}_{axis}": Prior(
            0.0, sigma, -reach, reach, about=f"{about}_{axis}" if about else None
        )
        for axis in ("x", "y")
    }


def _sersic(name: str, radius: Prior, index: Prior) -> dict[str, Prior]:
    return {f"{name}_radius": radius, f"{name}_sersic": index, **_ellipticity(name, 0.2)}


#: A galaxy in the middle of its cutout. Widths hold the population within 2 sigma; they decide
#: nothing in an image of high S/N and keep the absurd out of one of low S/N.
_GALAXY = {
    **_sersic("lens", _size(0.8, 0.6, 0.1, 4.0), _size(2.5, 0.5, 0.5, 6.0)),
    **_centre("lens", 0.1, 1.0),
}

#: Mass: isothermal, centred on the light within 0.05 arcsec, a shear as in `lens_constraints`.
#: The Einstein radius is that of galaxies, 0.5-2.5 arcsec; sources are a few tenths of an arcsec
#: wide and lie where they have several images.
_MASS = {
    "theta_e": _size(1.1, 0.45, 0.3, 3.0),
    "slope": Prior(2.0, 0.0, 1.4, 2.6),
    **_ellipticity("mass", 0.2),
    **_centre("mass", 0.05, 1.2, about="lens"),
    "gamma1": Prior(0.0, SHEAR_SIGMA, -0.3, 0.3),
    "gamma2": Prior(0.0, SHEAR_SIGMA, -0.3, 0.3),
}
_SOURCE = _sersic("source", _size(0.25, 0.6, 0.03, 1.5), _size(1.3, 0.5, 0.4, 4.0))


def _lensed(x: torch.Tensor, y: torch.Tensor, c: Columns) -> torch.Tensor:
    return _blob(*source_position(x, y, c), c)


def _blob(x: torch.Tensor, y: torch.Tensor, c: Columns) -> torch.Tensor:
    radius, n, e1, e2 = (c[f"source_{field}"] for field in ("radius", "sersic", "e1", "e2"))
    return sersic(x - c["source_x"], y - c["source_y"], radius, n, e1, e2)


def ring_light(x: torch.Tensor, y: torch.Tensor, c: Columns) -> torch.Tensor:
    """An inclined ring or spiral, log-normal in radius, with knots or arms; peak brightness ~ 1.

    exp(-(ln r/R)^2 / (2 width^2) + sum over m of a_m cos(m phi') + b_m sin(m phi')) with
    phi' = phi - winding ln(r/R): arms are logarithmic spirals of pitch arccot(winding). r and phi
    are measured in the plane of the disk, whose picture has ellipticity e1, e2.
    """
    dx, dy = x - c["ring_x"], y - c["ring_y"]
    e1, e2 = c["ring_e1"], c["ring_e2"]
    u, v = (1 - e1) * dx - e2 * dy, (1 + e1) * dy - e2 * dx
    r2 = (u * u + v * v) / (1 - e1 * e1 - e2 * e2) + 1e-6
    log_radius = 0.5 * torch.log(r2) - torch.log(c["ring_radius"])
    # a phase, not an angle: arctan2 has no gradient at the centre
    inverse = torch.rsqrt(u * u + v * v + 1e-6)
    turn = c["ring_winding"] * log_radius
    cos_turn, sin_turn = torch.cos(turn), torch.sin(turn)
    cos = inverse * (u * cos_turn + v * sin_turn)
    sin = inverse * (v * cos_turn - u * sin_turn)
    exponent = -0.5 * (log_radius / c["ring_width"]) ** 2
    cos_m, sin_m = cos, sin
    for m in range(1, HARMONICS + 1):
        exponent = exponent + c[f"ring_a{m}"] * cos_m + c[f"ring_b{m}"] * sin_m
        cos_m, sin_m = cos_m * cos - sin_m * sin, sin_m * cos + cos_m * sin
    return torch.exp(exponent)


_HARMONICS = {
    f"ring_{part}{m}": Prior(0.0, 1.0 / math.sqrt(m), -4.0, 4.0)
    for m in range(1, HARMONICS + 1)
    for part in "ab"
}

_LENSED = {**_MASS, **_GALAXY, **_SOURCE, **_centre("source", 0.25, 1.5)}

#: Columns as in `simulator.PARAMETERS`.
LENS = ImageModel("lens", {name: _LENSED[name] for name in PARAMETERS}, _lensed)
#: Rings and spirals: concentric with the galaxy, of the radii of arcs, wound either way.
RING = ImageModel(
    "ring",
    {
        **_GALAXY,
        "ring_radius": _size(1.1, 0.45, 0.2, 3.5),
        "ring_width": _size(0.3, 0.6, 0.05, 1.5),
        **_ellipticity("ring", 0.2),
        **_centre("ring", 0.1, 1.2, about="lens"),
        "ring_winding": Prior(0.0, 2.0, -7.0, 7.0),
        **_HARMONICS,
    },
    ring_light,
)
#: One galaxy beside the first that is not lensed.
COMPANION = ImageModel(
    "companion",
    {
        **_GALAXY,
        **_sersic("source", _size(0.4, 0.6, 0.03, 2.5), _size(1.3, 0.5, 0.4, 4.0)),
        **_centre("source", 1.0, 4.0),
    },
    _blob,
)
GALAXY = ImageModel("galaxy", _GALAXY, None)
