"""A drizzled HST field in RELICS format: images, weights and a catalogue of sources."""

from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from lenshunt.core import write_text
from lenshunt.scenes.canvas import Canvas
from lenshunt.scenes.demo.files import write_fits
from lenshunt.scenes.demo.hst import ACS, EXPOSURE_S, PIXEL_SCALE, acs_header, psf
from lenshunt.scenes.demo.survey import FIELD_FILTERS, field_catalogue, field_image
from lenshunt.scenes.environment import SkySource
from lenshunt.schema import magnitude_from_njy

#: Faintest source that the catalogue holds, AB in F814W.
CATALOGUE_LIMIT = 27.0


def field_wcs(ra: float, dec: float, size_px: int) -> WCS:
    """WCS of a field, TAN, North up, East left."""
    return WCS(acs_header("F814W", "", ra, dec, (size_px, size_px)))


def write_field(
    folder: Path,
    name: str,
    canvas: Canvas,
    position: tuple[float, float],
    sources: list[SkySource],
    rng: np.random.Generator,
) -> None:
    """Observe the canvas and write images, weights and, last, the catalogue.

    position : ICRS (ra, dec) of the field's centre in degrees
    """
    size = (canvas.size_px, canvas.size_px)
    fwhm, beta = psf(FIELD_FILTERS)
    clean = canvas.observe(fwhm, beta)
    for filter_name, image in zip(FIELD_FILTERS, clean, strict=True):
        facts = ACS[filter_name]
        header = acs_header(filter_name, name.upper(), *position, size)
        counts = facts.exposure().noisy(image, rng) / facts.njy
        weight = _weight(image / facts.njy, facts.sky_sigma)
        for product, pixels in (("drc", counts), ("wht", weight)):
            hdu = fits.PrimaryHDU(pixels.astype(np.float32), header)
            write_fits(folder / field_image(name, filter_name, product), [hdu])
    table = catalogue_text(sources, field_wcs(*position, canvas.size_px), canvas.size_px, rng)
    write_text(table, folder / field_catalogue(name))


def _weight(counts: np.ndarray, sky_sigma: float) -> np.ndarray:
    """Inverse variance in (e-/s)^-2, the source's own Poisson noise included."""
    return 1.0 / (sky_sigma**2 + np.maximum(counts, 0.0) / EXPOSURE_S)


def _columns() -> list[tuple[str, str]]:
    """Names and descriptions of the catalogue's columns, as in the RELICS header."""
    columns = [
        ("id", "Object ID Number"),
        ("RA", "Right Ascension in decimal degrees"),
        ("Dec", "Declination in decimal degrees"),
        ("x", "x pixel coordinate"),
        ("y", "y pixel coordinate"),
        ("fwhm", "Full width at half maximum (arcsec)"),
        ("area", "Isophotal aperture area (pixels)"),
        ("stel", 'SExtractor "stellarity" (1 = star; 0 = galaxy)'),
        ("ell", "Ellipticity = 1 - B/A"),
        ("theta", "Position angle (CCW/x) [deg]"),
        ("nf5sig", "Number of filters with a 5-sigma detection"),
        ("nfobs", "Number of filters observed (not in chip gap, etc.)"),
    ]
    for name in FIELD_FILTERS:
        band, zero = name.lower(), ACS[name].zero_point
        columns += [
            (f"{band}_mag", f"{name} isophotal magnitude (ZP = {zero:.4f})"),
            (f"{band}_magerr", f"{name} isophotal magnitude uncertainty"),
            (f"{band}_flux", f"{name} isophotal flux"),
            (f"{band}_fluxerr", f"{name} isophotal flux uncertainty"),
            (f"{band}_fluxnJy", f"{name} isophotal flux in nJy"),
            (f"{band}_fluxnJyerr", f"{name} isophotal flux in nJy uncertainty"),
            (f"{band}_sig", f"{name} detection significance"),
        ]
    return [
        *columns,
        ("bright_mag", "Brightest magnitude in any filter"),
        ("bright_magerr", "Brightest magnitude uncertainty"),
        ("zb", "BPZ most likely redshift"),
        ("zbmin", "Lower limit (95% confidence)"),
        ("zbmax", "Upper limit (95% confidence)"),
    ]


def catalogue_text(
    sources: list[SkySource], wcs: WCS, size_px: int, rng: np.random.Generator
) -> str:
    """The catalogue: '##' remarks, '# N name description' lines, one row per source.

    A flux below zero gets magnitude 99 and its 1-sigma limit, as in the RELICS catalogues.
    """
    columns = _columns()
    lines = ["## Synthetic cluster field, not an observation", "## E(B-V) = 0.00000", "##"]
    lines += [f"# {k:2d} {name:17s} {text}" for k, (name, text) in enumerate(columns, start=1)]
    lines += ["##", "##  " + "  ".join(name for name, _ in columns)]
    limit = 10 ** (0.4 * (31.4 - CATALOGUE_LIMIT))
    seen = [source for source in sources if source.flux_njy.max() > limit]
    seen = [s for s in seen if max(abs(s.x), abs(s.y)) < size_px * PIXEL_SCALE / 2]
    for number, source in enumerate(sorted(seen, key=lambda s: s.y), start=1):
        lines.append(_row(number, source, wcs, size_px, rng))
    return "\n".join(lines) + "\n"


def _row(number: int, source: SkySource, wcs: WCS, size_px: int, rng: np.random.Generator) -> str:
    column, row = (
        (size_px - 1) / 2 + value / PIXEL_SCALE + float(rng.normal(0, 0.1))
        for value in (source.x, source.y)
    )
    ra, dec = (float(value) for value in wcs.all_pix2world(column, row, 0))
    radius = max(source.semi_major, 0.06)
    area = max(round(np.pi * (2.5 * radius / PIXEL_SCALE) ** 2 * source.q), 5)
    fwhm, stel = (0.105, 0.98) if source.star else (np.hypot(1.2 * radius, 0.1), 0.03)
    photometry, significances, bright = _photometry(source, area, rng)
    z = max(0.01, source.z + (1 + source.z) * float(rng.normal(0, 0.02)))
    spread = 0.05 * (1 + z)
    found = sum(value > 5 for value in significances)
    cells = [f"{number:6d}", f"{ra:12.7f}", f"{dec:12.7f}", f"{column + 1:9.3f}", f"{row + 1:9.3f}"]
    cells += [f"{fwhm:6.3f}", f"{area:6d}", f"{stel:5.2f}", f"{1 - source.q:6.3f}"]
    cells += [f"{(np.degrees(source.angle) + 90) % 180 - 90:6.1f}", f"{found:3d}", "  2"]
    cells += [*photometry, *bright]
    cells += [f"{value:7.3f}" for value in (z, max(0.01, z - spread), z + spread)]
    return "  ".join(cells)


def _photometry(
    source: SkySource, area_px: int, rng: np.random.Generator
) -> tuple[list[str], list[float], list[str]]:
    """Cells of all filters, their significances, and the brightest magnitude with its error."""
    cells, significances, magnitudes = [], [], []
    for name, flux in zip(FIELD_FILTERS, source.flux_njy, strict=True):
        facts = ACS[name]
        error = np.sqrt(facts.exposure().variance(0.0) * area_px + flux * facts.njy / EXPOSURE_S)
        measured = float(flux + error * rng.standard_normal())
        if measured > 0:
            magnitude = float(magnitude_from_njy(measured))
            magnitude_error = 2.5 * np.log10(1 + error / measured)
        else:
            magnitude, magnitude_error = 99.0, float(magnitude_from_njy(error))
        magnitudes.append((magnitude, magnitude_error))
        significances.append(measured / error)
        cells += [f"{magnitude:8.4f}", f"{magnitude_error:8.4f}"]
        for unit in (facts.njy, 1.0):
            cells += [f"{measured / unit:12.4f}", f"{error / unit:10.4f}"]
        cells.append(f"{measured / error:8.2f}")
    return cells, significances, [f"{value:8.4f}" for value in min(magnitudes)]
