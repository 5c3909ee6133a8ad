"""One object of a lens search: a lens, or one of the many things that look like one.

Lenses and non-lenses share the deflector, the environment and the distribution of blue light
beside it (flux, colour, size, distance), so that nothing but lensing tells them apart.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lenshunt.simulate.canvas import Canvas
from lenshunt.simulate.deflectors import Arcs, Deflector, draw_deflector, trace_arcs
from lenshunt.simulate.environment import paint_environment
from lenshunt.simulate.profiles import (
    Clumpy,
    Sersic,
    draw_clumpy,
    paint_clumpy,
    paint_ring,
    paint_sersic,
    paint_spiral,
)
from lenshunt.simulate.seds import ELLIPTICAL, SCD, STARBURST, band_fluxes

#: Mean and scatter of log10(lensed / total flux in i), and its bounds.
FLUX_RATIO_LOG = (-1.0, 0.38)
FLUX_RATIO_BOUNDS = (0.012, 0.7)


@dataclass(frozen=True)
class Scene:
    """What was painted.

    arcs : lensed light alone, nJy per pixel without noise after the PSF is not applied;
        None for a non-lens
    arcs_flux_njy : [band], 0 for a non-lens
    kind : "lens" or the kind of non-lens
    """

    deflector: Deflector
    kind: str
    arcs: Arcs | None
    arcs_flux_njy: np.ndarray
    deflector_flux_njy: np.ndarray

    @property
    def label(self) -> int:
        return int(self.kind == "lens")


def paint_deflector(
    canvas: Canvas, rng: np.random.Generator, deflector: Deflector, share: float = 1.0
) -> np.ndarray:
    """Paint the lens galaxy (one in four with a disk); returns its flux [band] in nJy."""
    fluxes = share * band_fluxes(
        deflector.magnitude_i, deflector.sed, deflector.z_lens, canvas.filters,
        float(rng.normal(0.03, 0.03)),
    )  # fmt: skip
    disk_share = rng.uniform(0.15, 0.5) if rng.random() < 0.25 else 0.0
    paint_sersic(canvas, deflector.light, (1 - disk_share) * fluxes)
    if disk_share:
        light = deflector.light
        radius = float(min(1.6 * light.half_light_radius, 3.0))
        disk = Sersic(light.x, light.y, radius, 1.0, max(light.q - 0.15, 0.25), light.angle)
        paint_sersic(canvas, disk, disk_share * fluxes)
    return fluxes


def blue_fluxes(
    rng: np.random.Generator, deflector: Deflector, filters: tuple[str, ...], ratio: float
) -> np.ndarray:
    """Fluxes [band] of star-forming light that makes up `ratio` of the i-band total."""
    magnitude = deflector.magnitude_i - 2.5 * np.log10(ratio / (1 - ratio))
    sed, reddening = float(rng.uniform(SCD - 0.3, STARBURST)), float(rng.normal(0.08, 0.1))
    return band_fluxes(magnitude, sed, deflector.z_source, filters, reddening)


def draw_flux_ratio(rng: np.random.Generator) -> float:
    """Lensed over total flux in i, log-normal and bounded."""
    while True:
        ratio = 10 ** float(rng.normal(*FLUX_RATIO_LOG))
        if FLUX_RATIO_BOUNDS[0] <= ratio <= FLUX_RATIO_BOUNDS[1]:
            return ratio


def draw_source(
    rng: np.random.Generator, deflector: Deflector, offset_range: tuple[float, float]
) -> Clumpy:
    """A star-forming galaxy behind the deflector, at an offset in units of theta_E."""
    # uniform in area
    offset = deflector.theta_e * np.sqrt(rng.uniform(*np.square(offset_range)))
    angle = rng.uniform(0, 2 * np.pi)
    x = deflector.light.x + offset * np.cos(angle)
    y = deflector.light.y + offset * np.sin(angle)
    radius = float(np.clip(np.exp(rng.normal(np.log(0.2), 0.45)), 0.06, 0.6))
    return draw_clumpy(rng, float(x), float(y), radius)


def paint_lens(canvas: Canvas, rng: np.random.Generator, deflector: Deflector) -> Scene:
    """A strong lens: source inside the region of multiple images."""
    deflector_flux = paint_deflector(canvas, rng, deflector)
    ratio = draw_flux_ratio(rng)
    arcs_flux = blue_fluxes(rng, deflector, canvas.filters, ratio)
    arcs = trace_arcs(canvas, deflector, draw_source(rng, deflector, (0.0, 0.75)))
    for band, flux in enumerate(arcs_flux):
        canvas.light[band, arcs.rows, arcs.columns] += np.float32(flux) * arcs.light
    return Scene(deflector, "lens", arcs, arcs_flux, deflector_flux)


def _paint_plain(canvas: Canvas, rng: np.random.Generator, deflector: Deflector) -> np.ndarray:
    return paint_deflector(canvas, rng, deflector)


def _paint_companions(
    canvas: Canvas, rng: np.random.Generator, deflector: Deflector
) -> np.ndarray:
    """Blue unlensed galaxies around the Einstein radius, of any orientation."""
    fluxes = paint_deflector(canvas, rng, deflector)
    blue = blue_fluxes(rng, deflector, canvas.filters, draw_flux_ratio(rng))
    shares = rng.dirichlet(np.ones(rng.integers(1, 5)) * 2.0)
    for share in shares:
        distance = deflector.theta_e * rng.uniform(0.6, 2.0)
        angle = rng.uniform(0, 2 * np.pi)
        radius = float(np.clip(np.exp(rng.normal(np.log(0.3), 0.4)), 0.08, 0.8))
        companion = draw_clumpy(
            rng, distance * np.cos(angle), distance * np.sin(angle), radius
        )
        paint_clumpy(canvas, companion, share * blue)
    return fluxes


def _paint_alignment(
    canvas: Canvas, rng: np.random.Generator, deflector: Deflector
) -> np.ndarray:
    """One edge-on blue disk beside the galaxy that happens to lie tangentially."""
    fluxes = paint_deflector(canvas, rng, deflector)
    blue = blue_fluxes(rng, deflector, canvas.filters, draw_flux_ratio(rng))
    distance, angle = deflector.theta_e * rng.uniform(0.8, 2.0), rng.uniform(0, 2 * np.pi)
    body = Sersic(
        distance * np.cos(angle), distance * np.sin(angle),
        half_light_radius=float(rng.uniform(0.3, 1.0)), n=1.0, q=float(rng.uniform(0.15, 0.4)),
        angle=angle + np.pi / 2 + float(rng.normal(0, 0.3)),
    )  # fmt: skip
    paint_clumpy(canvas, Clumpy(body, ()), blue)
    return fluxes


def _paint_single_image(
    canvas: Canvas, rng: np.random.Generator, deflector: Deflector
) -> np.ndarray:
    """A source outside the region of multiple images: sheared, magnified, but one image."""
    fluxes = paint_deflector(canvas, rng, deflector)
    blue = blue_fluxes(rng, deflector, canvas.filters, draw_flux_ratio(rng))
    arcs = trace_arcs(canvas, deflector, draw_source(rng, deflector, (1.5, 2.6)))
    for band, flux in enumerate(blue):
        canvas.light[band, arcs.rows, arcs.columns] += np.float32(flux) * arcs.light
    return fluxes


def _paint_spiral_galaxy(
    canvas: Canvas, rng: np.random.Generator, deflector: Deflector
) -> np.ndarray:
    """A red bulge with blue arms whose size is that of the arcs of a lens."""
    blue = blue_fluxes(rng, deflector, canvas.filters, draw_flux_ratio(rng))
    fluxes = paint_deflector(canvas, rng, deflector)
    light = deflector.light
    disk = Sersic(
        light.x, light.y, half_light_radius=float(deflector.theta_e * rng.uniform(0.8, 1.6)),
        n=1.0, q=float(rng.uniform(0.4, 1.0)), angle=light.angle,
    )  # fmt: skip
    paint_spiral(canvas, disk, rng, blue)
    return fluxes


def _paint_ring_galaxy(
    canvas: Canvas, rng: np.random.Generator, deflector: Deflector
) -> np.ndarray:
    """A ring of star formation around an early-type core."""
    fluxes = paint_deflector(canvas, rng, deflector)
    blue = blue_fluxes(rng, deflector, canvas.filters, draw_flux_ratio(rng))
    light = deflector.light
    ring = Sersic(
        light.x + float(rng.normal(0, 0.06)), light.y + float(rng.normal(0, 0.06)),
        half_light_radius=float(deflector.theta_e * rng.uniform(0.7, 1.5)),
        n=1.0, q=float(rng.uniform(0.55, 1.0)), angle=light.angle + float(rng.normal(0, 0.4)),
    )  # fmt: skip
    paint_ring(canvas, ring, rng, blue)
    return fluxes


def _paint_merger(canvas: Canvas, rng: np.random.Generator, deflector: Deflector) -> np.ndarray:
    """Two early-type cores and a curved tidal tail of intermediate colour."""
    fluxes = paint_deflector(canvas, rng, deflector, share=0.7)
    distance, angle = rng.uniform(0.7, 2.0), rng.uniform(0, 2 * np.pi)
    x, y = distance * np.cos(angle), distance * np.sin(angle)
    q, position = float(rng.uniform(0.5, 0.95)), float(rng.uniform(0, np.pi))
    second = Sersic(x, y, float(rng.uniform(0.2, 0.8)), 3.0, q, position)
    paint_sersic(canvas, second, fluxes * rng.uniform(0.1, 0.6))
    blue = blue_fluxes(rng, deflector, canvas.filters, draw_flux_ratio(rng))
    start, span = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.6)
    shares = rng.dirichlet(np.full(7, 3.0))
    for step, share in zip(np.linspace(0, 1, 7), shares, strict=True):
        radius = deflector.theta_e * (1.0 + 0.5 * step)
        turn = start + span * step
        tail = Sersic(radius * np.cos(turn), radius * np.sin(turn),
                      float(rng.uniform(0.15, 0.35)), 1.0, 0.6, turn + np.pi / 2)  # fmt: skip
        paint_sersic(canvas, tail, share * blue)
    return fluxes


#: Kinds of non-lens: how to paint them, and their fraction.
NON_LENSES: dict[str, tuple[Callable[..., np.ndarray], float]] = {
    "plain": (_paint_plain, 0.20),
    "companions": (_paint_companions, 0.22),
    "alignment": (_paint_alignment, 0.12),
    "single_image": (_paint_single_image, 0.12),
    "spiral": (_paint_spiral_galaxy, 0.14),
    "ring": (_paint_ring_galaxy, 0.10),
    "merger": (_paint_merger, 0.10),
}


def paint_non_lens(
    canvas: Canvas, rng: np.random.Generator, deflector: Deflector, kind: str | None = None
) -> Scene:
    """A non-lens of the given kind, or of one drawn by the configured fractions."""
    if kind is None:
        names = list(NON_LENSES)
        kind = str(rng.choice(names, p=[NON_LENSES[name][1] for name in names]))
    fluxes = NON_LENSES[kind][0](canvas, rng, deflector)
    return Scene(deflector, kind, None, np.zeros(len(canvas.filters)), fluxes)


def paint_scene(canvas: Canvas, rng: np.random.Generator, label: int) -> Scene:
    """A lens (label 1) or a non-lens (label 0) with its environment, light only."""
    deflector = draw_deflector(rng)
    paint_environment(canvas, rng, deflector)
    if label:
        return paint_lens(canvas, rng, deflector)
    return paint_non_lens(canvas, rng, deflector)
