"""Injection: light and noise add up, lens and host stay together, real hosts and sources work."""

import numpy as np
import pytest
import torch
from injection_samples import POPULATION, blank_host, des_hosts, host, hst_records
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver
from lenstronomy.Util.param_util import phi_q2_ellipticity

from lenshunt.core.moffat import moffat_psf
from lenshunt.lensing.pixel_grid import PixelGrid
from lenshunt.lensing.simulator import PARAMETERS, render
from lenshunt.scenes.arcs import (
    CENTRE,
    Mass,
    count_images,
    lensed_light,
    supersampling,
    through_psf,
)
from lenshunt.scenes.hosts import host_noise, host_shape, survey_of
from lenshunt.scenes.inject import draw_lens, inject, paint, with_arcs
from lenshunt.scenes.profiles import Clumpy, Sersic, clumpy_brightness
from lenshunt.scenes.real_sources import real_source, real_sources
from lenshunt.schema import njy_from_magnitude

MASS = Mass(1.2, 0.7, 0.4, 0.03, -0.02, 0.05, -0.03)
SOURCE = Sersic(0.12, 0.05, 0.2, 1.0, 0.7, 0.3)


def source(x, y):
    return clumpy_brightness(x, y, Clumpy(SOURCE, ()))


def test_arcs_are_those_of_the_differentiable_simulator():
    psf = moffat_psf(0.8, 3.0, 0.168, 31)
    rays = 8
    arcs = through_psf(lensed_light(MASS, source, (64, 64), 0.168, rays), psf[None], rays)[0]
    ellipse = {"mass": (MASS.q, MASS.angle), "source": (SOURCE.q, SOURCE.angle)}
    values = dict.fromkeys(PARAMETERS, 0.0) | {
        "theta_e": MASS.theta_e, "slope": 2.0, "gamma1": MASS.gamma1, "gamma2": MASS.gamma2,
        "mass_x": MASS.x, "mass_y": MASS.y, "source_x": SOURCE.x, "source_y": SOURCE.y,
        "source_radius": SOURCE.semi_major * np.sqrt(SOURCE.q), "source_sersic": 1.0,
        "lens_radius": 1.0, "lens_sersic": 1.0,
    }  # fmt: skip
    for name, (q, angle) in ellipse.items():
        values[f"{name}_e1"] = (1 - q) / (1 + q) * np.cos(2 * angle)
        values[f"{name}_e2"] = (1 - q) / (1 + q) * np.sin(2 * angle)
    params = torch.tensor([[values[name] for name in PARAMETERS]], dtype=torch.float32)
    fluxes = torch.tensor([[[0.0, 1.0]]])
    # the simulator adds up rays per pixel before its PSF: a third of the pixel, and adding up
    # nine of them, is what the effective PSF holds
    fine = PixelGrid(64 * 3, 0.056, 4)
    fine_psf = moffat_psf(0.8, 3.0, 0.056, 93)
    reference = render(params, fluxes, fine, torch.from_numpy(fine_psf))[0, 0].numpy()
    reference = reference.reshape(64, 3, 64, 3).sum(axis=(1, 3))
    assert arcs == pytest.approx(reference, abs=0.004 * float(reference.max()))


@pytest.mark.parametrize("fwhm", [0.6, 1.0])
def test_a_star_through_an_effective_psf_is_that_psf(fwhm):
    """No second pixel is convolved in, and the centre stays."""
    rays = 5
    fine = np.zeros((41 * rays, 41 * rays), np.float32)
    fine[20 * rays + 2, 20 * rays + 2] = 1.0
    psf = moffat_psf(fwhm, 3.0, 0.168, 31)
    image = through_psf(fine, psf[None], rays)[0]
    assert image[5:36, 5:36] == pytest.approx(psf, abs=1e-6)


@pytest.mark.parametrize("shape", [(50, 50), (51, 64)])
def test_the_flux_of_arcs_is_magnification_times_source_flux(shape):
    psf = np.stack([moffat_psf(width, 3.0, 0.168, 41) for width in (0.6, 0.9)])
    rays = supersampling(0.17, 0.168)
    fine = lensed_light(MASS, source, shape, 0.168, rays)
    finest = lensed_light(MASS, source, shape, 0.168, 12)
    assert fine.sum() == pytest.approx(finest.sum(), rel=3e-3)
    assert through_psf(fine, psf, rays).sum(axis=(1, 2)) == pytest.approx(fine.sum(), rel=3e-3)


def test_images_are_counted_as_the_solver_finds_them():
    rng, model = np.random.default_rng(3), LensModel(["SIE", "SHEAR"])
    solver = LensEquationSolver(model)
    for _ in range(12):
        theta_e, offset, turn = rng.uniform(0.5, 2), np.sqrt(rng.random()), rng.uniform(0, 6.28)
        mass = Mass(theta_e, rng.uniform(0.4, 0.95), rng.uniform(0, 3), *rng.normal(0, 0.05, 2))
        x, y = theta_e * offset * np.cos(turn), theta_e * offset * np.sin(turn)
        e1, e2 = phi_q2_ellipticity(mass.angle, mass.q)
        keywords = [
            {"theta_E": theta_e, "e1": e1, "e2": e2, "center_x": 0, "center_y": 0},
            {"gamma1": mass.gamma1, "gamma2": mass.gamma2},
        ]
        found = solver.image_position_from_source(
            x, y, keywords, min_distance=0.03, search_window=6 * theta_e,
            x_center=1e-4, y_center=2e-4,
        )  # fmt: skip
        expected = int((np.hypot(*found) > CENTRE * theta_e).sum())
        assert count_images(mass, x, y) == expected


def test_arcs_add_their_light_and_their_noise():
    """2,000 noise draws: mean = arcs, variance = arcs / electrons, as the record says."""
    one = blank_host(size=24)
    noise = host_noise(one)
    arcs = np.zeros_like(one.image)
    arcs[2, 8:16, 8:16] = 400.0
    rng = np.random.default_rng(4)
    stack = np.stack([with_arcs(rng, one, arcs, noise)[0][2] for _ in range(2000)])
    image, variance = stack.mean(axis=0), stack.var(axis=0)
    claimed = with_arcs(rng, one, arcs, noise)[1][2] - one.variance[2]
    lit = arcs[2] > 0
    assert (image - one.image[2])[lit].mean() == pytest.approx(400.0, rel=3e-3)
    assert variance[lit].mean() == pytest.approx(claimed[lit].mean(), rel=0.03)
    assert claimed[lit] == pytest.approx(400.0 / noise.electrons_per_njy[2], rel=1e-3)
    assert variance[~lit].max() < 1e-4 * claimed[lit].mean()


def test_unusable_pixels_stay_as_they_are():
    one = blank_host(size=24)
    one.variance[2, 10, 10] = np.inf
    arcs = np.zeros_like(one.image)
    arcs[2] = 50.0
    image, variance = with_arcs(np.random.default_rng(1), one, arcs, host_noise(one))
    assert image[2, 10, 10] == one.image[2, 10, 10]
    assert np.isposinf(variance[2, 10, 10])


def test_a_lens_and_its_host_stay_together_and_the_host_is_untouched():
    one = host(5)
    made = inject(np.random.default_rng(6), one, POPULATION, "painted")
    lens, negative = made.lens.metadata, made.host.metadata
    assert lens.system_id == negative.system_id == one.metadata.system_id
    assert (lens.label, lens.label_source) == (1, "sim:injection")
    assert (negative.label, negative.label_source, negative.label_confidence) == (
        0, "obs:matched", 0.99,
    )  # fmt: skip
    assert len({lens.sample_id, negative.sample_id, one.metadata.sample_id}) == 3
    assert np.array_equal(made.host.image, one.image)
    assert one.metadata.label == -1
    assert lens.einstein_radius == made.truth["theta_e"] > 0
    assert np.isnan(negative.einstein_radius)


def test_the_record_says_how_much_light_was_added():
    one = host(7)
    made = inject(np.random.default_rng(8), one, POPULATION, "painted")
    source_njy = float(njy_from_magnitude(made.truth["source_magnitude"]))
    lensed = made.truth["lensed_flux"]
    # source magnitudes are those at 0.77 um, the i filter is at 0.774
    assert lensed == pytest.approx(made.truth["magnification"] * source_njy, rel=0.02)
    assert made.arcs_njy[2].sum() == pytest.approx(lensed, rel=3e-3)
    added = (made.lens.image - one.image)[2]
    sigma = float(np.sqrt((made.lens.variance[2] - one.variance[2]).sum()))
    assert added.sum() == pytest.approx(lensed, abs=4 * sigma + 3e-3 * lensed)
    assert made.lens.metadata.flux_ratio == pytest.approx(
        lensed / (lensed + host_shape(one).flux_njy[2]), rel=1e-6
    )


def test_the_same_seed_paints_the_same_lens():
    first, second = (
        inject(np.random.default_rng(9), host(9), POPULATION, "painted") for _ in range(2)
    )
    assert np.array_equal(first.lens.image, second.lens.image)
    assert first.truth == second.truth


def test_the_mass_lies_along_the_light_of_the_host():
    shape = host_shape(host(10, q=0.5, angle=0.9))
    assert shape.angle == pytest.approx(0.9, abs=0.1)
    row = dict(POPULATION.iloc[0])
    angles = [
        draw_lens(np.random.default_rng(k), row, shape, ("", "", "HSC-I", "", ""), []).mass.angle
        for k in range(200)
    ]
    assert np.std(angles) == pytest.approx(np.radians(10.0), rel=0.2)
    assert np.mean(angles) == pytest.approx(shape.angle, abs=0.05)


def test_a_host_without_variance_or_psf_is_refused():
    one = host(11)
    one.variance[2] = np.nan
    with pytest.raises(ValueError, match="prepare the records"):
        host_noise(one)
    bare = type(one)(image=one.image, variance=one.variance, metadata=one.metadata)
    lens = draw_lens(
        np.random.default_rng(1), dict(POPULATION.iloc[0]), host_shape(host(11)),
        one.metadata.bands, [],
    )  # fmt: skip
    with pytest.raises(ValueError, match="no PSF"):
        paint(lens, bare)


def test_an_empty_stamp_is_no_host():
    with pytest.raises(ValueError, match="cannot be a host"):
        host_shape(blank_host(size=48, bright_corner=True))


@pytest.mark.real
def test_real_des_galaxies_become_lenses(real_data, tmp_path):
    hosts = des_hosts(real_data, tmp_path)
    survey = survey_of(hosts)
    assert survey.seeing_arcsec == pytest.approx(1.0, abs=0.2)
    assert survey.depth_5sigma == pytest.approx(24.4, abs=0.6)
    made = [
        inject(np.random.default_rng(k), one, POPULATION, "painted") for k, one in enumerate(hosts)
    ]
    lenses = [one for one in made if one is not None]
    assert len(lenses) >= 6
    for one in lenses:
        assert one.lens.metadata.arc_snr >= 20
        assert one.lens.metadata.bands == ("g", "r", "i", "", "")
        # arcs of star-forming galaxies are bluer than red galaxies
        arcs = one.arcs_njy.sum(axis=(1, 2))
        total = one.host.image.sum(axis=(1, 2))
        assert arcs[0] / arcs[2] > total[0] / total[2]


@pytest.mark.real
def test_real_hst_galaxies_serve_as_sources(real_data, tmp_path):
    sources, refused = real_sources(hst_records(real_data, tmp_path))
    assert len(sources) >= 8
    assert len(sources) + len(refused) == 10
    for one in sources:
        assert one.light.sum() == pytest.approx(1.0, rel=1e-5)
        assert one.light.min() >= 0
        assert not one.light[[0, -1]].any()
        assert 0.05 < one.half_light_radius < 1.5


@pytest.mark.real
def test_a_real_source_keeps_its_flux_size_and_place_when_scaled(real_data, tmp_path):
    one = real_source(hst_records(real_data, tmp_path)[3])
    step = 0.005
    axis = (np.arange(600) - 299.5) * step
    x, y = np.meshgrid(axis, axis)
    light = one.brightness(x, y, (0.2, -0.1), 0.2, 0.7, True) * step**2
    assert light.sum() == pytest.approx(1.0, rel=3e-3)
    assert (light * x).sum() == pytest.approx(0.2, abs=0.003)
    assert (light * y).sum() == pytest.approx(-0.1, abs=0.003)
    assert light[np.hypot(x - 0.2, y + 0.1) < 0.2].sum() == pytest.approx(0.5, abs=0.02)
