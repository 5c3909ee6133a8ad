"""The simulated sky: fluxes are conserved, arcs obey the lens equation, labels leak nothing."""

import numpy as np
import pytest

from lenshunt.scenes.canvas import Canvas, Exposure
from lenshunt.scenes.deflectors import Deflector, draw_deflector, trace_arcs
from lenshunt.scenes.demo.look_alikes import NON_LENSES, paint_non_lens
from lenshunt.scenes.lens_scene import paint_lens
from lenshunt.scenes.profiles import Clumpy, Sersic, draw_clumpy, paint_clumpy, paint_sersic
from lenshunt.scenes.seds import ELLIPTICAL, SCD, STARBURST, band_fluxes
from lenshunt.schema import filter_named, magnitude_from_njy

FILTERS = ("SDSS_G", "SDSS_I")
ONE = np.array([100.0, 300.0])


def canvas(size_px: int = 101, oversample: int = 2) -> Canvas:
    return Canvas(size_px, 0.2, FILTERS, oversample)


def round_deflector(theta_e: float = 1.5) -> Deflector:
    """An isothermal sphere without shear, its centre off every ray."""
    light = Sersic(0.013, -0.017, 0.8, 4.0, 0.9999, 0.0)
    return Deflector(light, 19.0, 0.0, 0.4, 1.5, 250.0, theta_e, 0.9999, 0.0, (0.0, 0.0))


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0, 6.0])
@pytest.mark.parametrize("radius", [0.1, 0.4, 1.0])
def test_a_sersic_galaxy_has_its_flux(n, radius):
    sky = canvas()
    paint_sersic(sky, Sersic(0.13, -0.07, radius, n, 0.6, 0.7), ONE)
    assert sky.light.sum(axis=(1, 2)) == pytest.approx(ONE, rel=0.02)


def test_half_of_a_sersic_galaxy_lies_within_its_half_light_radius():
    sky = canvas()
    paint_sersic(sky, Sersic(0.0, 0.0, 1.0, 1.0, 1.0, 0.0), ONE)
    patch = sky.patch(0.0, 0.0, 12.0)
    light = sky.light[0, patch.rows, patch.columns]
    inside = light[np.hypot(patch.dx, patch.dy) < 1.0].sum()
    assert inside / light.sum() == pytest.approx(0.5, abs=0.01)


def test_clumps_are_part_of_the_flux():
    sky = canvas()
    galaxy = draw_clumpy(np.random.default_rng(3), 0.0, 0.0, 0.6)
    paint_clumpy(sky, galaxy, ONE)
    assert sky.light.sum(axis=(1, 2)) == pytest.approx(ONE, rel=0.02)


def test_the_psf_keeps_the_flux_and_the_place_of_a_star():
    sky = canvas()
    sky.paint_point(2.0, -3.0, ONE)
    image = sky.observe((0.7, 0.9), (3.0, 3.0))
    assert image.sum(axis=(1, 2)) == pytest.approx(ONE, rel=2e-3)
    y, x = np.mgrid[:101, :101] - 50.0
    assert (image[0] * x).sum() / image[0].sum() * 0.2 == pytest.approx(2.0, abs=0.02)
    assert (image[0] * y).sum() / image[0].sum() * 0.2 == pytest.approx(-3.0, abs=0.02)


def test_a_star_of_hst_is_as_sharp_as_the_psf():
    second_moments = []
    for x in (0.0, 0.011, 0.02, 0.03):
        sky = Canvas(41, 0.06, FILTERS)
        sky.paint_point(x, 0.0, ONE)
        image = sky.observe((0.1, 0.1), (2.5, 2.5))[0]
        column = (np.arange(41) - 20) * 0.06 - x
        core = (np.abs(column) < 0.4) * image
        second_moments.append((core * column**2).sum() / core.sum())
    assert np.ptp(second_moments) < 0.03 * np.mean(second_moments)


def test_noise_has_the_stated_variance():
    exposure = Exposure(sky_sigma_njy=3.0, electrons_per_njy=0.5)
    noisy = exposure.noisy(np.full((400, 400), 20.0, np.float32), np.random.default_rng(0))
    assert noisy.var() == pytest.approx(9.0 + 40.0, rel=0.02)
    assert exposure.variance(20.0) == pytest.approx(49.0)


def test_an_isothermal_sphere_magnifies_as_theory_says():
    # of a point at beta the two images add to mu = 2 theta_E / beta
    source = Clumpy(Sersic(0.513, -0.017, 0.08, 1.0, 1.0, 0.0), ())
    arcs = trace_arcs(canvas(oversample=4), round_deflector(1.5), source, subpixels=4)
    assert arcs.magnification == pytest.approx(2 * 1.5 / 0.5, rel=0.02)


def test_a_source_behind_the_centre_becomes_a_ring_at_the_einstein_radius():
    source = Clumpy(Sersic(0.013, -0.017, 0.1, 1.0, 1.0, 0.0), ())
    sky = canvas()
    arcs = trace_arcs(sky, round_deflector(1.5), source)
    patch = sky.patch(0.013, -0.017, 30.0)
    radius = np.hypot(patch.dx, patch.dy)[arcs.rows, arcs.columns]
    assert (arcs.light * radius).sum() == pytest.approx(1.5, abs=0.03)
    assert arcs.light.sum() == pytest.approx(1.0, rel=1e-5)


def test_einstein_radii_keep_to_their_range():
    drawn = [draw_deflector(np.random.default_rng(k), (0.7, 2.0)).theta_e for k in range(50)]
    assert min(drawn) >= 0.7
    assert max(drawn) <= 2.0


def test_early_types_are_red_and_starbursts_blue():
    colours = []
    for sed in (ELLIPTICAL, SCD, STARBURST):
        g, i = magnitude_from_njy(band_fluxes(20.0, sed, 0.4, FILTERS))
        colours.append(float(g - i))
    assert colours[0] > 1.8
    assert colours[0] > colours[1] > colours[2]
    assert colours[2] < 0.4


def test_the_i_magnitude_is_that_asked_for():
    flux = band_fluxes(21.3, SCD, 0.5, ("i",))
    assert filter_named("i").wavelength_um == pytest.approx(0.77, abs=0.01)
    assert float(magnitude_from_njy(flux)[0]) == pytest.approx(21.3, abs=0.02)


@pytest.mark.parametrize("kind", sorted(NON_LENSES))
def test_every_kind_of_non_lens_has_light_and_no_arcs(kind):
    sky = canvas(61)
    rng = np.random.default_rng(11)
    scene = paint_non_lens(sky, rng, draw_deflector(rng), kind)
    assert scene.label == 0
    assert scene.arcs is None
    assert np.isnan(scene.flux_ratio(1))
    assert np.isfinite(sky.light).all()
    assert sky.light.min() >= 0
    assert sky.light.sum() > 0


def test_a_lens_adds_the_lensed_flux_and_nothing_else():
    deflector = draw_deflector(np.random.default_rng(5))
    sky = canvas()
    scene = paint_lens(sky, np.random.default_rng(6), deflector)
    lensed = scene.arcs.light.sum() * scene.arcs_flux_njy
    assert lensed == pytest.approx(scene.arcs_flux_njy, rel=1e-4)
    assert sky.light.sum(axis=(1, 2)) == pytest.approx(lensed + scene.deflector_flux_njy, rel=0.12)
    assert 0.0 < scene.flux_ratio(1) < 1.0


def test_lenses_and_non_lenses_have_alike_blue_light():
    """The flux beside the deflector does not tell the label: both draw it from one law."""
    rng = np.random.default_rng(0)
    excess: dict[int, list[float]] = {0: [], 1: []}
    for number in range(60):
        sky = canvas(61)
        deflector = draw_deflector(rng)
        label = number % 2
        kind = "companions" if number % 4 else "ring"
        scene = (
            paint_lens(sky, rng, deflector) if label else paint_non_lens(sky, rng, deflector, kind)
        )
        total = float(sky.light[1].sum())
        excess[label].append(np.log10(total / scene.deflector_flux_njy[1]))
    assert np.median(excess[1]) == pytest.approx(np.median(excess[0]), abs=0.06)
