"""Demo of the Lens Finding Challenge 1, ground set: FITS per band and the table of labels."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from astropy.io import fits
from tqdm import tqdm

from lenshunt.config import ClassCounts, Demo
from lenshunt.core import write_rows
from lenshunt.scenes.canvas import Canvas, Exposure
from lenshunt.scenes.demo.files import (
    plain_fits_header,
    remove_stale,
    tan_header,
    write_plain_fits,
)
from lenshunt.scenes.demo.look_alikes import FRACTIONS, paint_scene
from lenshunt.scenes.lens_scene import Scene
from lenshunt.schema import njy_per_count, survey_named

#: Official folder of each filter.
BANDS = {"SDSS_R": "Band1", "SDSS_I": "Band2", "SDSS_G": "Band3", "SDSS_U": "Band4"}
FILTERS = tuple(BANDS)
SIZE_PX = 101
MASKED = 100.0
COLUMNS = (
    "ID",
    "is_lens",
    "Einstein_area",
    "numb_pix_lensed_image",
    "flux_lensed_image_in_sigma",
)
#: Sky noise: measured in the challenge's images (1.5, 3.2, 1.25 and 2.0e-12). Electrons: the
#: exposure times of KiDS (1800, 1200, 900, 1000 s) at the zero points of OmegaCAM.
EXPOSURES = {
    "SDSS_R": Exposure(sky_sigma_njy=5.5, electrons_per_njy=7.2),
    "SDSS_I": Exposure(sky_sigma_njy=11.6, electrons_per_njy=2.5),
    "SDSS_G": Exposure(sky_sigma_njy=4.5, electrons_per_njy=3.6),
    "SDSS_U": Exposure(sky_sigma_njy=7.3, electrons_per_njy=0.9),
}
_ARCSEC_RAD = np.radians(1.0 / 3600.0)
#: Fraction of objects with a masked region, as in the challenge.
MASKED_OBJECTS = 0.1


def masked_region(rng: np.random.Generator) -> np.ndarray:
    """Mask [y, x] of a star's halo or a satellite trail; empty for most objects."""
    mask = np.zeros((SIZE_PX, SIZE_PX), bool)
    if rng.random() >= MASKED_OBJECTS:
        return mask
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    x0, y0 = rng.uniform(0, SIZE_PX, 2)
    angle = rng.uniform(0, np.pi)
    if rng.random() < 0.5:
        return np.hypot(x - x0, y - y0) < rng.uniform(5, 14)
    return np.abs((x - x0) * np.sin(angle) - (y - y0) * np.cos(angle)) < rng.uniform(1.5, 3)


def simulate_object(
    rng: np.random.Generator, label: int, fractions: Mapping[str, float] = FRACTIONS
) -> tuple[Scene, np.ndarray, np.ndarray, np.ndarray]:
    """One object: its scene, noisy images [band, y, x] in nJy, arcs in i [y, x], mask [y, x]."""
    survey = survey_named("bologna_ground")
    fwhm = tuple(survey.psf_fwhm(name) for name in FILTERS)
    beta = (survey.moffat_beta,) * len(FILTERS)
    canvas = Canvas(SIZE_PX, survey.pixel_scale_arcsec, FILTERS)
    scene = paint_scene(canvas, rng, label, fractions)
    clean = canvas.observe(fwhm, beta)
    images = np.stack(
        [EXPOSURES[name].noisy(image, rng) for name, image in zip(FILTERS, clean, strict=True)]
    )
    band = FILTERS.index("SDSS_I")
    arcs = np.zeros((SIZE_PX, SIZE_PX), np.float32)
    if scene.arcs is not None:
        arcs = canvas.observe_part(
            scene.arcs.rows, scene.arcs.columns,
            scene.arcs.light * scene.arcs_flux_njy[band], fwhm[band], beta[band],
        )  # fmt: skip
    return scene, images, arcs, masked_region(rng)


def table_row(identity: int, scene: Scene, arcs_njy: np.ndarray) -> tuple[object, ...]:
    """The challenge's row: area of the critical curve in sr, lensed pixels above 1 sigma (i)."""
    sigma = EXPOSURES["SDSS_I"].sky_sigma_njy
    bright = arcs_njy > sigma
    area = np.pi * (scene.deflector.theta_e * _ARCSEC_RAD) ** 2
    flux = float(arcs_njy[bright].sum() / sigma)
    return identity, scene.label, f"{area:.2E}", int(bright.sum()), f"{flux:.6g}"


def write_bologna_ground(folder: Path, demo: Demo, seed: int) -> None:
    """Write the demo's objects below `folder`, half of them lenses; the table comes last."""
    n = demo.bologna_ground
    _write_objects(folder, _even_objects(n, seed), n, 100000, demo.impostors.model_dump())


def write_bologna_test(folder: Path, demo: Demo, seed: int) -> None:
    """Write lenses and non-lenses in random order below `folder`; the table comes last.

    The population is that of `write_bologna_ground`, the objects are others.
    Raises ValueError where the demo does not say how many.
    """
    counts = demo.bologna_test
    if counts is None:
        raise ValueError("demo.bologna_test: none; say how many lenses and nonlenses to write")
    n = counts.lenses + counts.nonlenses
    objects = _counted_objects(counts, seed)
    _write_objects(folder, objects, n, 1000000, demo.impostors.model_dump())


def _even_objects(n: int, seed: int) -> Iterator[tuple[np.random.Generator, int]]:
    """Random numbers and label of each object: either class with the same chance."""
    for index in range(n):
        rng = np.random.default_rng([seed, 2, index])
        yield rng, int(rng.random() < 0.5)


def _counted_objects(counts: ClassCounts, seed: int) -> Iterator[tuple[np.random.Generator, int]]:
    """Random numbers and label of each object: so many of either class.

    Lenses and non-lenses are numbered apart: more of them leave those there are as they are.
    """
    labels = np.repeat([1, 0], [counts.lenses, counts.nonlenses])
    drawn = [0, 0]
    for label in np.random.default_rng([seed, 8]).permutation(labels).tolist():
        yield np.random.default_rng([seed, 7, label, drawn[label]]), label
        drawn[label] += 1


def _write_objects(
    folder: Path,
    objects: Iterable[tuple[np.random.Generator, int]],
    n: int,
    first_id: int,
    fractions: Mapping[str, float],
) -> None:
    """Write the `n` objects one by one; of those that are written only the rows are kept."""
    unit = njy_per_count(survey_named("bologna_ground").zero_point("SDSS_I"))
    scale = survey_named("bologna_ground").pixel_scale_arcsec
    header = plain_fits_header(_header(scale), (SIZE_PX, SIZE_PX))
    # `*` at the end: a killed run may leave a .partial
    remove_stale(folder, ("classifications.csv*", "Public/Band*/imageSDSS_*.fits*"))
    rows = []
    shown = tqdm(objects, desc=f"demo {folder.name}", total=n, unit="object", disable=None)
    for identity, (rng, label) in enumerate(shown, first_id):
        scene, images, arcs, mask = simulate_object(rng, label, fractions)
        for name, image in zip(FILTERS, images, strict=True):
            pixels = np.where(mask, MASKED, image / unit)
            path = folder / "Public" / BANDS[name] / f"image{name}-{identity}.fits"
            write_plain_fits(path, header, pixels)
        rows.append(table_row(identity, scene, arcs))
    write_rows(COLUMNS, rows, folder / "classifications.csv", line_end="\n")


def _header(scale: float) -> fits.Header:
    return tan_header(0.0, 0.0, scale, (SIZE_PX, SIZE_PX))
