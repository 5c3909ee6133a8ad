"""Simulated systems with one or more deflectors, and the same galaxies beside unlensed ones."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from lenshunt.evaluation.diagnostics.observing import Observing
from lenshunt.lensing import power_law_deflection
from lenshunt.scenes.canvas import Canvas
from lenshunt.scenes.deflectors import Deflector, draw_deflector, early_type_magnitude
from lenshunt.scenes.environment import paint_environment
from lenshunt.scenes.lens_scene import MULTIPLE_WITHIN, draw_blue_fluxes, paint_deflector
from lenshunt.scenes.profiles import (
    TRUNCATION,
    Clumpy,
    Sersic,
    clumpy_brightness,
    draw_clumpy,
    paint_clumpy,
)

#: Einstein radii of the galaxy in the middle: from so many FWHM of the PSF, below which images of
#: one source blend, to this part of half the side, so that arcs about several deflectors lie in it.
THETA_E_MIN_FWHM, THETA_E_MAX_SHARE = 1.3, 0.45
#: Velocity dispersions of further deflectors over that of the first, and distances from it in its
#: Einstein radii: critical curves merge.
SIGMA_RATIO, DISTANCE = (0.6, 0.95), (0.8, 1.8)
#: A source that is less magnified is no strong lens: 2 / MULTIPLE_WITHIN for an isothermal sphere.
MAGNIFICATION_MIN = 2.0 / MULTIPLE_WITHIN
#: Rays per fine pixel and axis.
_RAYS = 2


@dataclass(frozen=True)
class Pair:
    """A lens and its matching non-lens, noiseless, nJy [k, y, x].

    galaxies : the galaxy in the middle; beside : further deflectors and the environment
    arcs : of one source behind; unlensed : of galaxies of the same flux at the radii of the arcs
    """

    deflectors: list[Deflector]
    galaxy: np.ndarray
    beside: np.ndarray
    arcs: np.ndarray
    unlensed: np.ndarray


def draw_pairs(
    rng: np.random.Generator, observing: Observing, deflectors: int, count: int
) -> Iterator[Pair]:
    """Pairs of systems with this number of deflectors, on the grid and in the bands observed."""
    for _ in range(count):
        yield _draw_pair(rng, observing, deflectors)


def draw_deflectors(
    rng: np.random.Generator, number: int, theta_e_range: tuple[float, float]
) -> list[Deflector]:
    """A galaxy in the middle and others of its group around it, all at one redshift.

    theta_e_range : of the first, arcsec
    """
    first = draw_deflector(rng, theta_e_range=theta_e_range)
    found = [first]
    for _ in range(number - 1):
        ratio = float(rng.uniform(*SIGMA_RATIO))
        distance, turn = first.theta_e * rng.uniform(*DISTANCE), rng.uniform(0, 2 * np.pi)
        sigma, angle = ratio * first.sigma_km_s, float(rng.uniform(0, np.pi))
        scatter = float(rng.normal(0.0, 0.35))
        q = float(np.clip(rng.normal(0.75, 0.13), 0.5, 0.98))
        light = Sersic(
            x=first.light.x + float(distance * np.cos(turn)),
            y=first.light.y + float(distance * np.sin(turn)),
            semi_major=max(first.light.semi_major * ratio**2, 0.15),
            n=first.light.n,
            q=q,
            angle=angle,
        )
        member = replace(
            first,
            light=light,
            magnitude_i=early_type_magnitude(sigma, first.z_lens, first.sed, scatter),
            sigma_km_s=sigma,
            # of an isothermal mass
            theta_e=first.theta_e * ratio**2,
            q_mass=q,
            angle_mass=angle,
        )
        found.append(member)
    return found


def source_plane(
    x: np.ndarray, y: np.ndarray, deflectors: list[Deflector]
) -> tuple[np.ndarray, np.ndarray]:
    """Where rays at x, y [...] arcsec come from: all deflectors in one plane, and one shear."""
    at = torch.from_numpy(np.stack([x, y]).astype(np.float32))
    beta = at.clone()
    for one in deflectors:
        offset = at - torch.tensor([one.light.x, one.light.y]).reshape(2, *(1,) * x.ndim)
        size = (1 - one.q_mass) / (1 + one.q_mass)
        e1, e2 = (size * trig(2 * one.angle_mass) for trig in (np.cos, np.sin))
        numbers = (torch.tensor(float(v)) for v in (one.theta_e, one.slope, e1, e2))
        beta -= torch.stack(power_law_deflection(offset[0], offset[1], *numbers))
    first = deflectors[0]
    gamma1, gamma2 = first.shear
    dx, dy = at[0] - first.light.x, at[1] - first.light.y
    beta -= torch.stack([gamma1 * dx + gamma2 * dy, gamma2 * dx - gamma1 * dy])
    return beta[0].numpy(), beta[1].numpy()


def _draw_pair(rng: np.random.Generator, observing: Observing, number: int) -> Pair:
    grid = observing.grid
    most = THETA_E_MAX_SHARE * 0.5 * grid.size_px * grid.pixel_scale_arcsec
    radii = min(THETA_E_MIN_FWHM * grid.psf_fwhm_arcsec, 0.6 * most), most
    while True:
        deflectors = draw_deflectors(rng, number, radii)
        lensed = _canvas(observing)
        light, magnification = _trace(lensed, deflectors, _draw_source(rng, deflectors))
        if magnification >= MAGNIFICATION_MIN:
            break
    first = deflectors[0]
    galaxy, beside, unlensed = (_canvas(observing) for _ in range(3))
    paint_deflector(galaxy, rng, first)
    paint_environment(beside, rng, first)
    for one in deflectors[1:]:
        paint_deflector(beside, rng, one)
    flux = draw_blue_fluxes(rng, first, observing.filters)
    lensed.light += flux[:, None, None].astype(np.float32) * light / light.sum()
    _paint_unlensed(unlensed, rng, first, light)
    psf = (grid.psf_fwhm_arcsec,) * len(flux), (grid.moffat_beta,) * len(flux)
    planes = [canvas.observe(*psf) for canvas in (galaxy, beside, lensed, unlensed)]
    return Pair(deflectors, *planes)


def _canvas(observing: Observing) -> Canvas:
    grid = observing.grid
    return Canvas(grid.size_px, grid.pixel_scale_arcsec, observing.filters)


def _draw_source(rng: np.random.Generator, deflectors: list[Deflector]) -> Clumpy:
    """A star-forming galaxy within the caustics, which lie about the centre of the masses."""
    mass = np.array([one.theta_e for one in deflectors])
    middle = [
        float(np.dot(mass, [getattr(one.light, axis) for one in deflectors]) / mass.sum())
        for axis in "xy"
    ]
    offset = MULTIPLE_WITHIN * deflectors[0].theta_e * np.sqrt(rng.uniform())
    turn = rng.uniform(0, 2 * np.pi)
    x, y = middle[0] + offset * np.cos(turn), middle[1] + offset * np.sin(turn)
    radius = float(np.clip(np.exp(rng.normal(np.log(0.28), 0.45)), 0.06, 0.8))
    return draw_clumpy(rng, float(x), float(y), radius)


def _trace(canvas: Canvas, deflectors: list[Deflector], source: Clumpy) -> tuple[np.ndarray, float]:
    """Lensed light on the whole fine grid [Y, X], of unit unlensed flux, and the magnification."""
    first, reach = deflectors[0].light, TRUNCATION * canvas.size_px * canvas.scale
    patch = canvas.patch(first.x, first.y, reach)
    steps = ((np.arange(_RAYS) + 0.5) / _RAYS - 0.5) * patch.step
    x = (patch.dx[0][:, None] + steps).ravel() + first.x
    y = (patch.dy[:, 0][:, None] + steps).ravel() + first.y
    grid_x, grid_y = np.meshgrid(x, y)
    beta_x, beta_y = source_plane(grid_x, grid_y, deflectors)
    light = clumpy_brightness(beta_x, beta_y, source)
    height, width = patch.dx.shape
    light = light.reshape(height, _RAYS, width, _RAYS).mean(axis=(1, 3)) * patch.step**2
    return light.astype(np.float32), float(light.sum())


def _paint_unlensed(
    canvas: Canvas, rng: np.random.Generator, first: Deflector, arcs: np.ndarray
) -> None:
    """One to four blue galaxies, each of a colour of its own, at radii of the arcs' light."""
    share = rng.dirichlet(np.full(rng.integers(1, 5), 2.0))
    chance = arcs.ravel().astype(float)
    pixels = rng.choice(arcs.size, len(share), p=chance / chance.sum())
    middle = (arcs.shape[0] - 1) / 2
    for part, pixel in zip(share, pixels, strict=True):
        row, column = np.unravel_index(pixel, arcs.shape)
        dx = (column - middle) * canvas.fine - first.light.x
        dy = (row - middle) * canvas.fine - first.light.y
        distance, turn = np.hypot(dx, dy), rng.uniform(0, 2 * np.pi)
        x, y = first.light.x + distance * np.cos(turn), first.light.y + distance * np.sin(turn)
        radius = float(np.clip(np.exp(rng.normal(np.log(0.3), 0.4)), 0.08, 0.8))
        flux = part * draw_blue_fluxes(rng, first, canvas.filters)
        paint_clumpy(canvas, draw_clumpy(rng, float(x), float(y), radius), flux)
