"""Look-alikes of the second survey: each adds to the scene of a galaxy that lenses nothing."""

import numpy as np
from second_lensing import draw_lens, draw_source, on_cut, source_light, to_source_plane
from second_sky import (
    Galaxy,
    I,
    X,
    Y,
    add_light,
    add_sersic,
    add_shape,
    blue_colours,
    elliptical_radius,
    fluxes,
    sersic,
)

REDDENING = np.array([1.0, 0.75, 1.35, 1.7])  # dust opacity relative to R


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
