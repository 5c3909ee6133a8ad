"""A strong lens on the canvas, and what it shares with non-lenses.

Lenses and non-lenses share the deflector, the environment and the distribution of blue light
beside it (flux, colour, size, distance), so that nothing but lensing tells them apart.
"""

from dataclasses import dataclass

import numpy as np

from lenshunt.scenes.canvas import Canvas
from lenshunt.scenes.deflectors import Arcs, Deflector, trace_arcs
from lenshunt.scenes.profiles import Clumpy, Sersic, draw_clumpy, paint_sersic
from lenshunt.scenes.seds import SCD, STARBURST, band_fluxes

#: Multiple images form inside this source offset, in units of theta_E; single ones outside it.
MULTIPLE_WITHIN = 0.65


@dataclass(frozen=True)
class Scene:
    """What was painted.

    kind : "lens" or the kind of non-lens
    arcs : where the lensed light is, of unit flux; None for a non-lens
    arcs_flux_njy, deflector_flux_njy : [band]; arcs 0 for a non-lens
    source : in the source plane; None for a non-lens
    """

    deflector: Deflector
    kind: str
    arcs: Arcs | None
    arcs_flux_njy: np.ndarray
    deflector_flux_njy: np.ndarray
    source: Clumpy | None = None

    @property
    def label(self) -> int:
        return int(self.kind == "lens")

    def flux_ratio(self, band: int) -> float:
        """Lensed over total flux in one band; NaN for a non-lens."""
        if self.arcs is None:
            return float("nan")
        lensed = self.arcs_flux_njy[band]
        return float(lensed / (lensed + self.deflector_flux_njy[band]))


def paint_deflector(
    canvas: Canvas, rng: np.random.Generator, deflector: Deflector, share: float = 1.0
) -> np.ndarray:
    """Paint the lens galaxy (one in four with a disk); returns its flux [band] in nJy."""
    reddening = float(rng.normal(0.03, 0.03))
    fluxes = share * band_fluxes(
        deflector.magnitude_i, deflector.sed, deflector.z_lens, canvas.filters, reddening
    )
    disk_share = rng.uniform(0.15, 0.5) if rng.random() < 0.25 else 0.0
    paint_sersic(canvas, deflector.light, (1 - disk_share) * fluxes)
    if disk_share:
        light = deflector.light
        radius = float(min(1.6 * light.semi_major, 3.0))
        disk = Sersic(light.x, light.y, radius, 1.0, max(light.q - 0.15, 0.25), light.angle)
        paint_sersic(canvas, disk, disk_share * fluxes)
    return fluxes


def draw_blue_fluxes(
    rng: np.random.Generator, deflector: Deflector, filters: tuple[str, ...]
) -> np.ndarray:
    """Fluxes [band] of the star-forming light beside a deflector: of arcs, or of what is not.

    Its colour is that of a galaxy at the source's redshift, with dust (or less of it than the
    template has).
    """
    sed, reddening = float(rng.uniform(SCD - 0.3, STARBURST)), float(rng.normal(0.1, 0.1))
    return band_fluxes(deflector.arc_magnitude_i, sed, deflector.z_source, filters, reddening)


def draw_source(
    rng: np.random.Generator, deflector: Deflector, offset_range: tuple[float, float]
) -> Clumpy:
    """A star-forming galaxy behind the deflector, at an offset in units of theta_E."""
    # uniform in area
    offset = deflector.theta_e * np.sqrt(rng.uniform(*np.square(offset_range)))
    angle = rng.uniform(0, 2 * np.pi)
    x = deflector.light.x + offset * np.cos(angle)
    y = deflector.light.y + offset * np.sin(angle)
    radius = float(np.clip(np.exp(rng.normal(np.log(0.28), 0.45)), 0.06, 0.8))
    return draw_clumpy(rng, float(x), float(y), radius)


def paint_arcs(canvas: Canvas, arcs: Arcs, flux_njy: np.ndarray) -> None:
    """Add lensed light of `flux_njy` [band], magnification included."""
    for band, flux in enumerate(flux_njy):
        canvas.light[band, arcs.rows, arcs.columns] += np.float32(flux) * arcs.light


def paint_lens(canvas: Canvas, rng: np.random.Generator, deflector: Deflector) -> Scene:
    """A strong lens: source inside the region of multiple images."""
    deflector_flux = paint_deflector(canvas, rng, deflector)
    arcs_flux = draw_blue_fluxes(rng, deflector, canvas.filters)
    source = draw_source(rng, deflector, (0.0, MULTIPLE_WITHIN))
    arcs = trace_arcs(canvas, deflector, source)
    paint_arcs(canvas, arcs, arcs_flux)
    return Scene(deflector, "lens", arcs, arcs_flux, deflector_flux, source)
