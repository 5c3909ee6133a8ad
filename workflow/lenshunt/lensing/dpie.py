"""Dual pseudo-isothermal elliptical mass distributions (dPIE, Lenstool profile 81).

Kassiola & Kovner 1993 (ApJ 417, 450), section 4.1; Eliasdottir et al. 2007 (arXiv:0710.5636),
appendix A. The dPIE is a cored pseudo-isothermal ellipsoid minus one with core r_cut, elliptical
in mass. Everything here is normalised to D_LS / D_S = 1; a source redshift only scales it.

Parameters and points may be numpy arrays, or torch tensors (`torch_potentials`): the formulas are
the same, and with tensors they have gradients.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from types import ModuleType
from typing import Any

import numpy as np
from astropy.constants import c as speed_of_light

ARCSEC_PER_RADIAN = 180.0 * 3600.0 / np.pi
C_KM_S = speed_of_light.to_value("km/s")

# The round limit of the closed form is 0 / 0; the deflection of a rounder potential differs from
# that of this one by a relative 1e-10.
EPS_MIN = 1e-10
# Second derivatives at the centre lose digits as 3e-8 / eps in single precision: below this floor
# they would be wrong altogether. It costs a relative 1e-5 elsewhere.
EPS_MIN_SINGLE = 1e-5
# Points times potentials evaluated at once: temporaries stay in the cache.
BLOCK = 1 << 15

#: A numpy array or a torch tensor: sqrt, where, sum(axis=...) and the like are named alike in both.
Array = Any
Arrays = tuple[Array, ...]


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
    x: Array
    y: Array
    ellipticity: Array
    angle_deg: Array
    core: Array
    cut: Array
    sigma_km_s: Array

    def __post_init__(self) -> None:
        for name, good, rule in (
            ("core", self.core > 0, "core > 0"),
            ("cut", self.cut > self.core, "cut > core"),
            ("ellipticity", (self.ellipticity >= 0) & (self.ellipticity < 1), "0 <= e < 1"),
            ("sigma_km_s", self.sigma_km_s >= 0, "sigma >= 0"),
        ):
            if not good.all():
                index = int(np.argmin(good if isinstance(good, np.ndarray) else good.cpu().numpy()))
                value = getattr(self, name)[index]
                raise ValueError(f"potential {self.name[index]}: {name} is {value}, need {rule}")

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: np.ndarray | slice) -> "Potentials":
        """The potentials at `index`."""
        return Potentials(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @property
    def b0(self) -> Array:
        """[potential] arcsec: 6 pi (sigma / c)^2; Lenstool's v_disp is not the stellar one."""
        return 6.0 * np.pi * (self.sigma_km_s / C_KM_S) ** 2 * ARCSEC_PER_RADIAN

    @property
    def eps(self) -> Array:
        """[potential]: (a - b) / (a + b), Kassiola & Kovner's ellipticity."""
        e = self.ellipticity
        # (1 - sqrt(1 - e^2)) / e, in the form without cancellation at small e.
        return module_of(e).clip(e / (1.0 + (1.0 - e**2) ** 0.5), EPS_MIN, None)


def _shared(x: Array, below: Array, eps: Array) -> Arrays:
    """What both radii of a dPIE share: x^2, y / (1 - eps), r_em^2 and (2 x / (1 + eps))^2."""
    x_2 = x * x
    stretched = below / (1.0 - eps)
    flat = x_2 * (1.0 / (1.0 + eps) ** 2)
    return x_2, stretched, flat + stretched * stretched, 4.0 * flat


def _ratio(shared: Arrays, below: Array, radius: Array, eps: Array, root: Array) -> Arrays:
    """Of Kassiola & Kovner's I'_1/2 = N / D, N = q x + i n and D = x + i d, what all need.

    below : -|y|. There n and d are positive: no zero on the way, no branch of the logarithm.
    Returns s = sqrt(radius^2 + r_em^2), n, d, |D|^2 and (|N|^2 - |D|^2) / sqrt(eps). The round
    limit divides by sqrt(eps), so every difference that vanishes with eps is written out without
    it: float32 keeps its digits.
    """
    x_2, stretched, r_2, lean = shared
    s = module_of(r_2).sqrt(radius * radius + r_2)
    d = 2.0 * root * radius - below
    difference = (s - radius) - root * stretched
    excess = 4.0 * difference * (root * (s + radius) - stretched) - root * lean
    return s, 2.0 * root * s - (1.0 + eps) * stretched, d, x_2 + d * d, excess


def _local_deflection(x: Array, y: Array, p: Potentials) -> Arrays:
    """Deflection in the frame of each potential: [potential, point] -> the same shape twice."""
    xp = module_of(x)
    eps, core, cut = p.eps[:, None], p.core[:, None], p.cut[:, None]
    q, root = (1.0 - eps) / (1.0 + eps), xp.sqrt(eps)
    # The side of the axis as a factor, not a modulus: y = 0 keeps its derivative.
    side = 1.0 - 2.0 * (y > 0)
    below = side * y
    shared = _shared(x, below, eps)
    lever = shared[1] * (2.0 * root / (1.0 + eps))
    parts = []
    for radius in (core, cut):
        s, n, d, modulus, excess = _ratio(shared, below, radius, eps, root)
        # N conj(D) / |D|^2: its real part, and its imaginary part over sqrt(eps).
        inverse = 1.0 / modulus
        re = (q * shared[0] + n * d) * inverse
        im = 2.0 * x * (s - q * radius - lever) * inverse
        parts.append((re, im, root * excess * inverse))
    (c_re, c_im, c_2), (t_re, t_im, t_2) = parts
    # Both ratios lie within 90 degrees of the real axis, so their quotient needs no unwrapping.
    angle = xp.arctan2(root * (c_im * t_re - c_re * t_im), c_re * t_re + eps * (c_im * t_im))
    scale = p.b0[:, None] * cut / (cut - core) * (1.0 - eps**2) / (2.0 * root)
    return scale * angle, -0.5 * scale * (side * xp.log1p((c_2 - t_2) / (1.0 + t_2)))


def _local_hessian(x: Array, y: Array, p: Potentials) -> Arrays:
    """Second derivatives xx, xy, yy of the lensing potential in the frame of each potential."""
    xp = module_of(x)
    floor = EPS_MIN if xp.finfo(x.dtype).bits == 64 else EPS_MIN_SINGLE
    eps = xp.clip(p.eps, floor, None)[:, None]
    core, cut = p.core[:, None], p.cut[:, None]
    q, root, squeeze = (1.0 - eps) / (1.0 + eps), xp.sqrt(eps), 2.0 / (1.0 + eps) ** 2
    below = -xp.abs(y)
    shared = _shared(x, below, eps)
    bend = squeeze * q * shared[0]
    # d log(N / D) / dx over sqrt(eps), core minus cut: real part re (over x), imaginary part im.
    parts = []
    for radius in (core, cut):
        s, n, d, modulus, excess = _ratio(shared, below, radius, eps, root)
        inverse = 1.0 / s
        both = 1.0 / ((modulus + root * excess) * modulus)
        im = (bend * inverse + 2.0 * (radius - q * s)) * modulus + excess * d
        re = squeeze * (n * inverse - 2.0 * root) * modulus - excess
        parts.append((re * both, im * both, inverse))
    (c_re, c_im, c_inverse), (t_re, t_im, t_inverse) = parts
    b = p.b0[:, None] * cut / (cut - core)
    scale = 0.5 * b * (1.0 - eps**2)
    xx = scale * (c_im - t_im)
    # kappa = b / 2 [1 / sqrt(core^2 + r_em^2) - 1 / sqrt(cut^2 + r_em^2)], and yy = 2 kappa - xx.
    yy = b * (c_inverse - t_inverse) - xx
    return xx, scale * (xp.sign(y) * x * (c_re - t_re)), yy


def _offsets(p: Potentials, x: Array, y: Array) -> Arrays:
    xp = module_of(x)
    angle = p.angle_deg[:, None] * (np.pi / 180.0)
    cos, sin = xp.cos(angle), xp.sin(angle)
    dx, dy = x[None, :] - p.x[:, None], y[None, :] - p.y[:, None]
    return cos * dx + sin * dy, cos * dy - sin * dx, cos, sin


def _deflection_block(p: Potentials, x: Array, y: Array) -> Arrays:
    u, v, cos, sin = _offsets(p, x, y)
    au, av = _local_deflection(u, v, p)
    return (cos * au - sin * av).sum(axis=0), (sin * au + cos * av).sum(axis=0)


def _hessian_block(p: Potentials, x: Array, y: Array) -> Arrays:
    u, v, cos, sin = _offsets(p, x, y)
    uu, uv, vv = _local_hessian(u, v, p)
    xx = cos**2 * uu - 2 * cos * sin * uv + sin**2 * vv
    yy = sin**2 * uu + 2 * cos * sin * uv + cos**2 * vv
    xy = cos * sin * (uu - vv) + (cos**2 - sin**2) * uv
    return xx.sum(axis=0), xy.sum(axis=0), yy.sum(axis=0)


def _in_blocks(
    function: Callable[[Potentials, Array, Array], Arrays],
    p: Potentials,
    x: Array | float,
    y: Array | float,
) -> Arrays:
    """Evaluate at points of any shape, a block at a time, so that memory stays small.

    Tensors go in one piece: a GPU wants it so, and gradients keep every block in memory anyway.
    """
    x, y = points_like(x, y, p.x)
    shape = x.shape
    flat_x, flat_y = x.reshape(-1), y.reshape(-1)
    count = flat_x.shape[0]
    step = max(1, BLOCK // max(1, len(p))) if module_of(x) is np else max(1, count)
    starts = range(0, max(1, count), step)
    blocks = [function(p, flat_x[i : i + step], flat_y[i : i + step]) for i in starts]
    return tuple(
        (part[0] if len(part) == 1 else np.concatenate(part)).reshape(shape)
        for part in zip(*blocks, strict=True)
    )


def deflection(p: Potentials, x: Array | float, y: Array | float) -> Arrays:
    """Deflection (alpha_x, alpha_y) in arcsec at D_LS / D_S = 1; x, y any shape, arcsec."""
    return _in_blocks(_deflection_block, p, x, y)


def hessian(p: Potentials, x: Array | float, y: Array | float) -> Arrays:
    """Derivatives (psi_xx, psi_xy, psi_yy) of the lensing potential at D_LS / D_S = 1."""
    return _in_blocks(_hessian_block, p, x, y)


def module_of(array: Array) -> ModuleType:
    """torch for its tensors, numpy for everything else."""
    if type(array).__module__.partition(".")[0] == "torch":
        return sys.modules["torch"]
    return np


def points_like(x: Array, y: Array, like: Array) -> tuple[Array, Array]:
    """x and y broadcast to one shape, of the kind, type and device of `like`."""
    xp = module_of(like)
    if xp is np:
        one, two = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
        return one, two
    one, two = (xp.as_tensor(a, dtype=like.dtype, device=like.device) for a in (x, y))
    one, two = xp.broadcast_tensors(one, two)
    return one, two
