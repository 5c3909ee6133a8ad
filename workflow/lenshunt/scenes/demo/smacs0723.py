"""Demo of the field of SMACS J0723.3-7327: the published mass model lenses synthetic sources.

The multiple-image systems, the members and the mass are those of Mahler et al. 2023 (ApJ 945,
49; tables in resources/smacs0723); the light of the sources, the other galaxies and the noise
are drawn at random. Images fall within about 0.3 arcsec of the published ones, the model's RMS.
"""

from pathlib import Path

import numpy as np
from astropy.wcs import WCS
from tqdm import tqdm

from lenshunt.config import Demo
from lenshunt.core import RESOURCES
from lenshunt.lensing import MassModel, load_mass_model, mean_source
from lenshunt.scenes.canvas import Canvas
from lenshunt.scenes.demo.field import field_wcs, write_field
from lenshunt.scenes.demo.hst import PIXEL_SCALE
from lenshunt.scenes.demo.survey import FIELD_FILTERS, SMACS_NAME
from lenshunt.scenes.environment import SkySource, listed, paint_environment, paint_star
from lenshunt.scenes.profiles import Sersic, clumpy_brightness, draw_clumpy, paint_sersic
from lenshunt.scenes.seds import ELLIPTICAL, SCD, STARBURST, band_fluxes

SIZE_PX = 1667
STARS = 45
#: Half side of the square around each published image in which its source is ray-traced.
BOX_ARCSEC = 3.0
#: Unlensed magnitudes of the sources at 0.77 um.
SOURCE_MAGNITUDES = (25.0, 26.7)
#: Colours are those of this redshift at most. Some systems have a higher one in the mass model, but
#: they were found in optical images, which nothing beyond the Lyman break would show.
COLOUR_REDSHIFT_MAX = 4.0
#: Half-light radius over the semi-major axis (an rms) of SExtractor, for early types.
RADIUS_PER_RMS = 2.2


def mass_model() -> MassModel:
    """The published model with its images and members."""
    folder = RESOURCES / "smacs0723"
    return load_mass_model(
        folder / "potentials.ecsv", folder / "images.ecsv", folder / "members.ecsv"
    )


def _pixels_near_images(
    model: MassModel, wcs: WCS, size_px: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(row, column, x, y) of every pixel in a box around a published image.

    x, y : arcsec in the model's frame; rows and columns of the image, not of the fine canvas
    """
    wanted = np.zeros((size_px, size_px), bool)
    half = round(BOX_ARCSEC / PIXEL_SCALE)
    columns, rows = wcs.all_world2pix(model.images["ra"], model.images["dec"], 0)
    for column, row in zip(np.rint(columns).astype(int), np.rint(rows).astype(int), strict=True):
        low_row, low_column = max(row - half, 0), max(column - half, 0)
        wanted[low_row : row + half + 1, low_column : column + half + 1] = True
    row, column = np.nonzero(wanted)
    x, y = model.tangent(*wcs.all_pix2world(column, row, 0))
    return row, column, x, y


def _paint_systems(
    canvas: Canvas, rng: np.random.Generator, model: MassModel, wcs: WCS
) -> list[SkySource]:
    """Ray-trace every published system; returns one source per published image.

    The deflection, the only slow part, is computed once for all systems (z_s only scales it) at
    the pixels of the image: arcs are wider than those.
    """
    row, column, x, y = _pixels_near_images(model, wcs, canvas.size_px)
    reference = 5.0
    alpha_x, alpha_y = (
        a / model.distance_ratio(reference) for a in model.deflection(x, y, reference)
    )
    light = np.zeros((canvas.size_px, canvas.size_px), np.float32)
    images, sources = model.images, []
    for system in tqdm(dict.fromkeys(images["system"]), desc="systems", disable=None, leave=False):
        mine = images[images["system"] == system]
        z = float(mine["z"][0])
        image_x, image_y = model.tangent(mine["ra"], mine["dec"])
        centre = mean_source(model, image_x, image_y, z)
        source = draw_clumpy(rng, *centre, float(rng.uniform(0.12, 0.3)))
        flux = band_fluxes(
            float(rng.uniform(*SOURCE_MAGNITUDES)),
            float(rng.uniform(SCD, STARBURST)),
            min(z, COLOUR_REDSHIFT_MAX),
            canvas.filters,
            float(rng.normal(0.0, 0.05)),
        )
        ratio = model.distance_ratio(z)
        brightness = clumpy_brightness(
            (x - ratio * alpha_x).astype(np.float32), (y - ratio * alpha_y).astype(np.float32),
            source,
        )  # fmt: skip
        light[:] = 0.0
        light[row, column] = brightness * PIXEL_SCALE**2
        canvas.paint_coarse(light, flux)
        mu = np.clip(np.abs(model.magnification(image_x, image_y, z)), 1.0, 30.0)
        pixel = wcs.all_world2pix(mine["ra"], mine["dec"], 0)
        for k in range(len(mine)):
            sky_x, sky_y = _from_centre(pixel[0][k], canvas), _from_centre(pixel[1][k], canvas)
            radius = source.body.semi_major * float(np.sqrt(mu[k]))
            sources.append(SkySource(sky_x, sky_y, mu[k] * flux, z, radius, 0.4))
    return sources


def _from_centre(pixel: float, canvas: Canvas) -> float:
    return (float(pixel) - (canvas.size_px - 1) / 2) * PIXEL_SCALE


def _paint_members(
    canvas: Canvas, rng: np.random.Generator, model: MassModel, wcs: WCS
) -> list[SkySource]:
    """Members of the published list: positions, axes, angles and F814W magnitudes."""
    members, sources = model.members, []
    if members is None:
        raise ValueError("the mass model of SMACS J0723 has no member list")
    columns, rows = wcs.all_world2pix(members["ra"], members["dec"], 0)
    half = canvas.size_px * PIXEL_SCALE / 2 + 5.0
    for k, member in enumerate(members):
        x, y = _from_centre(columns[k], canvas), _from_centre(rows[k], canvas)
        if max(abs(x), abs(y)) > half:
            continue
        radius = RADIUS_PER_RMS * float(member["a_arcsec"])
        n = round(float(np.clip(rng.normal(3.5, 0.7), 1.5, 5.5)), 1)
        q = float(member["b_arcsec"]) / float(member["a_arcsec"])
        shape = Sersic(x, y, radius, n, q, float(np.radians(member["angle_deg"])))
        sed = float(abs(rng.normal(0.0, 0.15)))
        flux = band_fluxes(float(member["magnitude"]), sed, model.z_lens, canvas.filters)
        paint_sersic(canvas, shape, flux)
        sources.append(listed(shape, flux, model.z_lens))
    return sources


def _paint_intracluster_light(canvas: Canvas, model: MassModel) -> None:
    """Diffuse light around the brightest galaxy, along its major axis; not in any catalogue."""
    shape = Sersic(0.0, 0.0, 9.0, 1.0, 0.55, float(np.radians(model.potentials.angle_deg[1])))
    paint_sersic(canvas, shape, band_fluxes(18.3, ELLIPTICAL, model.z_lens, canvas.filters))


def simulate_field(
    rng: np.random.Generator, model: MassModel, size_px: int = SIZE_PX
) -> tuple[Canvas, list[SkySource]]:
    """Canvas of the field, centred on the model's reference position, and its sources."""
    canvas = Canvas(size_px, PIXEL_SCALE, FIELD_FILTERS)
    wcs = field_wcs(model.ra0, model.dec0, size_px)
    sources = _paint_members(canvas, rng, model, wcs)
    _paint_intracluster_light(canvas, model)
    sources += paint_environment(canvas, rng, magnitude_limits=(20.0, 26.5))
    sources += _paint_systems(canvas, rng, model, wcs)
    half = size_px * PIXEL_SCALE / 2 - 3.0
    for _ in range(STARS):
        x, y = (float(value) for value in rng.uniform(-half, half, 2))
        sources.append(paint_star(canvas, rng, x, y, float(rng.uniform(19, 22.5))))
    return canvas, sources


def write_smacs0723(folder: Path, demo: Demo, seed: int) -> None:
    """Write the field below `folder`: two filters, weights, and last the catalogue.

    There is one field whatever `demo` asks for.
    """
    rng = np.random.default_rng([seed, 6])
    model = mass_model()
    canvas, sources = simulate_field(rng, model)
    write_field(folder, SMACS_NAME, canvas, (model.ra0, model.dec0), sources, rng)
