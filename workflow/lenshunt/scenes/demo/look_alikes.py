"""Non-lenses that look like lenses: companions, alignments, spirals, rings, mergers."""

from collections.abc import Callable, Mapping

import numpy as np

from lenshunt.config import Demo
from lenshunt.scenes.canvas import Canvas
from lenshunt.scenes.deflectors import ARC_MAGNITUDE, Deflector, draw_deflector, trace_arcs
from lenshunt.scenes.environment import paint_environment
from lenshunt.scenes.lens_scene import (
    Scene,
    draw_blue_fluxes,
    draw_source,
    paint_arcs,
    paint_deflector,
    paint_lens,
)
from lenshunt.scenes.profiles import (
    Clumpy,
    Sersic,
    draw_clumpy,
    paint_clumpy,
    paint_ring,
    paint_sersic,
    paint_spiral,
)


def _around(deflector: Deflector, distance: float, angle: float) -> tuple[float, float]:
    """Position at a distance (arcsec) and angle (radians) from the deflector's light."""
    light = deflector.light
    return light.x + distance * float(np.cos(angle)), light.y + distance * float(np.sin(angle))


def paint_plain(canvas: Canvas, rng: np.random.Generator, deflector: Deflector) -> np.ndarray:
    """The deflector alone."""
    return paint_deflector(canvas, rng, deflector)


def paint_companions(canvas: Canvas, rng: np.random.Generator, deflector: Deflector) -> np.ndarray:
    """Blue unlensed galaxies around the Einstein radius, of any orientation."""
    fluxes = paint_deflector(canvas, rng, deflector)
    blue = draw_blue_fluxes(rng, deflector, canvas.filters)
    for share in rng.dirichlet(np.full(rng.integers(1, 5), 2.0)):
        distance = deflector.theta_e * rng.uniform(0.6, 1.8)
        x, y = _around(deflector, distance, rng.uniform(0, 2 * np.pi))
        radius = float(np.clip(np.exp(rng.normal(np.log(0.3), 0.4)), 0.08, 0.8))
        paint_clumpy(canvas, draw_clumpy(rng, x, y, radius), share * blue)
    return fluxes


def paint_alignment(canvas: Canvas, rng: np.random.Generator, deflector: Deflector) -> np.ndarray:
    """One edge-on blue disk beside the galaxy that happens to lie tangentially."""
    fluxes = paint_deflector(canvas, rng, deflector)
    blue = draw_blue_fluxes(rng, deflector, canvas.filters)
    angle = float(rng.uniform(0, 2 * np.pi))
    x, y = _around(deflector, deflector.theta_e * rng.uniform(0.8, 2.0), angle)
    radius, q = float(rng.uniform(0.3, 1.0)), float(rng.uniform(0.15, 0.4))
    body = Sersic(x, y, radius, 1.0, q, angle + np.pi / 2 + float(rng.normal(0, 0.3)))
    paint_clumpy(canvas, Clumpy(body, ()), blue)
    return fluxes


def paint_single_image(
    canvas: Canvas, rng: np.random.Generator, deflector: Deflector
) -> np.ndarray:
    """A source outside the region of multiple images: sheared, magnified, but one image."""
    fluxes = paint_deflector(canvas, rng, deflector)
    blue = draw_blue_fluxes(rng, deflector, canvas.filters)
    arcs = trace_arcs(canvas, deflector, draw_source(rng, deflector, (1.5, 2.6)))
    paint_arcs(canvas, arcs, blue)
    return fluxes


def paint_spiral_galaxy(
    canvas: Canvas, rng: np.random.Generator, deflector: Deflector
) -> np.ndarray:
    """A red bulge with blue arms whose size is that of the arcs of a lens."""
    blue = draw_blue_fluxes(rng, deflector, canvas.filters)
    fluxes = paint_deflector(canvas, rng, deflector)
    light, radius = deflector.light, float(deflector.theta_e * rng.uniform(0.8, 1.6))
    disk = Sersic(light.x, light.y, radius, 1.0, float(rng.uniform(0.4, 1.0)), light.angle)
    paint_spiral(canvas, disk, rng, blue)
    return fluxes


def paint_ring_galaxy(canvas: Canvas, rng: np.random.Generator, deflector: Deflector) -> np.ndarray:
    """A ring of star formation around an early-type core."""
    fluxes = paint_deflector(canvas, rng, deflector)
    blue = draw_blue_fluxes(rng, deflector, canvas.filters)
    light, radius = deflector.light, float(deflector.theta_e * rng.uniform(0.7, 1.5))
    x, y = light.x + float(rng.normal(0, 0.06)), light.y + float(rng.normal(0, 0.06))
    q, angle = float(rng.uniform(0.55, 1.0)), light.angle + float(rng.normal(0, 0.4))
    paint_ring(canvas, Sersic(x, y, radius, 1.0, q, angle), rng, blue)
    return fluxes


def paint_merger(canvas: Canvas, rng: np.random.Generator, deflector: Deflector) -> np.ndarray:
    """Two early-type cores and a curved blue tidal tail."""
    fluxes = paint_deflector(canvas, rng, deflector, share=0.7)
    x, y = _around(deflector, rng.uniform(0.7, 2.0), rng.uniform(0, 2 * np.pi))
    q, position = float(rng.uniform(0.5, 0.95)), float(rng.uniform(0, np.pi))
    second = Sersic(x, y, float(rng.uniform(0.2, 0.8)), 3.0, q, position)
    paint_sersic(canvas, second, fluxes * rng.uniform(0.1, 0.6))
    blue = draw_blue_fluxes(rng, deflector, canvas.filters)
    start, span = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.6)
    shares = rng.dirichlet(np.full(7, 3.0))
    for step, share in zip(np.linspace(0, 1, 7), shares, strict=True):
        turn = float(start + span * step)
        x, y = _around(deflector, deflector.theta_e * (1.0 + 0.5 * step), turn)
        tail = Sersic(x, y, float(rng.uniform(0.15, 0.35)), 1.0, 0.6, turn + np.pi / 2)
        paint_sersic(canvas, tail, share * blue)
    return fluxes


Painter = Callable[[Canvas, np.random.Generator, Deflector], np.ndarray]

#: Kinds of non-lens: how to paint them (returns the deflector's flux [band]).
NON_LENSES: dict[str, Painter] = {
    "plain": paint_plain,
    "companions": paint_companions,
    "alignment": paint_alignment,
    "single_image": paint_single_image,
    "spiral": paint_spiral_galaxy,
    "ring": paint_ring_galaxy,
    "merger": paint_merger,
}


#: Their usual fractions: the default of `demo.impostors`.
FRACTIONS: dict[str, float] = Demo().impostors.model_dump()


def paint_non_lens(
    canvas: Canvas,
    rng: np.random.Generator,
    deflector: Deflector,
    kind: str | None = None,
    fractions: Mapping[str, float] = FRACTIONS,
) -> Scene:
    """A non-lens of the given kind, or of one drawn by `fractions`, which sum to 1."""
    if kind is None:
        kind = str(rng.choice(list(fractions), p=list(fractions.values())))
    fluxes = NON_LENSES[kind](canvas, rng, deflector)
    return Scene(deflector, kind, None, np.zeros(len(canvas.filters)), fluxes)


def paint_scene(
    canvas: Canvas,
    rng: np.random.Generator,
    label: int,
    fractions: Mapping[str, float] = FRACTIONS,
    magnitude_max: float = np.inf,
    arc_magnitude: tuple[float, float] = ARC_MAGNITUDE,
) -> Scene:
    """A lens (label 1) or a non-lens (label 0) with its environment, light only.

    fractions : of the kinds of non-lens, summing to 1
    magnitude_max, arc_magnitude : of the survey, as `draw_deflector` takes them
    """
    deflector = draw_deflector(rng, magnitude_max=magnitude_max, arc_magnitude=arc_magnitude)
    paint_environment(canvas, rng, deflector)
    if label:
        return paint_lens(canvas, rng, deflector)
    return paint_non_lens(canvas, rng, deflector, fractions=fractions)
