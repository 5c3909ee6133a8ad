"""Galaxies of the second survey: their light, colours and population, on a grid of fine pixels.

Fluxes are in maggies, f = 10^(-0.4 mag_AB), and angles in arcsec. "Fine" pixels are of 0.1 arcsec,
half the detector's; a scene is a stack of four images, flux per fine pixel, in the order of BANDS.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import gamma

BANDS = "RIGU"  # the order of the folders Band1 to Band4
R, I, G, U = range(4)  # noqa: E741
SIZE, PIXEL = 101, 0.2  # pixels, arcsec
FINE = PIXEL / 2
ARCSEC = np.pi / 180 / 3600  # in radians

_axis = (np.arange(2 * SIZE, dtype=np.float32) - (SIZE - 0.5)) * np.float32(FINE)
X, Y = np.meshgrid(_axis, _axis)  # of the fine pixels, from the middle of the stamp

# Flat universe with Omega_m = 0.3 and h = 0.7, comoving distance in Mpc.
Z_GRID = np.linspace(0, 5, 501)
_slices = 4283 * 0.01 / np.sqrt(0.3 * (1.005 + Z_GRID[:-1]) ** 3 + 0.7)
DISTANCE_GRID = np.concatenate([[0], np.cumsum(_slices)])

# Observed colours of an old galaxy, from its 4000 Angstrom break passing through the bands.
OLD_Z = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
OLD_UG = [1.75, 1.80, 1.75, 1.65, 1.60, 1.55, 1.45, 1.35, 1.25]
OLD_GR = [0.92, 1.22, 1.48, 1.66, 1.74, 1.76, 1.74, 1.70, 1.65]
OLD_RI = [0.40, 0.47, 0.54, 0.66, 0.82, 0.98, 1.12, 1.20, 1.22]


@dataclass(frozen=True)
class Galaxy:
    """The galaxy in the middle: light and mass follow each other up to some scatter."""

    z: float
    flux: np.ndarray  # (4,) maggies
    luminosity: float  # in L*
    radius: float  # half-light, arcsec
    q: float
    angle: float  # of the long axis, radians from x
    x: float  # arcsec
    y: float


def fluxes(mag_i: float, u_g: float, g_r: float, r_i: float) -> np.ndarray:
    """Four fluxes (maggies, order of BANDS) from an i magnitude and three colours."""
    r = mag_i + r_i
    return 10 ** (-0.4 * np.array([r, mag_i, r + g_r, r + g_r + u_g]))


def old_colours(z: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """u-g, g-r, r-i of a red-sequence galaxy at redshift z, with the sequence's scatter."""
    tables, scatter = (OLD_UG, OLD_GR, OLD_RI), (0.12, 0.05, 0.03)
    u_g, g_r, r_i = (
        np.interp(z, OLD_Z, t) + rng.normal(0, s) for t, s in zip(tables, scatter, strict=True)
    )
    return u_g, g_r, r_i


def blue_colours(rng: np.random.Generator) -> tuple[float, float, float]:
    """u-g, g-r, r-i of a star-forming galaxy, dustier ones redder in all three."""
    dust = rng.gamma(2.0, 0.09)
    u_g, g_r, r_i = rng.normal([0.3, 0.05, 0.05], [0.3, 0.15, 0.12])
    return u_g + 1.2 * dust, g_r + 1.2 * dust, r_i + dust


def elliptical_radius(x: np.ndarray, y: np.ndarray, q: float, angle: float) -> np.ndarray:
    """Radius (of equal area) of the ellipse with axis ratio q through each point."""
    c, s = np.cos(angle), np.sin(angle)
    # The quadratic form of rotating and squashing, x^2 A + y^2 B + xy C.
    a, b, c = q * c * c + s * s / q, q * s * s + c * c / q, 2 * c * s * (q - 1 / q)
    return np.sqrt(np.float32(a) * x**2 + np.float32(b) * y**2 + np.float32(c) * (x * y))


def sersic(radius: np.ndarray, half_light: float, index: float) -> np.ndarray:
    """Sersic surface brightness of total flux 1 at the given radii, per square arcsec."""
    b = 2 * index - 1 / 3 + 0.009876 / index
    total = 2 * np.pi * index * half_light**2 * b ** (-2 * index) * gamma(2 * index)
    # A core below the pixel keeps one sample from standing for the whole cusp.
    r = np.sqrt(radius**2 + np.float32((0.4 * FINE) ** 2)) / np.float32(half_light)
    return np.exp(np.float32(-b) * r ** np.float32(1 / index)) / np.float32(total)


def add_light(scene: np.ndarray, flux: np.ndarray, brightness: np.ndarray) -> None:
    """Add a shape (fine pixels; flux 1, per square arcsec) with its four fluxes to the scene."""
    for image, f in zip(scene, flux, strict=True):
        image += np.float32(f * FINE**2) * brightness


def add_shape(scene: np.ndarray, flux: np.ndarray, shape: np.ndarray) -> None:
    """Add a shape of arbitrary scale, normalised to flux 1 over the stamp."""
    add_light(scene, flux, shape / (shape.sum() * np.float32(FINE**2)))


def add_sersic(scene, flux, x, y, half_light, index, q, angle) -> None:
    """Add one elliptical Sersic galaxy at (x, y), computed out to where it drops below the sky."""
    reach = half_light * (4 + 1.5 * index)
    rows, columns = (
        slice(*np.searchsorted(_axis, [middle - reach, middle + reach])) for middle in (y, x)
    )
    dx, dy = X[rows, columns] - np.float32(x), Y[rows, columns] - np.float32(y)
    radius = elliptical_radius(dx, dy, q, angle)
    add_light(scene[:, rows, columns], flux, sersic(radius, half_light, index))


# ---- the population both classes share -----------------------------------------------------------


def draw_galaxy(rng: np.random.Generator) -> Galaxy:
    """A luminous galaxy at z = 0.2 to 0.85 and i = 17.9 to 21.7, its size from its luminosity."""
    while True:
        z, absolute = rng.normal(0.50, 0.17), rng.normal(-22.6, 0.6)
        if not 0.2 < z < 0.85:
            continue
        distance = np.interp(z, Z_GRID, DISTANCE_GRID)
        mag = absolute + 5 * np.log10(distance * (1 + z)) + 25 + 0.2 * z
        if 17.9 < mag < 21.7:
            break
    luminosity = 10 ** (-0.4 * (absolute + 21.8))
    kpc = 3.6 * luminosity**0.6 * np.exp(rng.normal(0, 0.3))
    return Galaxy(
        z=z,
        flux=fluxes(mag, *old_colours(z, rng)),
        luminosity=luminosity,
        radius=kpc * (1 + z) / (distance * 1e3) / ARCSEC,
        q=np.clip(rng.normal(0.76, 0.14), 0.35, 0.98),
        angle=rng.uniform(0, np.pi),
        x=rng.normal(0, 0.06),
        y=rng.normal(0, 0.06),
    )


def add_galaxy(scene: np.ndarray, galaxy: Galaxy, rng: np.random.Generator) -> None:
    """Bulge plus disk, or core plus halo: a compact and an extended Sersic component."""
    g, disky = galaxy, rng.random() < 0.4
    share = rng.uniform(0.3, 0.8)  # of the inner component
    inner_index = rng.uniform(2.2, 4.5)
    outer_index = 1.0 if disky else rng.uniform(1.0, 2.0)
    bluer = 10 ** (-0.4 * rng.gamma(1.5, 0.08 if disky else 0.03) * np.array([0, -0.5, -1, -2]))
    outer = g.flux * (1 - share) / bluer
    outer[I] = g.flux[I] * (1 - share)
    twist = rng.normal(0, 0.15)
    outer_q = np.clip(g.q - 0.15 * disky, 0.25, 0.98)
    add_sersic(scene, g.flux * share, g.x, g.y, 0.6 * g.radius, inner_index, g.q, g.angle)
    add_sersic(scene, outer, g.x, g.y, 1.6 * g.radius, outer_index, outer_q, g.angle + twist)


def add_surroundings(scene: np.ndarray, galaxy: Galaxy, rng: np.random.Generator) -> None:
    """Group or cluster members, field galaxies along the line of sight, and sometimes a star."""
    edge = SIZE * PIXEL / 2
    members = rng.poisson(rng.choice([0.5, 3.0, 7.0], p=[0.6, 0.3, 0.1]))
    for _ in range(members):
        distance, turn = 1.8 + 9 * rng.random() ** 0.8, rng.uniform(0, 2 * np.pi)
        faintness = rng.gamma(2.5, 0.8)  # magnitudes below the central galaxy
        flux = galaxy.flux * 10 ** (-0.4 * faintness) * np.exp(rng.normal(0, 0.04, 4))
        x, y = galaxy.x + distance * np.cos(turn), galaxy.y + distance * np.sin(turn)
        radius = galaxy.radius * 10 ** (-0.2 * faintness)
        add_sersic(scene, flux, x, y, max(radius, 0.12), 2.5, rng.uniform(0.4, 1), turn * 3)
    for _ in range(rng.poisson(6.0)):
        mag = max(25.6 - rng.exponential(1 / (0.35 * np.log(10))), 19.5)  # the counts' slope
        colours = (
            blue_colours(rng) if rng.random() < 0.75 else old_colours(rng.uniform(0.3, 0.9), rng)
        )
        radius = 0.35 * 10 ** (-0.12 * (mag - 23)) * np.exp(rng.normal(0, 0.35))
        x, y = rng.uniform(-edge, edge, 2)
        q, angle = rng.uniform(0.25, 1), rng.uniform(0, np.pi)
        add_sersic(scene, fluxes(mag, *colours), x, y, radius, 1.0, q, angle)
    if rng.random() < 0.2:
        warmth = rng.uniform(0, 1)  # from an F to an M dwarf
        flux = fluxes(rng.uniform(17.5, 24), 1 + 1.5 * warmth, 0.3 + 1.2 * warmth, 1.3 * warmth**2)
        add_sersic(scene, flux, *rng.uniform(-edge, edge, 2), 0.08, 0.5, 1.0, 0.0)
