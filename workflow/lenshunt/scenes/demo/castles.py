"""Demo of CASTLES: HST images of lensed galaxies and quasars, and the table of systems."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver
from tqdm import tqdm

from lenshunt.config import Demo
from lenshunt.core import write_text
from lenshunt.scenes.canvas import Canvas
from lenshunt.scenes.deflectors import Deflector, draw_deflector, lens_model, trace_arcs
from lenshunt.scenes.demo.files import remove_stale, write_fits
from lenshunt.scenes.demo.hst import (
    ACS,
    EXPOSURE_S,
    PIXEL_SCALE,
    QUASARS,
    THETA_E_RANGE,
    acs_header,
    draw_quasar_fluxes,
    psf,
)
from lenshunt.scenes.environment import paint_environment
from lenshunt.scenes.lens_scene import (
    MULTIPLE_WITHIN,
    draw_blue_fluxes,
    draw_source,
    paint_arcs,
    paint_deflector,
)
from lenshunt.schema import magnitude_from_njy

FILTERS = ("F555W", "F814W")
SIZE_PX = 128
#: Images magnified less than this are the one in the lens's centre, never seen.
CENTRAL_IMAGE = 0.1
#: Title line of the CASTLES list.
COLUMNS = (
    "#",
    "Lens name",
    "G",
    "zs",
    "zl",
    "RA (J2000)",
    "Dec (J2000)",
    "E(B-V)",
    "ms (mag)",
    "ml (mag)",
    "FGHz (mJy)",
    "Nim",
    'size (")',
    "dt (days)",
    "sigma (km/s)",
)


@dataclass(frozen=True)
class System:
    """One lens: its images in nJy, noisy and noiseless [band, y, x], and what the table says."""

    deflector: Deflector
    noisy: np.ndarray
    clean: np.ndarray
    quasar_images: int
    separation_arcsec: float
    source_flux_njy: np.ndarray
    deflector_flux_njy: np.ndarray


def _quasar_images(
    deflector: Deflector, x: float, y: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions in arcsec and |magnification| of the images of a point source at (x, y)."""
    model, keywords = lens_model(deflector)
    # Not the default solver: on a grid it misses images, not the same ones in every run.
    image_x, image_y = LensEquationSolver(model).image_position_from_source(
        x, y, keywords, solver="analytical", magnification_limit=CENTRAL_IMAGE
    )
    return image_x, image_y, np.abs(model.magnification(image_x, image_y, keywords))


def simulate_system(rng: np.random.Generator) -> System:
    """One lens: arcs of a galaxy and, for half of the systems, the quasar in its centre."""
    canvas = Canvas(SIZE_PX, PIXEL_SCALE, FILTERS)
    deflector = draw_deflector(rng, THETA_E_RANGE, slope_scatter=0.08)
    paint_environment(canvas, rng, deflector)
    deflector_flux = paint_deflector(canvas, rng, deflector)
    source_flux = draw_blue_fluxes(rng, deflector, FILTERS)
    source = draw_source(rng, deflector, (0.05, MULTIPLE_WITHIN))
    arcs = trace_arcs(canvas, deflector, source, subpixels=2)
    paint_arcs(canvas, arcs, source_flux)
    separation, number = 2 * deflector.theta_e, 0
    if rng.random() < QUASARS:
        x, y, magnification = _quasar_images(deflector, source.body.x, source.body.y)
        flux = draw_quasar_fluxes(rng, deflector, FILTERS)
        # quasar variability and microlensing: flux ratios are off by 0.2 mag
        for image_x, image_y, mu in zip(x, y, magnification, strict=True):
            mu = min(mu, 20.0) * 10 ** (0.4 * float(rng.normal(0, 0.2)))
            canvas.paint_point(image_x, image_y, mu * flux)
        number = len(x)
        distances = np.hypot(x[:, None] - x, y[:, None] - y)
        separation = float(distances.max()) if number > 1 else separation
    fwhm, beta = psf(FILTERS)
    clean = canvas.observe(fwhm, beta)
    noisy = [ACS[b].exposure().noisy(image, rng) for b, image in zip(FILTERS, clean, strict=True)]
    return System(
        deflector, np.stack(noisy), clean, number, separation, source_flux, deflector_flux
    )


def _position(index: int) -> SkyCoord:
    """Fictional positions, far from each other and from the cluster fields."""
    return SkyCoord(ra=(7.31 + 11.63 * index) % 360, dec=-38.0 + (17.9 * index) % 76, unit="deg")


def _name(position: SkyCoord) -> str:
    """DEMOJhhmm+ddmm."""
    ra = position.ra.to_string("hourangle", sep="", precision=0, pad=True)[:4]
    dec = position.dec.to_string("deg", sep="", precision=0, pad=True, alwayssign=True)[:5]
    return f"DEMOJ{ra}{dec}"


def write_castles(folder: Path, demo: Demo, seed: int) -> None:
    """Write the demo's systems in two filters below `folder`; the table comes last.

    Every third system is in ELECTRONS rather than ELECTRONS/S: both occur in the archive.
    """
    remove_stale(folder, ("castles.tsv", "images/*.fits"))
    lines = ["\t".join(f"{title} " for title in COLUMNS)]
    for index in tqdm(range(demo.castles_systems), desc="demo castles", disable=None):
        rng = np.random.default_rng([seed, 4, index])
        position = _position(index)
        name = _name(position)
        system = simulate_system(rng)
        for band, filter_name in enumerate(FILTERS):
            hdus = _hdus(system, band, name, position, in_electrons=index % 3 == 2)
            write_fits(folder / "images" / f"{name}_{filter_name}.fits", hdus)
        lines.append("\t".join(_row(index + 1, name, position, system)))
    write_text("\n".join(lines) + "\n", folder / "castles.tsv")


def _hdus(
    system: System, band: int, name: str, position: SkyCoord, in_electrons: bool
) -> list[fits.ImageHDU]:
    """Primary, SCI and ERR."""
    filter_name = FILTERS[band]
    facts = ACS[filter_name]
    header = acs_header(filter_name, name, position.ra.deg, position.dec.deg, (SIZE_PX, SIZE_PX))
    unit = facts.njy
    if in_electrons:
        unit, header["BUNIT"] = facts.njy / EXPOSURE_S, "ELECTRONS"
    error = np.sqrt(facts.exposure().variance(system.clean[band]))
    return [
        fits.PrimaryHDU(header=fits.Header({"TELESCOP": "HST", "INSTRUME": "ACS"})),
        fits.ImageHDU((system.noisy[band] / unit).astype(np.float32), header, name="SCI"),
        fits.ImageHDU((error / unit).astype(np.float32), header, name="ERR"),
    ]


def _row(number: int, name: str, position: SkyCoord, system: System) -> list[str]:
    """One row of the table; blanks occur as in the real one."""
    lens = system.deflector
    band = FILTERS.index("F814W")
    source, light = (
        float(magnitude_from_njy(flux[band]))
        for flux in (system.source_flux_njy, system.deflector_flux_njy)
    )
    images = f"{system.quasar_images}" if system.quasar_images else "ER"
    return [
        str(number),
        f"{name} ",
        "A ",
        f"{lens.z_source:.3f} ",
        f"{lens.z_lens:.3f} " if number % 7 else "  ",
        position.ra.to_string("hourangle", sep=":", precision=3, pad=True) + " ",
        position.dec.to_string("deg", sep=":", precision=2, pad=True, alwayssign=True) + " ",
        "0.000 ",
        f"I={source:.2f} ",
        f"I={light:.2f} ",
        "  ",
        f"{images} ",
        f"{system.separation_arcsec:.2f} ",
        "  ",
        f"{lens.sigma_km_s:.0f}",
    ]
