"""Surface brightness of galaxies: smooth, clumpy, spiral and ringed, of unit flux."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lenshunt.core.sersic import sersic_b, sersic_flux
from lenshunt.scenes.canvas import Canvas

#: Profiles end at this many half-light radii, as in the SDSS photometric pipeline.
TRUNCATION = 7.0


@dataclass(frozen=True)
class Sersic:
    """A Sersic galaxy; lengths in arcsec, `angle` in radians from +x to +y, q = b/a.

    semi_major : half-axis of the ellipse that holds half the light; see core.sersic
    """

    x: float
    y: float
    semi_major: float
    n: float
    q: float
    angle: float


@lru_cache(maxsize=4096)
def _sersic_constants(n: float) -> tuple[float, float]:
    """b_n, and the flux inside TRUNCATION for unit radius and I_e."""
    b = sersic_b(n)
    return b, sersic_flux(n, b, TRUNCATION)


def rotate(dx: np.ndarray, dy: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates along and across an axis at `angle`."""
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cosine * dx + sine * dy, cosine * dy - sine * dx


def sersic_brightness(
    dx: np.ndarray, dy: np.ndarray, galaxy: Sersic, softening_arcsec: float = 0.0
) -> np.ndarray:
    """Fraction of the total flux per square arcsec at offsets from the galaxy's centre.

    softening_arcsec : added to the radius in quadrature, so that no sample hits a cusp's peak
    """
    b, norm = _sersic_constants(galaxy.n)
    along, across = rotate(dx, dy, galaxy.angle)
    radius = np.sqrt(along**2 + (across / galaxy.q) ** 2 + np.float32(softening_arcsec**2))
    radius /= galaxy.semi_major
    light = np.exp(-b * (radius ** np.float32(1 / galaxy.n) - 1))
    light[radius > TRUNCATION] = 0.0
    return light / np.float32(norm * galaxy.q * galaxy.semi_major**2)


def paint_sersic(canvas: Canvas, galaxy: Sersic, flux_njy: np.ndarray) -> None:
    """Paint a Sersic galaxy, its cusp integrated over 9 x 9 points per fine pixel."""
    patch = canvas.patch(galaxy.x, galaxy.y, TRUNCATION * galaxy.semi_major + canvas.fine)
    if patch.empty:
        return
    light = sersic_brightness(patch.dx, patch.dy, galaxy) * np.float32(patch.step**2)
    core = (np.abs(patch.dx) < 3.1 * patch.step) & (np.abs(patch.dy) < 3.1 * patch.step)
    if core.any():
        step = patch.step / 9
        offsets = (np.arange(9) - 4) * step
        sub_x = patch.dx[core][:, None, None] + offsets
        sub_y = patch.dy[core][:, None, None] + offsets[:, None]
        # 0.3 of a step: the mean radius of a square cell around its centre is 0.38 of its side
        fine = sersic_brightness(sub_x, sub_y, galaxy, softening_arcsec=0.3 * step)
        light[core] = fine.mean(axis=(1, 2)) * patch.step**2
        if patch.whole and light[core].sum() > 0.05:
            # the rest of the flux, exactly: no sampling follows the cusp of n = 6 in few pixels
            light[core] *= (1.0 - light[~core].sum()) / light[core].sum()
    canvas.paint(patch, light, flux_njy)


@dataclass(frozen=True)
class Clumpy:
    """A star-forming galaxy: a Sersic body that holds 1 - sum(fractions), and round clumps.

    clumps : (dx, dy, sigma, fraction) in arcsec from the galaxy's centre
    """

    body: Sersic
    clumps: tuple[tuple[float, float, float, float], ...]


def draw_clumpy(
    rng: np.random.Generator, x: float, y: float, semi_major: float, q_min: float = 0.25
) -> Clumpy:
    """A star-forming galaxy of random structure: n 0.5-2 and up to five clumps."""
    body = Sersic(
        x,
        y,
        semi_major,
        n=round(float(rng.uniform(0.5, 2.0)), 2),
        q=float(rng.uniform(q_min, 0.95)),
        angle=float(rng.uniform(0, np.pi)),
    )
    clumps = []
    for _ in range(rng.integers(0, 6)):
        along, across = rng.normal(0.0, 0.9 * semi_major, 2)
        across *= body.q
        sigma = semi_major * rng.uniform(0.1, 0.25)
        dx = along * np.cos(body.angle) - across * np.sin(body.angle)
        dy = along * np.sin(body.angle) + across * np.cos(body.angle)
        clumps.append((float(dx), float(dy), float(sigma), float(rng.uniform(0.02, 0.12))))
    return Clumpy(body, tuple(clumps))


def clumpy_brightness(x: np.ndarray, y: np.ndarray, galaxy: Clumpy) -> np.ndarray:
    """Fraction of the flux per square arcsec at positions in arcsec (source plane or sky)."""
    dx, dy = x - np.float32(galaxy.body.x), y - np.float32(galaxy.body.y)
    share = 1.0 - sum(clump[3] for clump in galaxy.clumps)
    light = np.float32(share) * sersic_brightness(dx, dy, galaxy.body)
    for clump_x, clump_y, sigma, fraction in galaxy.clumps:
        squared = (dx - clump_x) ** 2 + (dy - clump_y) ** 2
        amplitude = np.float32(fraction / (2 * np.pi * sigma**2))
        light += amplitude * np.exp(-squared / (2 * sigma**2))
    return light


def paint_clumpy(canvas: Canvas, galaxy: Clumpy, flux_njy: np.ndarray) -> None:
    """Paint an unlensed star-forming galaxy."""
    half = TRUNCATION * galaxy.body.semi_major
    patch = canvas.patch(galaxy.body.x, galaxy.body.y, half)
    if patch.empty:
        return
    light = clumpy_brightness(patch.dx + galaxy.body.x, patch.dy + galaxy.body.y, galaxy)
    canvas.paint(patch, light * np.float32(patch.step**2), flux_njy)


def _whole(light: np.ndarray) -> np.ndarray:
    """`light` scaled to unit sum."""
    return (light / light.sum()).astype(np.float32)


def paint_ring(
    canvas: Canvas, ring: Sersic, rng: np.random.Generator, flux_njy: np.ndarray
) -> None:
    """Paint a ring of star formation (Hoag, collisional or resonance ring) with knots.

    ring : semi_major is the ring's radius, q its inclination; n is not used.
    """
    patch = canvas.patch(ring.x, ring.y, 2.5 * ring.semi_major)
    if patch.empty:
        return
    along, across = rotate(patch.dx, patch.dy, ring.angle)
    across = across / ring.q
    radius, azimuth = np.hypot(along, across), np.arctan2(across, along)
    width = ring.semi_major * rng.uniform(0.1, 0.3)
    light = np.exp(-((radius - ring.semi_major) ** 2) / (2 * width**2))
    light = light * _knots(azimuth, rng, contrast=rng.uniform(0.2, 1.0))
    canvas.paint(patch, _whole(light), flux_njy)


def _knots(azimuth: np.ndarray, rng: np.random.Generator, contrast: float) -> np.ndarray:
    """Brightness along a ring: a few low azimuthal orders of random phase, never negative."""
    brightness = np.ones_like(azimuth)
    for order in range(1, 6):
        amplitude = contrast * rng.normal(0, 0.6) / np.sqrt(order)
        brightness += np.float32(amplitude) * np.cos(order * azimuth + rng.uniform(0, 2 * np.pi))
    return np.maximum(brightness, 0.02)


def paint_spiral(
    canvas: Canvas, disk: Sersic, rng: np.random.Generator, flux_njy: np.ndarray
) -> None:
    """Paint the arms of a spiral: an exponential disk times logarithmic arms with knots."""
    patch = canvas.patch(disk.x, disk.y, 5.0 * disk.semi_major)
    if patch.empty:
        return
    along, across = rotate(patch.dx, patch.dy, disk.angle)
    across = across / disk.q
    radius, azimuth = np.hypot(along, across) + 1e-3, np.arctan2(across, along)
    pitch, arms = np.radians(rng.uniform(10, 35)), int(rng.choice([2, 2, 2, 3, 4]))
    hand = rng.choice([-1, 1])
    phase = azimuth * hand - np.log(radius / disk.semi_major) / np.tan(pitch)
    crest = np.exp(rng.uniform(1.0, 3.0) * (np.cos(arms * phase + rng.uniform(0, 2 * np.pi)) - 1))
    hole = 1 - np.exp(-((radius / (0.5 * disk.semi_major)) ** 2))
    scale = disk.semi_major / 1.678
    light = np.exp(-radius / scale) * crest * hole * _knots(azimuth, rng, 0.4)
    canvas.paint(patch, _whole(light), flux_njy)
