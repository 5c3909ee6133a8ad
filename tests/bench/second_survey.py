"""A second, independent survey of made-up lenses, in the format of the ground-based lens challenge.

A recipe tuned on one simulator may have learned that simulator. This file shares no code and no
modelling choice with the project's own one: light profiles, colours, look-alikes, PSF, noise and
ray tracing are its own. Half of the objects are lenses; the others are what fools people.

Run it by hand: `python tests/bench/second_survey.py FOLDER N [--seed 1] [--processes 1]`.
Fluxes are in maggies, f = 10^(-0.4 mag_AB), and angles in arcsec. "Fine" images have 0.1 arcsec
pixels, half the detector's; a scene is a stack of four of them, flux per fine pixel, in the order
of BANDS.
"""

import argparse
import csv
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from astropy.io import fits
from scipy import fft
from scipy.special import gamma
from tqdm import tqdm

BANDS = "RIGU"  # the order of the folders Band1 to Band4
R, I, G, U = range(4)  # noqa: E741
SIZE, PIXEL = 101, 0.2  # pixels, arcsec
FINE = PIXEL / 2
PADDED = 216  # fine pixels; a fast length that leaves 1.4 arcsec for the PSF to run over the edge
MASKED = 100.0  # what the challenge writes into masked pixels
ARCSEC = np.pi / 180 / 3600  # in radians

SKY_SIGMA = np.array([1.5e-12, 3.2e-12, 1.25e-12, 2.0e-12])  # maggies per pixel
SKY_MAG = np.array([21.0, 19.8, 22.0, 22.4])  # per square arcsec, a dark site
SEEING = np.array([0.75, 0.70, 0.85, 1.00])  # median FWHM, arcsec
REDDENING = np.array([1.0, 0.75, 1.35, 1.7])  # dust opacity relative to R

LENS_FRACTION = 0.5
MASKED_FRACTION = 0.1
EINSTEIN_RADII = (0.6, 3.2)  # arcsec
MIN_ARC_PIXELS, MIN_ARC_SNR = 20, 20.0  # what an arc needs to count as visible
BLUE_SOURCES = 0.85

_axis = (np.arange(2 * SIZE, dtype=np.float32) - (SIZE - 0.5)) * np.float32(FINE)
X, Y = np.meshgrid(_axis, _axis)  # of the fine pixels, from the middle of the stamp
KX = fft.rfftfreq(PADDED // 2, PIXEL).astype(np.float32)[None]  # cycles per arcsec
KY = fft.fftfreq(PADDED // 2, PIXEL).astype(np.float32)[:, None]
# Transform of the sum over the 2x2 fine pixels of each pixel; 4 for the shorter inverse transform.
PIXEL_SUM = (1 + np.exp(2j * np.pi * FINE * KX)) * (1 + np.exp(2j * np.pi * FINE * KY)) / 4

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


@dataclass(frozen=True)
class Lens:
    """Singular isothermal ellipsoid with external shear, centred on its galaxy."""

    einstein_radius: float  # arcsec; pi theta_E^2 is the area inside the critical curve
    q: float
    angle: float
    shear: complex
    x: float
    y: float


@dataclass(frozen=True)
class Source:
    """A background galaxy: a Sersic body (the first component) and star-forming clumps."""

    place: np.ndarray  # (k, 2) arcsec from its middle
    radius: np.ndarray  # (k,) half-light, arcsec
    q: float
    angle: float
    index: float
    flux: np.ndarray  # (k, 4) maggies


# ---- light ---------------------------------------------------------------------------------------


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


# ---- lensing -------------------------------------------------------------------------------------


def draw_lens(galaxy: Galaxy, rng: np.random.Generator) -> Lens:
    """Mass of the galaxy: Faber-Jackson dispersion, shape near the light's, shear of neighbours."""
    while True:
        dispersion = 245 * galaxy.luminosity**0.25 * np.exp(rng.normal(0, 0.15))  # km/s
        z_source = galaxy.z + rng.gamma(3.0, 0.55) + 0.3
        lens_distance, source_distance = np.interp([galaxy.z, z_source], Z_GRID, DISTANCE_GRID)
        efficiency = 1 - lens_distance / source_distance
        radius = 4 * np.pi * (dispersion / 2.998e5) ** 2 * efficiency / ARCSEC
        if EINSTEIN_RADII[0] < radius < EINSTEIN_RADII[1]:
            break
    q = np.clip(galaxy.q + rng.normal(0.02, 0.08), 0.4, 0.97)
    shear = rng.rayleigh(0.045) * np.exp(1j * rng.uniform(0, 2 * np.pi))
    return Lens(radius, q, galaxy.angle + rng.normal(0, 0.12), shear, galaxy.x, galaxy.y)


def sie_deflection(x: np.ndarray, y: np.ndarray, lens: Lens) -> tuple[np.ndarray, np.ndarray]:
    """Deflection (arcsec) of the ellipsoid at points relative to its centre."""
    c, s = (np.float32(v) for v in (np.cos(lens.angle), np.sin(lens.angle)))
    along, across = c * x + s * y, c * y - s * x
    squash = np.float32(np.sqrt(1 - lens.q**2))
    psi = np.sqrt(np.float32(lens.q**2) * along**2 + across**2) + np.float32(1e-6)
    scale = np.float32(lens.einstein_radius * np.sqrt(lens.q)) / squash
    a, b = scale * np.arctan(squash * along / psi), scale * np.arctanh(squash * across / psi)
    return c * a - s * b, s * a + c * b


def to_source_plane(lens: Lens) -> tuple[np.ndarray, np.ndarray]:
    """Where the light of each fine pixel comes from, (202, 202) arcsec from the lens's centre."""
    x, y = X - np.float32(lens.x), Y - np.float32(lens.y)
    a, b = sie_deflection(x, y, lens)
    g1, g2 = np.float32(lens.shear.real), np.float32(lens.shear.imag)
    return x - a - g1 * x - g2 * y, y - b - g2 * x + g1 * y


def on_cut(lens: Lens, turn: float) -> np.ndarray:
    """Point (2,) of the cut, the edge of the region of multiple images, towards one side.

    Rays that pass the singular centre at an angle end on the cut, so it is minus the deflection.
    """
    near = np.array([np.cos(turn), np.sin(turn)], np.float32)
    return -np.array(sie_deflection(*(near * np.float32(0.01)), lens))


def draw_source(mag: float, rng: np.random.Generator) -> Source:
    """A faint galaxy of i magnitude mag: mostly blue, its clumps bluer than its body."""
    if rng.random() < BLUE_SOURCES:
        colours, clumps, index = blue_colours(rng), rng.integers(0, 6), rng.uniform(0.7, 1.6)
    else:
        colours, clumps, index = rng.normal([1.0, 0.9, 0.6], 0.25), 0, rng.uniform(1.5, 3.0)
    radius = np.clip(0.24 * 10 ** (-0.06 * (mag - 24)) * np.exp(rng.normal(0, 0.4)), 0.1, 0.5)
    share = rng.dirichlet([6.0] + [0.7] * clumps)
    flux = share[:, None] * fluxes(mag, *colours)
    flux[1:] *= 10 ** (0.4 * rng.uniform(0, 0.3) * np.array([0.3, 0, 0.7, 1.2]))
    place = np.concatenate([np.zeros((1, 2)), rng.normal(0, 0.8 * radius, (clumps, 2))])
    sizes = np.concatenate([[radius], rng.uniform(0.07, 0.12, clumps)])
    return Source(place, sizes, rng.uniform(0.35, 1.0), rng.uniform(0, np.pi), index, flux)


def source_light(source: Source, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Scene (4, ...) of a source seen at coordinates (x, y) from its middle, bent or not."""
    light = np.zeros((4, *x.shape), np.float32)
    seen = np.nonzero((x**2 + y**2) < np.float32(6 * source.radius[0]) ** 2)
    near_x, near_y = x[seen], y[seen]
    shapes = np.empty((len(source.flux), near_x.size), np.float32)
    for k, (place, radius) in enumerate(zip(source.place, source.radius, strict=True)):
        q, index = (source.q, source.index) if k == 0 else (1.0, 0.5)
        dx, dy = near_x - np.float32(place[0]), near_y - np.float32(place[1])
        shapes[k] = sersic(elliptical_radius(dx, dy, q, source.angle), radius, index)
    light[:, *seen] = (source.flux.T * FINE**2).astype(np.float32) @ shapes
    return light


def draw_arcs(lens: Lens, psf: np.ndarray, sigma: np.ndarray, rng: np.random.Generator):
    """Lensed images (4, 101, 101) bright enough to be seen at all.

    Unseen ones are drawn again, slightly brighter each time: the galaxy must not be drawn again,
    or the galaxies of lenses would differ from the others.
    """
    beta_x, beta_y = to_source_plane(lens)
    noise = sigma[:, None, None]
    for attempt in range(10_000):
        mag = max(25.7 - rng.exponential(1.0), 21.5) - 0.05 * attempt
        # Magnification favours the middle: sources near a caustic are seen from farther down
        # the counts than those near the cut.
        place = rng.random() ** 0.7 * on_cut(lens, rng.uniform(0, 2 * np.pi))
        source = draw_source(mag, rng)
        x, y = (b - np.float32(p) for b, p in zip((beta_x, beta_y), place, strict=True))
        light = source_light(source, x, y)
        if light[I].sum() < MIN_ARC_PIXELS * sigma[I]:
            continue
        arcs = observe(light, psf)
        snr = np.sqrt(((arcs / noise) ** 2).sum())
        if (arcs[I] > sigma[I]).sum() >= MIN_ARC_PIXELS and snr > MIN_ARC_SNR:
            return arcs
    raise RuntimeError("no visible arc in 10,000 draws")


# ---- look-alikes: each adds to the scene of a galaxy that lenses nothing -------------------------


def lookalike_mag(rng: np.random.Generator) -> float:
    """i magnitude of something that passes for an arc, spread as the arcs of the lenses are."""
    return np.clip(rng.normal(23.1, 0.85), 20.5, 24.6)


def around(galaxy: Galaxy) -> tuple[np.ndarray, np.ndarray]:
    """Polar coordinates (arcsec, radians) of the fine pixels about the galaxy."""
    x, y = X - np.float32(galaxy.x), Y - np.float32(galaxy.y)
    return np.hypot(x, y), np.arctan2(y, x)


def turned(theta: np.ndarray, middle: float) -> np.ndarray:
    """Angle from `middle`, wrapped to -pi..pi."""
    return (theta - np.float32(middle) + np.float32(np.pi)) % np.float32(2 * np.pi) - np.float32(
        np.pi
    )


def knots(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness along a circle: star-forming knots on a smooth level."""
    level = np.full_like(theta, rng.uniform(0.3, 1.0))
    for _ in range(rng.integers(2, 6)):
        width = np.float32(rng.uniform(0.12, 0.5))
        level += rng.random(dtype=np.float32) * np.exp(
            -((turned(theta, rng.uniform(-np.pi, np.pi)) / width) ** 2)
        )
    return level


def add_plain(scene: np.ndarray, galaxy: Galaxy, rng: np.random.Generator) -> None:
    """Nothing but the galaxy."""


def add_unlensed(scene: np.ndarray, galaxy: Galaxy, rng: np.random.Generator) -> None:
    """One to three galaxies like the sources of lenses, projected beside the galaxy."""
    count = rng.choice([1, 2, 3], p=[0.65, 0.25, 0.1])
    turn, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.9, 2.8)
    for _ in range(count):
        r, turn = distance * rng.uniform(0.8, 1.25), turn + rng.uniform(1.2, 4.0)
        source = draw_source(lookalike_mag(rng) + 2.5 * np.log10(count), rng)
        # Arcs owe their size to magnification; a galaxy as bright by itself is nearer and larger.
        stretch = np.float32(rng.uniform(1.0, 1.6))
        x = (X - np.float32(galaxy.x + r * np.cos(turn))) / stretch
        y = (Y - np.float32(galaxy.y + r * np.sin(turn))) / stretch
        scene += source_light(source, x, y) / stretch**2


def add_edge_on(scene: np.ndarray, galaxy: Galaxy, rng: np.random.Generator) -> None:
    """A thin disk that happens to lie along a circle about the galaxy, at times warped too."""
    distance, turn = rng.uniform(1.0, 3.0), rng.uniform(0, 2 * np.pi)
    half_light, q = rng.uniform(0.45, 1.0), rng.uniform(0.12, 0.3)
    r, theta = around(galaxy)
    warp = np.float32(rng.choice([0.0, rng.uniform(0.3, 1.0)]))
    offset = turned(theta, turn)
    straight_x, straight_y = r * np.cos(offset) - np.float32(distance), r * np.sin(offset)
    outward = warp * (r - np.float32(distance)) + (1 - warp) * straight_x
    sideways = warp * offset * np.float32(distance) + (1 - warp) * straight_y
    radius = elliptical_radius(sideways, outward, q, rng.normal(0, 0.2))
    add_light(
        scene, draw_source(lookalike_mag(rng), rng).flux.sum(0), sersic(radius, half_light, 1)
    )


def add_spiral(scene: np.ndarray, galaxy: Galaxy, rng: np.random.Generator) -> None:
    """A star-forming disk with two (or three) logarithmic arms around the old light."""
    c, s = np.float32(np.cos(galaxy.angle)), np.float32(np.sin(galaxy.angle))
    x, y = X - np.float32(galaxy.x), Y - np.float32(galaxy.y)
    tilt = np.float32(rng.uniform(0.5, 0.95))
    along, across = c * x + s * y, (c * y - s * x) / tilt
    r, theta = np.hypot(along, across), np.arctan2(across, along)
    wind = np.float32(rng.choice([-1, 1]) / np.tan(np.radians(rng.uniform(10, 28))))
    phase = rng.choice([2, 3], p=[0.8, 0.2]) * (theta - wind * np.log(r + np.float32(0.1)))
    arms = np.exp(np.float32(rng.uniform(1.0, 3.0)) * (np.cos(phase + rng.uniform(0, 6.28)) - 1))
    scale, hole = rng.uniform(0.6, 1.1), rng.uniform(0.4, 1.0)
    disk = np.exp(-r / np.float32(scale)) * (1 - np.exp(-((r / np.float32(hole)) ** 2)))
    flux = fluxes(lookalike_mag(rng) - 0.5, *blue_colours(rng))
    add_shape(scene, flux, disk * (arms + np.float32(0.1)) * knots(theta, rng))


def add_ring(scene: np.ndarray, galaxy: Galaxy, rng: np.random.Generator) -> None:
    """A ring of young stars, face-on or polar, with knots like those of a broken Einstein ring."""
    x, y = X - np.float32(galaxy.x), Y - np.float32(galaxy.y)
    q = rng.uniform(0.3, 0.98)
    r = elliptical_radius(x, y, q, galaxy.angle + np.pi / 2 + rng.normal(0, 0.3))
    radius, width = rng.uniform(0.8, 2.4), rng.uniform(0.1, 0.35)
    shape = np.exp(-0.5 * ((r - np.float32(radius)) / np.float32(width)) ** 2)
    flux = fluxes(lookalike_mag(rng) - 0.2, *blue_colours(rng))
    add_shape(scene, flux, shape * knots(np.arctan2(y, x), rng))


def add_merger(scene: np.ndarray, galaxy: Galaxy, rng: np.random.Generator) -> None:
    """A companion being torn apart: a curved tail behind it, or shells about the galaxy."""
    r, theta = around(galaxy)
    start, distance = rng.uniform(0, 2 * np.pi), rng.uniform(1.2, 3.0)
    bluer = 10 ** (0.4 * rng.uniform(0, 1.2) * np.array([0.3, 0.0, 1.0, 1.8]))
    debris = 10 ** (-0.4 * lookalike_mag(rng)) * galaxy.flux / galaxy.flux[I] * bluer
    if rng.random() < 0.6:
        offset, length = turned(theta, start), np.float32(rng.uniform(0.5, 1.6))
        path = np.float32(distance) * np.exp(np.float32(rng.normal(0, 0.3)) * offset)
        width = np.float32(rng.uniform(0.15, 0.4))
        fade = np.where(offset > 0, np.exp(-offset / length), np.exp(-((offset / 0.2) ** 2)))
        add_shape(scene, debris, fade * np.exp(-0.5 * ((r - path) / width) ** 2))
        x, y = (distance * f(start) for f in (np.cos, np.sin))
        nucleus = debris * rng.uniform(0.2, 0.9)
        add_sersic(scene, nucleus, galaxy.x + x, galaxy.y + y, 0.25, 2.0, 0.8, start)
        return
    shells = np.zeros_like(r)
    for side in range(rng.integers(1, 4)):  # they alternate sides, each sharp on the outside
        edge, spread = rng.uniform(0.9, 1.2) * distance * 0.8**side, rng.uniform(0.35, 0.8)
        cone = np.exp(-((turned(theta, start + np.pi * side) / np.float32(spread)) ** 2))
        inside = np.exp((r - np.float32(edge)) / np.float32(0.5)) * (r < edge)
        shells += cone * inside
    add_shape(scene, debris, shells)


def add_dust(scene: np.ndarray, galaxy: Galaxy, rng: np.random.Generator) -> None:
    """A dust lane across the galaxy, which splits its light, at times with young stars along it."""
    x, y = X - np.float32(galaxy.x), Y - np.float32(galaxy.y)
    angle, q = galaxy.angle + rng.normal(0, 0.5), rng.uniform(0.12, 0.3)
    shift = rng.normal(0, 0.25, 2).astype(np.float32)
    r = elliptical_radius(x - shift[0], y - shift[1], q, angle)
    lane = np.exp(-((r / np.float32(rng.uniform(0.5, 0.9))) ** 2))
    for image, opacity in zip(scene, rng.uniform(0.8, 3.0) * REDDENING, strict=True):
        image *= np.exp(np.float32(-opacity) * lane)
    if rng.random() < 0.7:
        wide = elliptical_radius(x, y, 1.6 * q, angle)
        flux = fluxes(lookalike_mag(rng), *blue_colours(rng))
        add_shape(scene, flux, sersic(wide, rng.uniform(0.6, 1.3), 1.0))


def add_arclet(scene: np.ndarray, galaxy: Galaxy, rng: np.random.Generator) -> None:
    """A source outside the cut of a real lens: one image only, sheared along the circle."""
    lens = draw_lens(galaxy, rng)
    beta_x, beta_y = to_source_plane(lens)
    place = rng.uniform(1.1, 1.9) * on_cut(lens, rng.uniform(0, 2 * np.pi))
    source = draw_source(lookalike_mag(rng) + 0.6, rng)  # its magnification is about 1.8
    scene += source_light(source, beta_x - np.float32(place[0]), beta_y - np.float32(place[1]))


LOOKALIKES = {
    add_plain: 0.24,
    add_unlensed: 0.19,
    add_edge_on: 0.12,
    add_spiral: 0.14,
    add_ring: 0.06,
    add_merger: 0.08,
    add_dust: 0.05,
    add_arclet: 0.12,
}  # share of the objects that are no lenses


# ---- the telescope -------------------------------------------------------------------------------


def draw_psf(rng: np.random.Generator) -> np.ndarray:
    """Transforms (4, 108, 55) of the PSFs: two Gaussians and a weak wing, slightly elliptical."""
    fwhm = SEEING * np.exp(rng.normal(0, 0.06)) * np.exp(rng.normal(0, 0.08, 4))
    shape = rng.rayleigh(0.04) * np.exp(2j * rng.uniform(0, np.pi))
    e1, e2 = np.float32(shape.real), np.float32(shape.imag)
    k2 = KX**2 * (1 + e1) + KY**2 * (1 - e1) + 2 * e2 * KX * KY
    k = np.sqrt(k2)
    psf = np.empty((4, *k.shape), np.complex64)
    for transform, width in zip(psf, fwhm.astype(np.float32), strict=True):
        core = 2 * (np.float32(np.pi * 0.92 / 2.355) * width) ** 2
        # exp(-2 pi a k) is the transform of (1 + r^2/a^2)^(-3/2): light scattered far out.
        wing = np.exp(np.float32(-2 * np.pi * 1.2) * width * k)
        transform[:] = 0.75 * np.exp(-core * k2) + 0.21 * np.exp(-3 * core * k2) + 0.04 * wing
    return psf * PIXEL_SUM.astype(np.complex64)


def observe(scene: np.ndarray, psf: np.ndarray) -> np.ndarray:
    """Noiseless images (4, 101, 101) of a scene (4, 202, 202): blurred, summed into pixels."""
    spectrum = fft.rfft2(scene, s=(PADDED, PADDED))
    # The atmosphere leaves nothing finer than the pixels, so that the way back is at their scale.
    ny, nx = psf.shape[1:]
    coarse = np.concatenate([spectrum[:, : ny // 2, :nx], spectrum[:, -ny // 2 :, :nx]], axis=1)
    return fft.irfft2(coarse * psf, s=(ny, ny))[:, :SIZE, :SIZE]


def add_noise(images: np.ndarray, sigma: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sky noise, the objects' own photon noise and a small error of the sky's subtraction."""
    # The sky's brightness and its noise together tell how many photons a maggie stands for. At
    # hundreds of sky photons per pixel the counts are Gaussian.
    sky = 10 ** (-0.4 * SKY_MAG) * PIXEL**2
    flux_per_photon = (SKY_SIGMA**2 / sky).astype(np.float32)[:, None, None]
    variance = (sigma**2).astype(np.float32)[:, None, None] + images.clip(0) * flux_per_photon
    noise = np.sqrt(variance) * rng.standard_normal(images.shape, np.float32)
    offset = rng.normal(0, 0.04 * sigma).astype(np.float32)[:, None, None]
    return images + noise + offset


def mask_something(images: np.ndarray, rng: np.random.Generator) -> None:
    """Mask the surroundings of a bright star, or a bleeding column, away from the middle."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    turn, distance = rng.uniform(0, 2 * np.pi), rng.uniform(25, 60)
    x, y = distance * np.cos(turn), distance * np.sin(turn)
    bad = np.hypot(columns - x, rows - y) < rng.uniform(4, min(16, distance - 18))
    if abs(x) > 18 and rng.random() < 0.5:
        bad |= np.abs(columns - x) < rng.uniform(1, 4)
    images[:, bad] = MASKED


# ---- objects and files ---------------------------------------------------------------------------


def make_object(k: int, seed: int) -> tuple[np.ndarray, dict]:
    """Images (4, 101, 101) of object k in maggies, and its row of the table without the ID.

    Under `kind`, `arcs` and `galaxy` the row also keeps what the table does not tell: the kind of
    object, and the noiseless images (4, 101, 101) of the arcs alone and of all else.
    """
    rng = np.random.default_rng([seed, k])
    is_lens = rng.random() < LENS_FRACTION
    sigma = SKY_SIGMA * np.exp(rng.normal(0, 0.03, 4))
    psf = draw_psf(rng)
    galaxy = draw_galaxy(rng)
    scene = np.zeros((4, 2 * SIZE, 2 * SIZE), np.float32)
    add_galaxy(scene, galaxy, rng)
    lens, kind = draw_lens(galaxy, rng), "lens"
    if not is_lens:
        add_lookalike = rng.choice(list(LOOKALIKES), p=list(LOOKALIKES.values()))
        add_lookalike(scene, galaxy, rng)
        kind = add_lookalike.__name__.removeprefix("add_")
    add_surroundings(scene, galaxy, rng)
    light = observe(scene, psf)
    arcs = draw_arcs(lens, psf, sigma, rng) if is_lens else np.zeros_like(light)
    images = add_noise(light + arcs, sigma, rng)
    if rng.random() < MASKED_FRACTION:
        mask_something(images, rng)
    visible = arcs[I] > sigma[I]
    row = {
        "is_lens": int(is_lens),
        "Einstein_area": f"{np.pi * (lens.einstein_radius * ARCSEC) ** 2:.4g}",
        "numb_pix_lensed_image": int(visible.sum()),
        "flux_lensed_image_in_sigma": f"{arcs[I][visible].sum() / sigma[I]:.6g}",
    }
    return images, row | {"kind": kind, "arcs": arcs, "galaxy": light}


def challenge_header() -> bytes:
    """FITS header of a challenge image: a tangential projection with north up, at (0, 0)."""
    header = fits.PrimaryHDU(np.zeros((SIZE, SIZE), np.float32)).header
    middle, degrees = (SIZE + 1) / 2, PIXEL / 3600
    header.update(WCSAXES=2, CRPIX1=middle, CRPIX2=middle, CRVAL1=0.0, CRVAL2=0.0)
    header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CUNIT1="deg", CUNIT2="deg")
    header.update(CD1_1=-degrees, CD1_2=0.0, CD2_1=0.0, CD2_2=degrees)
    return header.tostring().encode("ascii")


HEADER = challenge_header()


def write_object(k: int, folder: Path, seed: int, first_id: int) -> dict:
    """Make object k, write its four images, and return its row of the table."""
    images, row = make_object(k, seed)
    name = first_id + k
    for number, (band, image) in enumerate(zip(BANDS, images, strict=True), start=1):
        # All headers are alike, so that they are written as bytes: ten times as fast.
        data = image.astype(">f4").tobytes()
        path = folder / "Public" / f"Band{number}" / f"imageSDSS_{band}-{name}.fits"
        path.write_bytes(HEADER + data + bytes(-len(data) % 2880))
    return {"ID": name} | {key: row[key] for key in list(row)[:4]}


def write_survey(
    folder: Path, n: int, seed: int, first_id: int = 500000, processes: int = 1
) -> None:
    """Write n objects below folder; the table comes last, and a finished folder is left as it is.

    Object k depends on (seed, k) alone, so that a larger survey begins with the smaller one.
    """
    folder = Path(folder)
    table = folder / "classifications.csv"
    if table.exists() and len(table.read_text().splitlines()) == n + 1:
        return
    table.unlink(missing_ok=True)
    for number in range(1, len(BANDS) + 1):
        (folder / "Public" / f"Band{number}").mkdir(parents=True, exist_ok=True)
    write = partial(write_object, folder=folder, seed=seed, first_id=first_id)
    if processes == 1:
        rows = list(tqdm(map(write, range(n)), total=n, desc="second survey"))
    else:
        with Pool(processes) as pool:
            made = pool.imap(write, range(n), chunksize=16)
            rows = list(tqdm(made, total=n, desc="second survey"))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a survey of made-up lenses.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("n", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()
    write_survey(args.folder, args.n, args.seed, processes=args.processes)


if __name__ == "__main__":
    main()
