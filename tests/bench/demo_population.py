"""The demo survey beside the published population of lenses: quantity, demo, published.

Run it by hand: `python tests/bench/demo_population.py [NUMBER OF LENSES [FOLDER]]`. Prints median
and 16-84 % of each quantity. Published: what a survey of the demo's seeing and depth finds in the
population of Collett 2015 (`draw_population`), with Einstein radii in the demo's range, and where
the demo has a magnitude limit of lens galaxies, within it. With a FOLDER both are drawn too.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lenshunt.core.sersic import half_light_radius_of
from lenshunt.reporting.figures.population import draw_population_figure
from lenshunt.scenes.canvas import Canvas, Exposure
from lenshunt.scenes.demo import bologna, sdss
from lenshunt.scenes.lens_scene import Scene
from lenshunt.scenes.population import draw_population
from lenshunt.scenes.seds import band_fluxes
from lenshunt.scenes.selection import Band, Selection, Survey
from lenshunt.schema import filter_named, magnitude_from_njy, survey_named

#: Seen in these bands; brightness of the sky in each (Collett 2015's code).
SKIES = {"SDSS_I": 20.1, "SDSS_G": 21.7, "SDSS_R": 20.7}
THETA_E_RANGE = (0.65, 3.0)
QUANTITIES = (
    "theta_e",
    "z_lens",
    "z_source",
    "sigma_km_s",
    "lens_magnitude",
    "lens_radius",
    "q",
    "g_minus_i",
    "shear",
    "arc_magnitude",
    "magnification",
    "source_magnitude",
    "source_radius",
    "source_g_minus_i",
    "flux_ratio",
    "arc_snr",
)


@dataclass(frozen=True)
class DemoSurvey:
    """One set of the demo, and how the published population is looked at.

    draw : one lens and its noisy images [band, y, x]
    """

    name: str
    draw: Callable[[np.random.Generator], tuple[Scene, np.ndarray]]
    exposures: dict[str, Exposure]
    filters: tuple[str, ...]
    canvas: Callable[[], Canvas]
    selection: Selection
    magnitude_max: float = np.inf

    def as_published(self) -> Survey:
        """Seeing and depth, as `draw_population` wants them."""
        first, *others = (
            Band(filter_named(name).wavelength_um, self.seeing(name), self.depth(name), sky)
            for name, sky in SKIES.items()
        )
        return Survey(first.seeing_arcsec, first.depth_5sigma, first.sky_mag_arcsec2, tuple(others))

    def seeing(self, filter_name: str) -> float:
        return survey_named(self.name).psf_fwhm(filter_name)

    def depth(self, filter_name: str) -> float:
        """AB magnitude of a point source at 5 sigma."""
        scale = survey_named(self.name).pixel_scale_arcsec
        pixels = 4.0 * np.pi * (self.seeing(filter_name) / 2.3548 / scale) ** 2
        limit = 5.0 * self.exposures[filter_name].sky_sigma_njy * np.sqrt(pixels)
        return float(magnitude_from_njy(limit))


def colour(fluxes: np.ndarray, filters: tuple[str, ...]) -> float:
    """g - i (AB)."""
    g, i = (fluxes[filters.index(f"SDSS_{band}")] for band in "GI")
    return float(magnitude_from_njy(g) - magnitude_from_njy(i))


def row_of(scene: Scene, snr: float, filters: tuple[str, ...]) -> dict[str, float]:
    """What the table shows of one lens of the demo."""
    lens, band = scene.deflector, filters.index("SDSS_I")
    assert scene.arcs is not None
    assert scene.source is not None
    body = scene.source.body
    lensed = float(magnitude_from_njy(scene.arcs_flux_njy[band]))
    return {
        "theta_e": lens.theta_e,
        "z_lens": lens.z_lens,
        "z_source": lens.z_source,
        "sigma_km_s": lens.sigma_km_s,
        "lens_magnitude": float(magnitude_from_njy(scene.deflector_flux_njy[band])),
        "lens_radius": half_light_radius_of(lens.light.semi_major, lens.light.q),
        "q": lens.light.q,
        "g_minus_i": colour(scene.deflector_flux_njy, filters),
        "shear": float(np.hypot(*lens.shear)),
        "arc_magnitude": lensed,
        "magnification": scene.arcs.magnification,
        "source_magnitude": lensed + 2.5 * np.log10(scene.arcs.magnification),
        "source_radius": half_light_radius_of(body.semi_major, body.q),
        "source_g_minus_i": colour(scene.arcs_flux_njy, filters),
        "flux_ratio": np.log10(scene.flux_ratio(band)),
        "arc_snr": snr,
    }


def arc_snr(survey: DemoSurvey, scene: Scene, images_njy: np.ndarray) -> float:
    """Signal to noise ratio of the arcs in their best band: matched filter, lens light as noise."""
    assert scene.arcs is not None
    found, canvas, beta = [], survey.canvas(), survey_named(survey.name).moffat_beta
    for name in SKIES:
        band = survey.filters.index(name)
        light = scene.arcs.light * scene.arcs_flux_njy[band]
        rows, columns = scene.arcs.rows, scene.arcs.columns
        arcs = canvas.observe_part(rows, columns, light, survey.seeing(name), beta)
        variance = survey.exposures[name].variance(images_njy[band])
        found.append(float(np.sqrt((arcs**2 / variance).sum())))
    return max(found)


def bologna_lens(rng: np.random.Generator) -> tuple[Scene, np.ndarray]:
    scene, images, _, _ = bologna.simulate_object(rng, 1)
    return scene, images


def sdss_lens(rng: np.random.Generator) -> tuple[Scene, np.ndarray]:
    scene, images, _ = sdss.simulate_object(rng, 1)
    return scene, images


def bologna_canvas() -> Canvas:
    scale = survey_named("bologna_ground").pixel_scale_arcsec
    return Canvas(bologna.SIZE_PX, scale, bologna.FILTERS)


def sdss_canvas() -> Canvas:
    scale = survey_named("sdss").pixel_scale_arcsec
    return Canvas(sdss.SIZE_PX, scale, sdss.FILTERS, oversample=4)


DEMO_SURVEYS = (
    DemoSurvey(
        "bologna_ground", bologna_lens, bologna.EXPOSURES, bologna.FILTERS, bologna_canvas,
        Selection(theta_e_range=THETA_E_RANGE),
    ),
    # no lens is found in such images alone: fainter arcs, and no condition on the seeing
    DemoSurvey(
        "sdss", sdss_lens, dict(zip(sdss.FILTERS, sdss.exposures(), strict=True)), sdss.FILTERS,
        sdss_canvas,
        Selection(snr_min=5.0, seeing_fraction=0.0, resolved=False, theta_e_range=THETA_E_RANGE),
        sdss.MAGNITUDE_MAX,
    ),
)  # fmt: skip


def published(rng: np.random.Generator, survey: DemoSurvey, n: int) -> pd.DataFrame:
    """Lenses of the published population that the survey finds, at most `n`."""
    table = draw_population(rng, 4 * n, survey.as_published(), survey.selection)
    table = table[table["lens_magnitude"] < survey.magnitude_max].head(n)
    filters = ("SDSS_G", "SDSS_I")
    rows = table.to_dict("records")
    lens = [band_fluxes(r["lens_magnitude"], r["lens_sed"], r["z_lens"], filters) for r in rows]
    source = [
        band_fluxes(
            r["source_magnitude"], r["source_sed"], r["z_source"], filters, r["source_reddening"]
        )
        for r in rows
    ]
    arc = table["source_magnitude"] - 2.5 * np.log10(table["magnification"])
    return table.assign(
        g_minus_i=[colour(fluxes, filters) for fluxes in lens],
        source_g_minus_i=[colour(fluxes, filters) for fluxes in source],
        shear=np.hypot(table["gamma1"], table["gamma2"]),
        arc_magnitude=arc,
        flux_ratio=-np.log10(1.0 + 10 ** (0.4 * (arc - table["lens_magnitude"]))),
    )


def text(values: pd.Series) -> str:
    low, middle, high = values.quantile([0.16, 0.5, 0.84])
    return f"{middle:8.2f} [{low:6.2f}, {high:6.2f}]"


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    simulated, observed = {}, {}
    for survey in DEMO_SURVEYS:
        start, lenses = time.process_time(), []
        for number in range(n):
            lenses.append(survey.draw(np.random.default_rng([n, number])))
        seconds = (time.process_time() - start) / n * 1000
        table = pd.DataFrame(
            [row_of(scene, arc_snr(survey, scene, i), survey.filters) for scene, i in lenses]
        )
        real = published(np.random.default_rng(7), survey, n)
        print(
            f"\n{survey.name}: {n} lenses, {seconds:.1f} s per 1,000; published: {len(real)}; "
            f"i: seeing {survey.seeing('SDSS_I')}, 5 sigma depth {survey.depth('SDSS_I'):.2f}"
        )
        print(f"{'quantity':20s} {'demo':>26s} {'published':>26s}")
        for quantity in QUANTITIES:
            print(f"{quantity:20s} {text(table[quantity]):>26s} {text(real[quantity]):>26s}")
        simulated[survey.name], observed[survey.name] = table, real
    if len(sys.argv) > 2:
        draw_population_figure(
            simulated=simulated,
            observed=observed,
            out=str(Path(sys.argv[2]) / "demo_population.pdf"),
        )


if __name__ == "__main__":
    main()
