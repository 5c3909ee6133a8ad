"""Demo of RELICS: cluster fields with giant arcs, members that resemble lenses, and stars."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import Table
from tqdm import tqdm

from lenshunt.config import Demo
from lenshunt.core import write_ecsv
from lenshunt.scenes.canvas import Canvas
from lenshunt.scenes.deflectors import Arcs, Deflector, draw_deflector, trace_arcs
from lenshunt.scenes.demo.field import field_wcs, write_field
from lenshunt.scenes.demo.hst import PIXEL_SCALE, QUASARS, THETA_E_RANGE, draw_quasar_fluxes
from lenshunt.scenes.demo.look_alikes import paint_non_lens
from lenshunt.scenes.demo.survey import FIELD_FILTERS, cluster_names
from lenshunt.scenes.environment import (
    SkySource,
    listed,
    paint_environment,
    paint_satellites,
    paint_star,
)
from lenshunt.scenes.lens_scene import paint_arcs
from lenshunt.scenes.profiles import Sersic, draw_clumpy, paint_sersic
from lenshunt.scenes.seds import ELLIPTICAL, STARBURST, band_fluxes

SIZE_PX = 1000
MEMBERS = 32
STARS = 30
#: Members keep this distance from each other and from the giant arcs, in arcsec.
MEMBER_SEPARATION = 4.0
#: Einstein radius of the cluster core, in arcsec.
CORE_THETA_E = (5.0, 8.0)


def cluster_redshift(number: int) -> float:
    """Redshift of the cluster demo000N: 0.37, 0.39, 0.41, 0.43, then again from 0.37.

    All lie close to the 0.4 that the demo's configuration names for every cluster.
    """
    return round(0.37 + 0.02 * ((number - 1) % 4), 2)


def cluster_position(number: int) -> tuple[float, float]:
    """Fictional (ra, dec) in degrees of the cluster demo000N."""
    return (40.0 + 23.0 * number) % 360.0, -45.0 + (7.5 * number) % 80.0


def _core(rng: np.random.Generator, z: float) -> Deflector:
    """The cluster core as one isothermal ellipsoid, with the light of the brightest galaxy."""
    galaxy = draw_deflector(rng, z_lens_range=(z - 0.01, z + 0.01))
    light = Sersic(0.0, 0.0, 2.5, 4.0, 0.75, galaxy.light.angle)
    return replace(
        galaxy, light=light, magnitude_i=galaxy.magnitude_i - 0.8, sed=ELLIPTICAL, z_lens=z,
        z_source=2.0, theta_e=float(rng.uniform(*CORE_THETA_E)), q_mass=0.75,
    )  # fmt: skip


def _bright_knots(canvas: Canvas, arcs: Arcs) -> list[tuple[float, float]]:
    """Positions in arcsec along the arcs, about an arcsec apart, down to 5 % of the peak."""
    light = arcs.light.copy()
    patch = canvas.patch(0.0, 0.0, canvas.size_px * canvas.scale)
    x, y = patch.dx[arcs.rows, arcs.columns], patch.dy[arcs.rows, arcs.columns]
    knots: list[tuple[float, float]] = []
    threshold = 0.05 * light.max()
    while light.max() > threshold:
        brightest = np.unravel_index(int(light.argmax()), light.shape)
        knots.append((float(x[brightest]), float(y[brightest])))
        light[np.hypot(x - knots[-1][0], y - knots[-1][1]) < 1.0] = 0.0
    return knots


def _paint_giant_arcs(canvas: Canvas, rng: np.random.Generator, core: Deflector) -> list[SkySource]:
    """Three background galaxies behind the core; returns their arcs, knot by knot."""
    sources = []
    for _ in range(3):
        deflector = replace(core, theta_e=core.theta_e * float(rng.uniform(0.7, 1.0)))
        offset, turn = rng.uniform(0.05, 0.5) * deflector.theta_e, rng.uniform(0, 2 * np.pi)
        x, y = float(offset * np.cos(turn)), float(offset * np.sin(turn))
        arcs = trace_arcs(canvas, deflector, draw_clumpy(rng, x, y, float(rng.uniform(0.2, 0.4))))
        z = float(rng.uniform(1.0, 3.0))
        flux = band_fluxes(float(rng.uniform(20.5, 22.5)), STARBURST, z, canvas.filters)
        paint_arcs(canvas, arcs, flux)
        knots = _bright_knots(canvas, arcs)
        sources += [SkySource(*knot, flux / len(knots), z, 0.4, 0.4) for knot in knots]
    return sources


def _free_positions(
    rng: np.random.Generator, n: int, taken: np.ndarray, separation: float, half_arcsec: float
) -> np.ndarray:
    """At most `n` random positions [n, 2] in arcsec, apart from each other and from `taken`."""
    points = np.asarray(taken, dtype=float).reshape(-1, 2)
    first = len(points)
    for _ in range(200 * n):
        if len(points) - first == n:
            break
        candidate = rng.uniform(-half_arcsec, half_arcsec, 2)
        if np.hypot(*(points - candidate).T).min(initial=np.inf) > separation:
            points = np.vstack([points, candidate])
    return points[first:]


def _paint_member(
    canvas: Canvas, rng: np.random.Generator, z: float, x: float, y: float
) -> list[SkySource]:
    """A member: any kind of non-lens, with the companions and point sources that lenses have."""
    drawn = draw_deflector(rng, THETA_E_RANGE, z_lens_range=(z - 0.008, z + 0.008))
    light = replace(drawn.light, x=x + drawn.light.x, y=y + drawn.light.y)
    deflector = replace(drawn, light=light)
    satellites = paint_satellites(canvas, rng, deflector)
    scene = paint_non_lens(canvas, rng, deflector)
    # stars and quasars by chance, as many as the lensed quasars of the positives
    if rng.random() < QUASARS:
        flux = draw_quasar_fluxes(rng, deflector, canvas.filters)
        for _ in range(rng.integers(1, 4)):
            distance, turn = deflector.theta_e * rng.uniform(0.5, 1.8), rng.uniform(0, 2 * np.pi)
            brightness = 10 ** float(rng.normal(0.4, 0.25))
            canvas.paint_point(
                light.x + distance * np.cos(turn), light.y + distance * np.sin(turn),
                brightness * flux,
            )  # fmt: skip
    return [listed(light, scene.deflector_flux_njy, deflector.z_lens), *satellites]


def simulate_field(
    rng: np.random.Generator, z: float, size_px: int = SIZE_PX
) -> tuple[Canvas, list[SkySource], list[SkySource]]:
    """Canvas of one cluster, its sources, and its giant arcs."""
    canvas = Canvas(size_px, PIXEL_SCALE, FIELD_FILTERS)
    half = size_px * PIXEL_SCALE / 2 - 4.5
    core = _core(rng, z)
    core_flux = band_fluxes(core.magnitude_i, core.sed, z, canvas.filters)
    paint_sersic(canvas, core.light, core_flux)
    sources = [listed(core.light, core_flux, z), *paint_environment(canvas, rng)]
    arcs = _paint_giant_arcs(canvas, rng, core)
    taken = np.array([(0.0, 0.0), *((arc.x, arc.y) for arc in arcs)])
    members = _free_positions(rng, MEMBERS, taken, MEMBER_SEPARATION, half)
    for x, y in tqdm(members, desc="members", disable=None, leave=False):
        sources += _paint_member(canvas, rng, z, float(x), float(y))
    crowded = np.vstack([taken, members])
    for x, y in _free_positions(rng, STARS, crowded, 2.5, half):
        sources.append(paint_star(canvas, rng, float(x), float(y), float(rng.uniform(19, 22.5))))
    return canvas, sources, arcs


def write_relics(folder: Path, demo: Demo, seed: int) -> None:
    """Write the demo's fields below `folder`, each with its list of arcs."""
    names = cluster_names(demo)
    for number, name in enumerate(tqdm(names, desc="demo relics", disable=None), start=1):
        rng = np.random.default_rng([seed, 5, number])
        position = cluster_position(number)
        canvas, sources, arcs = simulate_field(rng, cluster_redshift(number))
        write_field(folder / name, name, canvas, position, [*sources, *arcs], rng)
        wcs = field_wcs(*position, SIZE_PX)
        x, y = (
            (SIZE_PX - 1) / 2 + np.array([getattr(arc, axis) for arc in arcs]) / PIXEL_SCALE
            for axis in ("x", "y")
        )
        ra, dec = wcs.all_pix2world(x, y, 0)
        table = Table({"ra": np.round(ra, 7), "dec": np.round(dec, 7)}, units=("deg", "deg"))
        write_ecsv(table, folder / name / "arcs.ecsv")
