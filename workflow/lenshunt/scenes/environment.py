"""What surrounds every object alike: field galaxies, satellites of its group, stars."""

from dataclasses import dataclass

import numpy as np

from lenshunt.scenes.canvas import Canvas
from lenshunt.scenes.deflectors import Deflector
from lenshunt.scenes.profiles import Sersic, draw_clumpy, paint_clumpy, paint_sersic
from lenshunt.scenes.seds import SBC, SCD, STARBURST, band_fluxes

#: Galaxies per square arcmin brighter than i = 25 and slope of log10 N(<m) (Capak et al. 2007).
DENSITY_I25, COUNT_SLOPE = 45.0, 0.33
#: Stars per square arcmin with i = 18 .. 24 at high galactic latitude.
STAR_DENSITY = 1.5


@dataclass(frozen=True)
class SkySource:
    """One thing that was painted, as a catalogue would list it.

    x, y : arcsec from the centre of the canvas; flux_njy [band]
    semi_major : half-light ellipse's, arcsec; 0 for a star. angle : radians from +x; q = b/a
    """

    x: float
    y: float
    flux_njy: np.ndarray
    z: float
    semi_major: float = 0.0
    q: float = 1.0
    angle: float = 0.0

    @property
    def star(self) -> bool:
        return self.semi_major == 0.0


def listed(shape: Sersic, flux_njy: np.ndarray, z: float) -> SkySource:
    """Catalogue entry of a galaxy of the given shape."""
    return SkySource(shape.x, shape.y, flux_njy, z, shape.semi_major, shape.q, shape.angle)


def field_magnitude(rng: np.random.Generator, bright: float, faint: float) -> float:
    """A magnitude drawn from the number counts between two limits."""
    low, high = 10 ** (COUNT_SLOPE * bright), 10 ** (COUNT_SLOPE * faint)
    return float(np.log10(rng.uniform(low, high)) / COUNT_SLOPE)


def field_redshift(rng: np.random.Generator, magnitude_i: float) -> float:
    """A redshift for a magnitude: median 0.35 at i = 20.6, rising by 0.11 per mag, gamma shaped."""
    median = max(0.15, 0.35 + 0.11 * (magnitude_i - 20.6))
    return float(np.clip(rng.gamma(3.0, median / 2.67), 0.03, 5.0))


def paint_field_galaxy(
    canvas: Canvas, rng: np.random.Generator, x: float, y: float, magnitude_i: float
) -> SkySource:
    """An ordinary galaxy: one in five early type, the others star forming."""
    z = field_redshift(rng, magnitude_i)
    # apparent sizes of HST surveys fall as ~0.1 dex per mag (Griffith et al. 2012)
    radius = float(np.clip(0.45 * 10 ** (-0.11 * (magnitude_i - 22.0)), 0.08, 2.0))
    radius *= float(np.exp(rng.normal(0, 0.35)))
    reddening = float(rng.normal(0.05, 0.08))
    if rng.random() < 0.2:
        n, q = round(float(rng.uniform(2.5, 5)), 1), float(rng.uniform(0.4, 0.95))
        shape = Sersic(x, y, radius, n, q, float(rng.uniform(0, np.pi)))
        sed = float(abs(rng.normal(0, 0.3)))
        fluxes = band_fluxes(magnitude_i, sed, z, canvas.filters, reddening)
        paint_sersic(canvas, shape, fluxes)
        return listed(shape, fluxes, z)
    sed = float(rng.uniform(SBC, STARBURST))
    fluxes = band_fluxes(magnitude_i, sed, z, canvas.filters, reddening)
    galaxy = draw_clumpy(rng, x, y, radius)
    paint_clumpy(canvas, galaxy, fluxes)
    return listed(galaxy.body, fluxes, z)


def paint_star(
    canvas: Canvas, rng: np.random.Generator, x: float, y: float, magnitude_i: float
) -> SkySource:
    """A star, from red to blue."""
    fluxes = band_fluxes(magnitude_i, float(rng.uniform(0.0, SCD)), 0.0, canvas.filters)
    canvas.paint_point(x, y, fluxes)
    return SkySource(x, y, fluxes, 0.0)


def paint_environment(
    canvas: Canvas,
    rng: np.random.Generator,
    deflector: Deflector | None = None,
    magnitude_limits: tuple[float, float] = (19.0, 26.0),
) -> list[SkySource]:
    """Field galaxies and stars by their counts, and red satellites around a massive galaxy."""
    half = (canvas.size_px + 6) * canvas.scale / 2
    area_arcmin2 = (2 * half / 60.0) ** 2
    counts = 10 ** (COUNT_SLOPE * (np.array(magnitude_limits) - 25.0))
    sources = []
    for _ in range(rng.poisson(DENSITY_I25 * (counts[1] - counts[0]) * area_arcmin2)):
        x, y = (float(value) for value in rng.uniform(-half, half, 2))
        magnitude = field_magnitude(rng, *magnitude_limits)
        sources.append(paint_field_galaxy(canvas, rng, x, y, magnitude))
    for _ in range(rng.poisson(STAR_DENSITY * area_arcmin2)):
        x, y = (float(value) for value in rng.uniform(-half, half, 2))
        sources.append(paint_star(canvas, rng, x, y, float(rng.uniform(18, 24))))
    if deflector is not None:
        sources += paint_satellites(canvas, rng, deflector)
    return sources


def paint_satellites(
    canvas: Canvas, rng: np.random.Generator, deflector: Deflector
) -> list[SkySource]:
    """Members of the deflector's group: same redshift, 1.5 to 5 mag fainter, mostly red."""
    sources = []
    for _ in range(rng.poisson(0.8)):
        distance, turn = rng.uniform(1.0, 9.0), rng.uniform(0, 2 * np.pi)
        x = deflector.light.x + float(distance * np.cos(turn))
        y = deflector.light.y + float(distance * np.sin(turn))
        magnitude = deflector.magnitude_i + rng.uniform(1.5, 5.0)
        sed = min(float(abs(rng.normal(0.2, 0.5))), STARBURST)
        radius, n = float(rng.uniform(0.15, 0.6)), round(float(rng.uniform(1, 4)), 1)
        q, angle = float(rng.uniform(0.35, 0.95)), float(rng.uniform(0, np.pi))
        shape = Sersic(x, y, radius, n, q, angle)
        fluxes = band_fluxes(magnitude, sed, deflector.z_lens, canvas.filters)
        paint_sersic(canvas, shape, fluxes)
        sources.append(listed(shape, fluxes, deflector.z_lens))
    return sources
