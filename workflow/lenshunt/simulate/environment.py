"""What surrounds every object alike: field galaxies, satellites of its group, stars."""

import numpy as np

from lenshunt.simulate.canvas import Canvas
from lenshunt.simulate.deflectors import Deflector
from lenshunt.simulate.profiles import Sersic, draw_clumpy, paint_clumpy, paint_sersic
from lenshunt.simulate.seds import SBC, SCD, STARBURST, band_fluxes

#: Galaxies per square arcmin brighter than i = 25 and slope of log10 N(<m) (Capak et al. 2007).
DENSITY_I25, COUNT_SLOPE = 45.0, 0.33
#: Stars per square arcmin with i = 18 .. 24 at high galactic latitude.
STAR_DENSITY = 1.5


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
) -> None:
    """An ordinary galaxy: one in five early type, the others star forming."""
    z = field_redshift(rng, magnitude_i)
    # apparent sizes of HST surveys fall as ~0.1 dex per mag (Griffith et al. 2012)
    radius = float(np.clip(0.45 * 10 ** (-0.11 * (magnitude_i - 22.0)), 0.08, 2.0))
    radius *= float(np.exp(rng.normal(0, 0.35)))
    reddening = float(rng.normal(0.05, 0.08))
    if rng.random() < 0.2:
        shape = Sersic(x, y, radius, round(float(rng.uniform(2.5, 5)), 1),
                       float(rng.uniform(0.4, 0.95)), float(rng.uniform(0, np.pi)))  # fmt: skip
        sed = float(abs(rng.normal(0, 0.3)))
        paint_sersic(canvas, shape, band_fluxes(magnitude_i, sed, z, canvas.filters, reddening))
        return
    sed = float(rng.uniform(SBC, STARBURST))
    fluxes = band_fluxes(magnitude_i, sed, z, canvas.filters, reddening)
    paint_clumpy(canvas, draw_clumpy(rng, x, y, radius), fluxes)


def paint_environment(
    canvas: Canvas,
    rng: np.random.Generator,
    deflector: Deflector | None = None,
    magnitude_limits: tuple[float, float] = (19.0, 26.0),
) -> None:
    """Field galaxies and stars by their counts, and red satellites around a massive galaxy."""
    half = (canvas.size_px + 6) * canvas.scale / 2
    area_arcmin2 = (2 * half / 60.0) ** 2
    counts = 10 ** (COUNT_SLOPE * (np.array(magnitude_limits) - 25.0))
    for _ in range(rng.poisson(DENSITY_I25 * (counts[1] - counts[0]) * area_arcmin2)):
        x, y = rng.uniform(-half, half, 2)
        paint_field_galaxy(canvas, rng, x, y, field_magnitude(rng, *magnitude_limits))
    for _ in range(rng.poisson(STAR_DENSITY * area_arcmin2)):
        x, y = rng.uniform(-half, half, 2)
        sed = float(rng.uniform(0.0, SCD))
        canvas.paint_point(x, y, band_fluxes(rng.uniform(18, 24), sed, 0.0, canvas.filters))
    if deflector is not None:
        paint_satellites(canvas, rng, deflector)


def paint_satellites(canvas: Canvas, rng: np.random.Generator, deflector: Deflector) -> None:
    """Members of the deflector's group: same redshift, 1.5 to 5 mag fainter, mostly red."""
    for _ in range(rng.poisson(0.8)):
        distance, angle = rng.uniform(1.0, 9.0), rng.uniform(0, 2 * np.pi)
        x = deflector.light.x + distance * np.cos(angle)
        y = deflector.light.y + distance * np.sin(angle)
        magnitude = deflector.magnitude_i + rng.uniform(1.5, 5.0)
        sed = float(abs(rng.normal(0.2, 0.5)))
        shape = Sersic(x, y, float(rng.uniform(0.15, 0.6)), round(float(rng.uniform(1, 4)), 1),
                       float(rng.uniform(0.35, 0.95)), float(rng.uniform(0, np.pi)))  # fmt: skip
        fluxes = band_fluxes(magnitude, min(sed, STARBURST), deflector.z_lens, canvas.filters)
        paint_sersic(canvas, shape, fluxes)
