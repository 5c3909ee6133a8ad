"""Arcs are found where they are, with the flux and the colours they have; noise gives none."""

import warnings

import numpy as np
import pandas as pd
import pytest
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from lenshunt.config import Grid, SegmentsConfig
from lenshunt.core.moffat import moffat_alpha, moffat_profile
from lenshunt.images import find_segments, read_segments, segment_chunk
from lenshunt.images.segmentation import segment_noise_correlation
from lenshunt.images.segments import Segments
from lenshunt.images.tiff16 import CutoutFile
from lenshunt.schema import SLOTS
from lenshunt.schema.metadata import Metadata, table_from_records

GRID = Grid(psf_fwhm_arcsec=1.0, pixel_scale_arcsec=0.168, size_px=64)
SIDE, STEP = GRID.size_px, GRID.pixel_scale_arcsec
GALAXY_SED = np.array([0.25, 0.7, 1.0, 1.2, 1.3])
ARC_SED = np.array([1.0, 0.9, 0.95, 0.9, 0.85])
AXIS = (np.arange(SIDE) - (SIDE - 1) / 2) * STEP
ALPHA = moffat_alpha(1.0, 3.0)
MOFFAT = moffat_profile(AXIS[:, None] ** 2 + AXIS**2, ALPHA, 3.0)


def blurred(light: np.ndarray) -> np.ndarray:
    """[2 side, 2 side] binned to pixels, with the PSF, of unit sum."""
    pixels = light.reshape(SIDE, 2, SIDE, 2).mean(axis=(1, 3))
    seeing = MOFFAT[:-1, :-1] / MOFFAT[:-1, :-1].sum()
    return (out := fftconvolve(pixels, np.pad(seeing, ((0, 1), (0, 1))), "same")) / out.sum()


def lens_and_arcs(rng: np.random.Generator, source: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Images of lens galaxy and arcs by lenstronomy, of unit sum, and theta_E.

    source : distance of the source from the lens in Einstein radii
    """
    theta_e = rng.uniform(1.2, 2.0)
    e1, e2 = rng.normal(0, 0.1, 2)
    axis = (np.arange(2 * SIDE) - (2 * SIDE - 1) / 2) * STEP / 2
    x, y = (a.ravel() for a in np.meshgrid(axis, axis))
    mass = {"theta_E": theta_e, "e1": e1, "e2": e2, "center_x": 0, "center_y": 0}
    beta = LensModel(["SIE"]).ray_shooting(x, y, [mass])
    angle = rng.uniform(0, 2 * np.pi)
    light = LightModel(["SERSIC_ELLIPSE"])
    at = {
        "center_x": source * theta_e * np.cos(angle),
        "center_y": source * theta_e * np.sin(angle),
    }
    arcs = light.surface_brightness(
        *beta, [{"amp": 1, "R_sersic": 0.25, "n_sersic": 1, "e1": 0.1, "e2": 0, **at}]
    )
    middle = dict(zip(("center_x", "center_y"), rng.uniform(-0.08, 0.08, 2), strict=True))
    galaxy = light.surface_brightness(
        x, y, [{"amp": 1, "R_sersic": 1.0, "n_sersic": 4, "e1": e1, "e2": e2, **middle}]
    )
    square = (2 * SIDE, 2 * SIDE)
    return blurred(galaxy.reshape(square)), blurred(arcs.reshape(square)), theta_e


def observed(rng, galaxy, arcs, arc_snr: float, galaxy_snr: float = 300.0):
    """Image, variance [band, y, x]; S/N matched-filter, of all bands, on a background of 1."""
    planes = [
        snr * sed[:, None, None] * light / np.sqrt((sed**2).sum() * (light**2).sum())
        for light, sed, snr in ((galaxy, GALAXY_SED, galaxy_snr), (arcs, ARC_SED, arc_snr))
    ]
    variance = 1 + sum(planes) / 30
    return sum(planes) + rng.normal(size=variance.shape) * np.sqrt(variance), variance, planes[1]


def sample(n: int, source: float, arc_snr: float, galaxy_snr: float = 300.0, seed: int = 1):
    """Segments of n lenses, which of them lie near the Einstein radius, and the arcs' images."""
    rng = np.random.default_rng(seed)
    lenses = [lens_and_arcs(rng, source) for _ in range(n)]
    images = [observed(rng, g, a, arc_snr, galaxy_snr) for g, a, _ in lenses]
    image, variance, arcs = (np.stack(planes) for planes in zip(*images, strict=True))
    found = find_segments(image, variance, np.ones((n, 5)), GRID, SegmentsConfig())
    radius = np.hypot(found.x, found.y) / np.array([theta for *_, theta in lenses])[:, None]
    return found, (found.area > 0) & (radius > 0.4) & (radius < 1.8), arcs


@pytest.mark.slow
def test_arcs_are_found_and_the_more_of_them_the_brighter_they_are():
    found = [sample(25, 0.3, snr)[1].any(axis=1).mean() for snr in (10, 30, 60)]
    assert found == sorted(found)
    assert found[1] > 0.85
    assert found[2] > 0.95


def test_both_images_of_a_bright_double_are_segments():
    _, near, _ = sample(25, 0.1, 120.0)
    assert (near.sum(axis=1) >= 2).mean() > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("noise_corr", [1.0, 8.0])
def test_noise_and_bare_galaxies_give_next_to_no_segments(noise_corr):
    rng = np.random.default_rng(4)
    n, width = 40, np.sqrt(noise_corr / (4 * np.pi))
    noise = rng.normal(size=(n, 5, SIDE, SIDE))
    if noise_corr > 1:
        smooth = gaussian_filter(noise, (0, 0, width, width), mode="wrap")
        noise = smooth / smooth.std()
    galaxies = np.stack([lens_and_arcs(rng, 0.3)[0] for _ in range(n)])
    galaxies = galaxies[:, None] * GALAXY_SED[:, None, None]
    galaxies *= 300 / np.sqrt((galaxies**2).sum(axis=(1, 2, 3), keepdims=True))
    for light in (np.zeros_like(galaxies), galaxies):
        variance = 1 + light / 30
        image = light + noise * np.sqrt(variance)
        found = find_segments(image, variance, np.full((n, 5), noise_corr), GRID, SegmentsConfig())
        assert found.count.sum() <= 3


def companions(snr: float, n: int = 40, seed: int = 6):
    """Galaxies with one point source each beside them: segments, true fluxes [n, band], places."""
    rng = np.random.default_rng(seed)
    images, fluxes, places = [], [], []
    for _ in range(n):
        galaxy, _, _ = lens_and_arcs(rng, 0.3)
        angle = rng.uniform(0, 2 * np.pi)
        x, y = 2.2 * np.cos(angle), 2.2 * np.sin(angle)
        star = moffat_profile((AXIS[:, None] - y) ** 2 + (AXIS - x) ** 2, ALPHA, 3.0)
        image, variance, planes = observed(rng, galaxy, star, snr)
        images.append((image, variance))
        fluxes.append(planes)
        places.append((x, y))
    image, variance = (np.stack(part) for part in zip(*images, strict=True))
    found = find_segments(image, variance, np.ones((n, 5)), GRID, SegmentsConfig())
    return found, np.stack(fluxes), np.array(places)


@pytest.mark.slow
def test_a_companion_has_its_place_its_flux_and_its_colour_and_is_point_like():
    found, truth, places = companions(80.0)
    one = found.count >= 1
    assert one.mean() > 0.95
    distance = np.hypot(found.x[one, 0] - places[one, 0], found.y[one, 0] - places[one, 1])
    assert np.median(distance) < 0.1
    assert found.point_like[one, 0].mean() > 0.9
    flux, sigma = found.flux[one, 0], np.sqrt(found.variance[one, 0])
    # a segment ends where the noise begins: it holds most of the flux, the same part in each band
    part = flux / truth[one].sum(axis=(2, 3))
    assert 0.5 < np.median(part) < 1.0
    colour = -2.5 * np.log10(flux / ARC_SED)
    error = 1.0857 * sigma / flux
    for blue, red in ((0, 1), (1, 2), (2, 3), (3, 4)):
        pull = (colour[:, blue] - colour[:, red]) / np.hypot(error[:, blue], error[:, red])
        assert abs(pull.mean()) < 3.5 / np.sqrt(len(pull))
        assert 0.6 < pull.std() < 1.4


def arc_colours(method: str, arc_snr: float):
    """Share of the arcs' flux that segments hold, and pulls of their g-y, which is known."""
    rng = np.random.default_rng(1)
    lenses = [lens_and_arcs(rng, 0.3) for _ in range(25)]
    images = [observed(rng, g, a, arc_snr) for g, a, _ in lenses]
    image, variance, arcs = (np.stack(planes) for planes in zip(*images, strict=True))
    config = SegmentsConfig(method=method)
    found = find_segments(image, variance, np.ones((25, 5)), GRID, config)
    radius = np.hypot(found.x, found.y) / np.array([theta for *_, theta in lenses])[:, None]
    near = (found.area > 0) & (radius > 0.4) & (radius < 1.8)
    flux, sigma = found.flux[near], np.sqrt(found.variance[near])
    bright = (flux > 5 * sigma).all(axis=1)
    magnitude = -2.5 * np.log10(flux[bright] / ARC_SED)
    error = 1.0857 * sigma[bright] / flux[bright]
    pull = (magnitude[:, 0] - magnitude[:, 4]) / np.hypot(error[:, 0], error[:, 4])
    return flux.sum() / arcs.sum(), pull


@pytest.mark.parametrize("method", ["rotation", "isophotes"])
def test_arcs_keep_their_flux_and_their_colours_scatter_as_their_errors_say(method):
    share, pull = arc_colours(method, 100.0)
    assert share > 0.4
    assert len(pull) > 15
    assert abs(np.median(pull)) < 1.0
    assert np.sqrt(np.mean(pull**2)) < 1.7


@pytest.mark.parametrize("noise_corr", [4.0, 8.0, 40.0])
def test_the_noise_of_a_segment_is_that_of_monte_carlo(noise_corr):
    rng = np.random.default_rng(3)
    width = np.sqrt(noise_corr / (4 * np.pi))
    noise = gaussian_filter(rng.normal(size=(200, 96, 96)), (0, width, width), mode="wrap")
    noise /= noise.std()
    y, x = np.mgrid[-8:9, -8:9]
    for radius in (1.5, 2.5, 4.0, 6.0):
        pixels = np.hypot(x, y) <= radius
        places = [(a, b) for a in range(8, 88, 18) for b in range(8, 88, 18)]
        sums = [noise[:, a - 8 : a + 9, b - 8 : b + 9][:, pixels].sum(axis=1) for a, b in places]
        true = np.var(sums) / pixels.sum()
        formula = segment_noise_correlation(np.array([noise_corr]), pixels.sum())[0]
        # on the safe side, by at most a sixth of the error
        assert 0.95 < formula / true < 1.4


def test_arcs_are_not_point_like():
    found, near, _ = sample(25, 0.3, 120.0)
    assert found.point_like[near].mean() < 0.4


def test_absent_bands_and_masked_pixels_and_empty_images():
    rng = np.random.default_rng(8)
    image, variance, _ = observed(rng, *lens_and_arcs(rng, 0.3)[:2], 150.0)
    image, variance = np.stack([image] * 4), np.stack([variance] * 4)
    image[1, 3:], variance[1, 3:] = 0, np.inf
    image[2, :, 30:34, :], variance[2, :, 30:34, :] = 0, np.inf
    image[3], variance[3] = 0, np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = find_segments(image, variance, np.ones((4, 5)), GRID, SegmentsConfig())
    assert (found.count[:3] >= 1).all()
    assert found.count[3] == 0
    assert np.isinf(found.variance[1, :, 3:]).all()
    assert np.isfinite(found.variance[1, 0, :3]).all()
    beyond = np.arange(8) >= found.count[:, None]
    assert (found.area[beyond] == 0).all()
    assert np.isinf(found.variance[beyond]).all()
    for values in (found.flux, found.x, found.y, found.snr, found.psf_likeness):
        assert np.isfinite(values).all()
    brightest = found.snr.argsort(axis=1)[:, ::-1]
    assert (np.take_along_axis(found.snr, brightest, 1) == found.snr).all()


def test_packed_rows_hold_everything_a_model_needs():
    found, _, _ = sample(4, 0.3, 100.0)
    rows = found.packed()
    assert rows.shape == (4, 8, 15)
    assert (rows[..., :5] == found.flux).all()
    assert (rows[..., 5:10] == found.variance).all()
    assert (rows[..., 12] == found.area).all()


def test_a_cutout_depends_on_itself_alone():
    rng = np.random.default_rng(8)
    pairs = [observed(rng, *lens_and_arcs(rng, 0.3)[:2], 100.0)[:2] for _ in range(3)]
    image, variance = (np.stack(part) for part in zip(*pairs, strict=True))
    together = find_segments(image, variance, np.ones((3, 5)), GRID, SegmentsConfig())
    parts = [
        find_segments(
            image[i : i + 1], variance[i : i + 1], np.ones((1, 5)), GRID, SegmentsConfig()
        )
        for i in range(3)
    ]
    apart = Segments.joined(parts)
    for name in ("flux", "variance", "x", "count"):
        assert (getattr(together, name) == getattr(apart, name)).all()


def test_noise_correlation_of_a_segment_lies_between_one_pixel_and_a_large_box():
    values = segment_noise_correlation(np.array([40.0, 1.0]), 9)
    # measured for HSC: 7 for 3 x 3 pixels
    assert values[0] == pytest.approx(7.5, abs=0.1)
    assert values[1] == 1
    assert segment_noise_correlation(np.array([40.0]), 1) == 1
    assert segment_noise_correlation(np.array([40.0]), 10**6) == pytest.approx(40, rel=1e-3)


def test_a_chunk_keeps_order_and_bytes(tmp_path):
    rng = np.random.default_rng(8)
    n = 3
    pairs = [observed(rng, *lens_and_arcs(rng, 0.3)[:2], 100.0)[:2] for _ in range(n)]
    image, variance = (np.stack(part).astype(np.float32) for part in zip(*pairs, strict=True))
    records = [
        Metadata(
            sample_id=f"a-{i}", system_id=f"a-{i}", dataset="a", raw_file="a.fits", raw_index=i,
            raw_sha256="0" * 64, label=1, label_source="sim:demo", label_confidence=1,
            pixel_scale=STEP, instrument="HSC", survey="hsc", bands=SLOTS,
            band_flags=(1, 1, 1, 1, 1), noise_corr=(1.0, 1.0, 1.0, 1.0, 1.0),
        )
        for i in range(n)
    ]  # fmt: skip
    tiff, table = tmp_path / "0.tif", tmp_path / "0.parquet"
    table_from_records(records).to_parquet(table, index=False)
    with CutoutFile(tiff, np.ones((n, 5), bool), SIDE) as file:
        file.write(np.arange(n), image, variance)
    outs = [tmp_path / "segments" / f"{name}.h5" for name in "ab"]
    for out in outs:
        segment_chunk(
            cutouts=str(tiff), metadata=str(table), grid=GRID, config=SegmentsConfig(), out=str(out)
        )
    found, names = read_segments(outs[0])
    assert names == list(pd.read_parquet(table)["sample_id"])
    direct = find_segments(image, variance, np.ones((n, 5)), GRID, SegmentsConfig())
    assert (found.count == direct.count).all()
    # 16 bits may move a pixel across the edge of a segment
    there = direct.area > 0
    moved = np.abs(found.flux - direct.flux)[there] / np.sqrt(direct.variance[there])
    assert moved.max() < 1
    assert np.median(moved) < 0.05
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert not list(tmp_path.rglob("*.partial"))
