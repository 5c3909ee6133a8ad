"""Lenses of the second survey: isothermal ellipsoids with shear, their sources and arcs."""

from dataclasses import dataclass

import numpy as np
from second_sky import (
    ARCSEC,
    DISTANCE_GRID,
    FINE,
    Z_GRID,
    Galaxy,
    I,
    X,
    Y,
    blue_colours,
    elliptical_radius,
    fluxes,
    sersic,
)
from second_telescope import observe

EINSTEIN_RADII = (0.6, 3.2)  # arcsec
MIN_ARC_PIXELS, MIN_ARC_SNR = 20, 20.0  # what an arc needs to count as visible
BLUE_SOURCES = 0.85


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
