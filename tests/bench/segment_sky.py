"""Simulated cutouts with arcs and companions, and whose light each of their segments is.

Half are lenses; non-lenses are, in equal parts, the impostors of the demo (whose blue light has one
colour, like that of an arc) and galaxies with two to four blobs of unrelated colours around the
Einstein radius. One or two companions of a colour of their own lie in every cutout. Segments come
from `find_segments`.
"""

import numpy as np
import torch
from tqdm import tqdm

from lenshunt.config import Grid, SegmentsConfig
from lenshunt.images import Segments, find_segments
from lenshunt.records import SLOTS
from lenshunt.simulate.canvas import Canvas, Exposure
from lenshunt.simulate.deflectors import draw_deflector
from lenshunt.simulate.environment import paint_environment
from lenshunt.simulate.impostors import paint_scene
from lenshunt.simulate.profiles import draw_clumpy, paint_clumpy
from lenshunt.simulate.scenes import draw_blue_fluxes, paint_deflector

GRID = Grid(psf_fwhm_arcsec=1.0, pixel_scale_arcsec=0.168, size_px=64)
#: Depth of HSC's wide layer, roughly: sigma of the sky per pixel in nJy.
EXPOSURES = tuple(Exposure(sigma, 2.0) for sigma in (6.0, 8.0, 9.0, 14.0, 25.0))
#: A segment is of the arcs, or of companions, with this share of the light of both.
PURITY = 0.67


def draw_cutout(rng: np.random.Generator, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noiseless images [band, y, x] in nJy: all but companions, the arcs, the companions."""
    scene_canvas, beside = (Canvas(GRID.size_px, GRID.pixel_scale_arcsec, SLOTS) for _ in range(2))
    psf = (GRID.psf_fwhm_arcsec,) * 5, (GRID.moffat_beta,) * 5
    number = int(rng.integers(1, 3))
    arcs = np.zeros((5, GRID.size_px, GRID.size_px), np.float32)
    if kind == "unrelated":
        deflector = draw_deflector(rng)
        paint_environment(scene_canvas, rng, deflector)
        paint_deflector(scene_canvas, rng, deflector)
        number += int(rng.integers(1, 3))
    else:
        scene = paint_scene(scene_canvas, rng, int(kind == "lens"))
        deflector = scene.deflector
        if scene.arcs is not None:
            alone = Canvas(GRID.size_px, GRID.pixel_scale_arcsec, SLOTS)
            for band, flux in enumerate(scene.arcs_flux_njy):
                part = scene.arcs.light * np.float32(flux)
                alone.light[band, scene.arcs.rows, scene.arcs.columns] += part
            arcs = alone.observe(*psf)
    for _ in range(number):
        flux = draw_blue_fluxes(rng, deflector, SLOTS) * rng.uniform(0.2, 0.6)
        tilt = 10 ** (-0.4 * rng.normal(0.0, 0.4) * np.linspace(-1, 1, 5))
        distance, angle = deflector.theta_e * rng.uniform(0.6, 2.2), rng.uniform(0, 2 * np.pi)
        x, y = (
            middle + distance * turn
            for middle, turn in (
                (deflector.light.x, np.cos(angle)), (deflector.light.y, np.sin(angle)),
            )
        )  # fmt: skip
        paint_clumpy(beside, draw_clumpy(rng, float(x), float(y), 0.25), flux * tilt)
    return scene_canvas.observe(*psf), arcs, beside.observe(*psf)


def draw_sky(n: int, seed: int) -> tuple[dict[str, torch.Tensor], np.ndarray, np.ndarray]:
    """A batch of n cutouts, their kind [n], and whose light segments are [n, segment]."""
    rng = np.random.default_rng(seed)
    kind = np.resize(["lens", "demo", "lens", "unrelated"], n)
    image, variance, truth = [], [], []
    for one in tqdm(kind, desc="cutouts", disable=None):
        scene, arcs, beside = draw_cutout(rng, str(one))
        while not np.isfinite(scene).all():
            # a source whose only image lies outside the cutout has no light to be scaled
            scene, arcs, beside = draw_cutout(rng, str(one))
        light = scene + beside
        bands = list(zip(EXPOSURES, light, strict=True))
        image.append(np.stack([exposure.noisy(plane, rng) for exposure, plane in bands]))
        variance.append(np.stack([exposure.variance(plane) for exposure, plane in bands]))
        truth.append((arcs[2], beside[2]))
    images, variances = np.stack(image), np.stack(variance).astype(np.float32)
    found = find_segments(images, variances, np.ones((n, 5)), GRID, SegmentsConfig())
    batch = {
        "image": torch.from_numpy(images),
        "variance": torch.from_numpy(variances),
        "band_flags": torch.ones(n, 5),
        "segments": torch.from_numpy(found.packed()),
        "label": torch.from_numpy((kind == "lens").astype(np.float32)),
    }
    return batch, kind, whose_light(found, np.array(truth))


def whose_light(found: Segments, truth: np.ndarray) -> np.ndarray:
    """Whether a segment is of the arcs (1), of companions (0) or of neither (-1), [n, segment].

    truth : [n, 2, y, x], light of arcs and of companions in i
    """
    axis = (np.arange(GRID.size_px) - (GRID.size_px - 1) / 2) * GRID.pixel_scale_arcsec
    radius = np.maximum(np.sqrt(found.area / np.pi), 0.3)
    result = np.full(found.area.shape, -1)
    for i, j in zip(*np.nonzero(found.area > 0), strict=True):
        disc = np.hypot(axis[None] - found.x[i, j], axis[:, None] - found.y[i, j]) < radius[i, j]
        arcs, beside = truth[i][:, disc].sum(axis=1)
        if arcs + beside > 3 * EXPOSURES[2].sky_sigma_njy * np.sqrt(disc.sum()):
            share = arcs / (arcs + beside)
            result[i, j] = 1 if share > PURITY else 0 if share < 1 - PURITY else -1
    return result
