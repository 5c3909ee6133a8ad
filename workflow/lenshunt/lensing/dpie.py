"""Dual pseudo-isothermal elliptical mass distributions (dPIE, Lenstool profile 81).

Kassiola & Kovner 1993 (ApJ 417, 450), section 4.1; Eliasdottir et al. 2007 (arXiv:0710.5636),
appendix A. The dPIE is a cored pseudo-isothermal ellipsoid minus one with core r_cut, elliptical
in mass. Everything here is normalised to D_LS / D_S = 1; a source redshift only scales it.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from astropy.constants import c as speed_of_light

ARCSEC_PER_RADIAN = 180.0 * 3600.0 / np.pi
C_KM_S = speed_of_light.to_value("km/s")

# Below this the closed form loses digits (it divides by sqrt(eps)); the deflection of a rounder
# potential differs from that of this one by a relative 1e-7.
EPS_MIN = 1e-7
# Points times potentials evaluated at once: temporaries stay in the cache.
BLOCK = 1 << 15

Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Potentials:
    """dPIE parameters, every array [potential].

    x, y : centre, arcsec West and North of the reference (Lenstool's frame)
    ellipticity : (a^2 - b^2) / (a^2 + b^2) of the mass, 0 <= e < 1
    angle_deg : major axis, counter-clockwise from +x
    core, cut : arcsec, 0 < core < cut
    sigma_km_s : Lenstool's v_disp
    """

    name: np.ndarray
    x: np.ndarray
    y: np.ndarray
    ellipticity: np.ndarray
    angle_deg: np.ndarray
    core: np.ndarray
    cut: np.ndarray
    sigma_km_s: np.ndarray

    def __post_init__(self) -> None:
        for name, good, rule in (
            ("core", self.core > 0, "core > 0"),
            ("cut", self.cut > self.core, "cut > core"),
            ("ellipticity", (self.ellipticity >= 0) & (self.ellipticity < 1), "0 <= e < 1"),
            ("sigma_km_s", self.sigma_km_s >= 0, "sigma >= 0"),
        ):
            if not np.all(good):
                index = int(np.argmin(good))
                value = getattr(self, name)[index]
                raise ValueError(f"potential {self.name[index]}: {name} is {value}, need {rule}")

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: np.ndarray | slice) -> "Potentials":
        """The potentials at `index`."""
        return Potentials(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @property
    def b0(self) -> np.ndarray:
        """[potential] arcsec: 6 pi (sigma / c)^2; Lenstool's v_disp is not the stellar one."""
        return 6.0 * np.pi * (self.sigma_km_s / C_KM_S) ** 2 * ARCSEC_PER_RADIAN

    @property
    def eps(self) -> np.ndarray:
        """[potential]: (a - b) / (a + b), Kassiola & Kovner's ellipticity."""
        e = self.ellipticity
        # (1 - sqrt(1 - e^2)) / e, in the form without cancellation at small e.
        return np.maximum(e / (1.0 + np.sqrt(1.0 - e**2)), EPS_MIN)


def _ellipse_terms(x: np.ndarray, y: np.ndarray, core: np.ndarray, eps: np.ndarray) -> Arrays:
    """Numerator and denominator of Kassiola & Kovner's I'_1/2, and sqrt(core^2 + r_em^2).

    For y <= 0 both have a positive imaginary part: no zero on the way, no branch of the
    logarithm to choose.
    """
    q = (1.0 - eps) / (1.0 + eps)
    root = np.sqrt(eps)
    s = np.sqrt(core**2 + (x / (1.0 + eps)) ** 2 + (y / (1.0 - eps)) ** 2)
    return q * x, 2.0 * root * s - y / q, x, 2.0 * root * core - y, s


def _local_deflection(x: np.ndarray, y: np.ndarray, p: Potentials) -> Arrays:
    """Deflection in the frame of each potential: [potential, point] -> the same shape twice."""
    eps, core, cut = p.eps[:, None], p.core[:, None], p.cut[:, None]
    below = -np.abs(y)
    parts = []
    for radius in (core, cut):
        n_re, n_im, d_re, d_im, _ = _ellipse_terms(x, below, radius, eps)
        # Real and imaginary part, and squared modulus, of numerator / denominator.
        modulus = d_re**2 + d_im**2
        re, im = (n_re * d_re + n_im * d_im) / modulus, (n_im * d_re - n_re * d_im) / modulus
        parts.append((re, im, re**2 + im**2))
    (c_re, c_im, c_2), (t_re, t_im, t_2) = parts
    # Both ratios lie within 90 degrees of the real axis, so their quotient needs no unwrapping.
    angle = np.arctan2(c_im * t_re - c_re * t_im, c_re * t_re + c_im * t_im)
    scale = p.b0[:, None] * cut / (cut - core) * (1.0 - eps**2) / (2.0 * np.sqrt(eps))
    return scale * angle, np.sign(y) * 0.5 * scale * np.log(c_2 / t_2)


def _local_hessian(x: np.ndarray, y: np.ndarray, p: Potentials) -> Arrays:
    """Second derivatives xx, xy, yy of the lensing potential in the frame of each potential."""
    eps, core, cut = p.eps[:, None], p.core[:, None], p.cut[:, None]
    q, root = (1.0 - eps) / (1.0 + eps), np.sqrt(eps)
    below = -np.abs(y)
    re = np.zeros(np.broadcast_shapes(x.shape, eps.shape))
    im, inverse = np.zeros_like(re), np.zeros_like(re)
    for sign, radius in ((1.0, core), (-1.0, cut)):
        n_re, n_im, d_re, d_im, s = _ellipse_terms(x, below, radius, eps)
        slope = 2.0 * root * x / ((1.0 + eps) ** 2 * s)
        numerator, denominator = n_re**2 + n_im**2, d_re**2 + d_im**2
        re += sign * ((q * n_re + slope * n_im) / numerator - d_re / denominator)
        im += sign * ((slope * n_re - q * n_im) / numerator + d_im / denominator)
        inverse += sign / s
    b = p.b0[:, None] * cut / (cut - core)
    scale = b * (1.0 - eps**2) / (2.0 * root)
    xx = scale * im
    # kappa = b / 2 [1 / sqrt(core^2 + r_em^2) - 1 / sqrt(cut^2 + r_em^2)], and yy = 2 kappa - xx.
    return xx, np.sign(y) * scale * re, b * inverse - xx


def _offsets(p: Potentials, x: np.ndarray, y: np.ndarray) -> Arrays:
    angle = np.radians(p.angle_deg)[:, None]
    cos, sin = np.cos(angle), np.sin(angle)
    dx, dy = x[None, :] - p.x[:, None], y[None, :] - p.y[:, None]
    return cos * dx + sin * dy, cos * dy - sin * dx, cos, sin


def _deflection_block(p: Potentials, x: np.ndarray, y: np.ndarray) -> Arrays:
    u, v, cos, sin = _offsets(p, x, y)
    au, av = _local_deflection(u, v, p)
    return (cos * au - sin * av).sum(axis=0), (sin * au + cos * av).sum(axis=0)


def _hessian_block(p: Potentials, x: np.ndarray, y: np.ndarray) -> Arrays:
    u, v, cos, sin = _offsets(p, x, y)
    uu, uv, vv = _local_hessian(u, v, p)
    xx = cos**2 * uu - 2 * cos * sin * uv + sin**2 * vv
    yy = sin**2 * uu + 2 * cos * sin * uv + cos**2 * vv
    xy = cos * sin * (uu - vv) + (cos**2 - sin**2) * uv
    return xx.sum(axis=0), xy.sum(axis=0), yy.sum(axis=0)


def _in_blocks(
    function: Callable[[Potentials, np.ndarray, np.ndarray], Arrays],
    p: Potentials,
    x: np.ndarray | float,
    y: np.ndarray | float,
) -> Arrays:
    """Evaluate at points of any shape, a block at a time, so that memory stays small."""
    x, y = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    flat_x, flat_y = x.ravel(), y.ravel()
    step = max(1, BLOCK // max(1, len(p)))
    starts = range(0, max(1, flat_x.size), step)
    blocks = [function(p, flat_x[i : i + step], flat_y[i : i + step]) for i in starts]
    return tuple(np.concatenate(part).reshape(x.shape) for part in zip(*blocks, strict=True))


def deflection(p: Potentials, x: np.ndarray | float, y: np.ndarray | float) -> Arrays:
    """Deflection (alpha_x, alpha_y) in arcsec at D_LS / D_S = 1; x, y any shape, arcsec."""
    return _in_blocks(_deflection_block, p, x, y)


def hessian(p: Potentials, x: np.ndarray | float, y: np.ndarray | float) -> Arrays:
    """Derivatives (psi_xx, psi_xy, psi_yy) of the lensing potential at D_LS / D_S = 1."""
    return _in_blocks(_hessian_block, p, x, y)
