"""Demo of GalaxiesML: HSC galaxies with spectroscopic redshifts and SExtractor shapes, HDF5."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from tqdm import tqdm

from lenshunt.config import Demo
from lenshunt.core import whole_file
from lenshunt.core.cosmology import demo_distances
from lenshunt.scenes.canvas import Canvas, Exposure
from lenshunt.scenes.demo.survey import demo_files
from lenshunt.scenes.environment import paint_environment
from lenshunt.scenes.profiles import (
    Sersic,
    draw_clumpy,
    paint_clumpy,
    paint_sersic,
    paint_spiral,
)
from lenshunt.scenes.seds import I_BAND_UM, SBC, STARBURST, band_fluxes, log_flux
from lenshunt.schema import SLOTS, magnitude_from_njy, njy_per_count, survey_named

SIZE_PX = 64
#: 5 sigma depths of the HSC Wide layer (26.5 26.1 25.9 25.1 24.4 in 2 arcsec; Aihara et al. 2022)
#: as noise per pixel, and electrons per nJy of 10 to 20 min on 8.2 m.
_SKY_NJY = (1.35, 1.95, 2.35, 4.9, 9.3)
_ELECTRONS_PER_NJY = (48.0, 52.0, 70.0, 45.0, 25.0)
#: Share of each official file (204,573 : 40,914 : 40,914 galaxies).
SPLIT_SHARES = (0.714, 0.143, 0.143)
#: Share of galaxies without SExtractor measurement in a band; their values are 0.0.
_MISSING = 0.02


@dataclass(frozen=True)
class Galaxy:
    """One galaxy: redshift, fluxes [band] in nJy and the shape that SExtractor would find."""

    z: float
    flux_njy: np.ndarray
    shape: Sersic


def draw_galaxy(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """(z, spectral type, i magnitude, half-light semi-major axis in arcsec) of a target.

    Luminosity: M_i of a Schechter knee with scatter, fainter for bluer types; size: R ~ L^0.3.
    Redrawn until i < 22.5, the limit of the large spectroscopic surveys.
    """
    while True:
        z = float(np.clip(rng.gamma(2.2, 0.27), 0.02, 3.5))
        sed = float(abs(rng.normal(0, 0.25))) if rng.random() < 0.45 else float(rng.uniform(1, 3))
        absolute = -22.0 + 0.35 * sed + float(rng.normal(0, 0.9))
        wavelength = np.array([I_BAND_UM])
        k = -2.5 * (log_flux(sed, z, wavelength) - log_flux(sed, 0.0, wavelength))[0]
        magnitude = float(absolute + demo_distances().modulus(z) + k - 2.5 * np.log10(1 + z))
        if 15.5 < magnitude < 22.5:
            break
    radius_kpc = 4.5 * 10 ** (-0.4 * 0.3 * (absolute + 22.0)) * np.exp(rng.normal(0, 0.25))
    # 206265 arcsec a radian, rounded as ever: the files stay the same bytes
    kpc_per_arcsec = demo_distances().comoving_mpc(z) / (1 + z) * 1e3 / 206265.0
    return z, sed, magnitude, float(np.clip(radius_kpc / kpc_per_arcsec, 0.12, 2.5))


def paint_galaxy(canvas: Canvas, rng: np.random.Generator) -> Galaxy:
    """Paint one galaxy at the centre, with its environment."""
    z, sed, magnitude, radius = draw_galaxy(rng)
    flux = band_fluxes(magnitude, sed, z, canvas.filters, float(rng.normal(0.05, 0.06)))
    q, angle = float(rng.uniform(0.25, 0.98)), float(rng.uniform(0, np.pi))
    x, y = rng.normal(0, 0.05, 2)
    if sed < SBC:
        n = round(float(np.clip(rng.normal(4 - 1.5 * sed, 0.7), 1.0, 6.0)), 2)
        shape = Sersic(x, y, radius, n, q, angle)
        paint_sersic(canvas, shape, flux)
    elif sed < 2.2:
        bulge = float(rng.uniform(0.1, 0.5))
        shape = Sersic(x, y, radius, round(1.0 + 2.0 * bulge, 2), q, angle)
        paint_sersic(canvas, Sersic(x, y, 0.35 * radius, 2.5, max(q, 0.6), angle), bulge * flux)
        paint_sersic(canvas, Sersic(x, y, radius, 1.0, q, angle), 0.6 * (1 - bulge) * flux)
        blue = band_fluxes(magnitude, min(sed + 0.7, STARBURST), z, canvas.filters)
        paint_spiral(canvas, shape, rng, 0.4 * (1 - bulge) * blue)
    else:
        clumpy = draw_clumpy(rng, x, y, radius)
        shape = clumpy.body
        paint_clumpy(canvas, clumpy, flux)
    paint_environment(canvas, rng)
    return Galaxy(z, flux, shape)


def simulate_object(rng: np.random.Generator) -> tuple[Galaxy, np.ndarray]:
    """One galaxy and its images [band, y, x] in HSC counts (zero point 27)."""
    survey = survey_named("hsc")
    canvas = Canvas(SIZE_PX, survey.pixel_scale_arcsec, SLOTS)
    galaxy = paint_galaxy(canvas, rng)
    # seeing per band is quantised, so that few PSFs are computed
    seeing = tuple(
        round(survey.psf_fwhm(name) * float(np.exp(rng.normal(0, 0.08))) / 0.02) * 0.02
        for name in SLOTS
    )
    clean = canvas.observe(seeing, (survey.moffat_beta,) * len(SLOTS))
    counts = [
        Exposure(sky, electrons).noisy(image, rng) / njy_per_count(survey.zero_point(name))
        for name, sky, electrons, image in zip(
            SLOTS, _SKY_NJY, _ELECTRONS_PER_NJY, clean, strict=True
        )
    ]
    return galaxy, np.stack(counts).astype(np.float32)


def _measurements(galaxy: Galaxy, rng: np.random.Generator) -> dict[str, float]:
    """Per-band columns; lengths in pixels, ellipticity 1 - B/A, missing SExtractor values 0."""
    scale = survey_named("hsc").pixel_scale_arcsec
    row: dict[str, float] = {}
    for band, flux, sky in zip(SLOTS, galaxy.flux_njy, _SKY_NJY, strict=True):
        # noise within 2 arcsec
        error = sky * np.sqrt(np.pi) / scale
        measured = max(flux + error * float(rng.standard_normal()), 0.3 * error)
        row[f"{band}_cmodel_mag"] = float(magnitude_from_njy(measured))
        row[f"{band}_cmodel_magsigma"] = float(1.0857 * error / measured)
        seen = float(rng.random() >= _MISSING)
        radius = seen * galaxy.shape.semi_major / scale * float(np.exp(rng.normal(0, 0.04)))
        q = float(np.clip(galaxy.shape.q + rng.normal(0, 0.02), 0.1, 1.0))
        area = np.pi * (2.5 * radius) ** 2 * q
        surface = measured / max(2 * np.pi * radius**2 * q, 1.0) * scale**-2
        row |= {
            f"{band}_ellipticity": seen * (1 - q),
            f"{band}_half_light_radius": radius,
            f"{band}_isophotal_area": round(area),
            f"{band}_major_axis": 1.2 * radius,
            f"{band}_minor_axis": 1.2 * radius * q,
            f"{band}_peak_surface_brightness": seen * float(magnitude_from_njy(surface)),
            f"{band}_petro_rad": 2.2 * radius,
            f"{band}_pos_angle": seen * (np.degrees(galaxy.shape.angle) % 180.0 - 90.0),
            f"{band}_sersic_index": seen * galaxy.shape.n * float(np.exp(rng.normal(0, 0.05))),
        }
        for reach in (5, 10, 15):
            row[f"{band}_central_image_pop_{reach}px_rad"] = float(1 + rng.poisson(0.1 * reach))
    return row


def _scalars(galaxy: Galaxy, index: int, rng: np.random.Generator) -> dict[str, object]:
    """Columns of one galaxy, GalaxiesML's names."""
    # a corner of the sky for the demo alone; 0.02 deg apart, so that nothing matches by chance
    ra, dec = 30.0 + 0.02 * (index % 100), -6.0 + 0.02 * (index // 100)
    magnitude = float(magnitude_from_njy(galaxy.flux_njy[SLOTS.index("i")]))
    return {
        "object_id": 36_411_448_540_000_000 + index,
        "ra": ra,
        "dec": dec,
        "coord": f"({ra:.6f}, {dec:.6f})".encode(),
        "skymap_id": 8_523_000 + index % 81,
        "specz_name": f"DEMO-{index:07d}".encode(),
        "specz_ra": ra,
        "specz_dec": dec,
        "specz_mag_i": magnitude,
        "specz_redshift": galaxy.z,
        "specz_redshift_err": 1e-4 * (1 + galaxy.z),
        "specz_flag_homogeneous": 1,
        "x_coord": float(rng.uniform(100, 35900)),
        "y_coord": float(rng.uniform(100, 35900)),
        **_measurements(galaxy, rng),
    }


def write_galaxiesml(folder: Path, demo: Demo, seed: int) -> None:
    """Write the demo's galaxies into the training, validation and testing files."""
    n = demo.galaxiesml
    paths = [Path(path) for path in demo_files("galaxiesml", demo)]
    bounds = np.round(np.cumsum((0.0, *SPLIT_SHARES)) * n).astype(int)
    for path, start, stop in zip(paths, bounds[:-1], bounds[1:], strict=True):
        images = np.empty((stop - start, len(SLOTS), SIZE_PX, SIZE_PX), np.float32)
        rows = []
        for index in tqdm(range(start, stop), desc=f"demo {path.name}", disable=None):
            rng = np.random.default_rng([seed, 1, index])
            galaxy, images[index - start] = simulate_object(rng)
            rows.append(_scalars(galaxy, index, rng))
        _write_hdf5(path, images, rows)


def _write_hdf5(path: Path, images: np.ndarray, rows: list[dict[str, object]]) -> None:
    with whole_file(path) as partial, h5py.File(partial, "w") as file:
        file.create_dataset("image", data=images, chunks=(1, *images.shape[1:]), track_times=False)
        for name in rows[0]:
            column = np.array([row[name] for row in rows])
            # releases differ: some scalars come as (N, 1)
            shape = (len(rows), 1) if name == "specz_redshift" else (len(rows),)
            file.create_dataset(name, data=column.reshape(shape), track_times=False)
