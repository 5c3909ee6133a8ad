"""The published mass model of SMACS J0723 against its authors and lenstronomy."""

import re

import numpy as np
import pytest
from lenstronomy.LensModel.Profiles.nie import NIE

from lenshunt.core import RESOURCES
from lenshunt.lensing import (
    ImageSolver,
    critical_curves,
    deflection,
    distance_to_curves,
    hessian,
    image_plane_rms,
    load_mass_model,
    mean_source,
    predicted_images,
)

TABLES = RESOURCES / "smacs0723"
PUBLISHED_RMS_ARCSEC = 0.32


@pytest.fixture(scope="module")
def model():
    return load_mass_model(
        TABLES / "potentials.ecsv", TABLES / "images.ecsv", TABLES / "members.ecsv"
    )


@pytest.fixture(scope="module")
def published(real_data):
    folder = real_data / "smacs0723" / "ICLv2"
    return load_mass_model(folder / "best.par", folder / "arcs.dat", folder / "galcat.cat")


def lenstronomy_arguments(p, index, core):
    """NIE arguments for the ellipsoid of `core` in Kassiola & Kovner's dPIE."""
    eps = p.eps[index]
    q, angle = (1 - eps) / (1 + eps), np.radians(p.angle_deg[index])
    # kappa = b / 2 / sqrt(core^2 + x^2 / (1 + eps)^2 + y^2 / (1 - eps)^2), against lenstronomy's
    # theta_E / 2 / sqrt(s^2 + q x^2 + y^2 / q).
    stretch = np.sqrt(1 - eps**2)
    b = p.b0[index] * p.cut[index] / (p.cut[index] - p.core[index])
    return {
        "theta_E": b * stretch,
        "e1": (1 - q) / (1 + q) * np.cos(2 * angle),
        "e2": (1 - q) / (1 + q) * np.sin(2 * angle),
        "s_scale": core * stretch,
        "center_x": p.x[index],
        "center_y": p.y[index],
    }


def lenstronomy_sum(p, x, y, kind):
    nie = NIE()
    total = 0.0
    for index in range(len(p)):
        for sign, core in ((1, p.core[index]), (-1, p.cut[index])):
            arguments = lenstronomy_arguments(p, index, core)
            total = total + sign * np.array(getattr(nie, kind)(x, y, **arguments))
    return total


@pytest.mark.real
def test_lenstool_files_give_the_published_image_plane_rms(published):
    predicted = predicted_images(published)
    total, by_system = image_plane_rms(predicted)
    assert len(predicted) == 60
    assert len(by_system) == 21
    assert np.isfinite(predicted["residual"]).all()
    assert total == pytest.approx(PUBLISHED_RMS_ARCSEC, abs=0.01)


def test_tables_in_resources_give_the_published_image_plane_rms(model):
    total, _ = image_plane_rms(predicted_images(model))
    assert total == pytest.approx(PUBLISHED_RMS_ARCSEC, abs=0.01)


@pytest.mark.real
def test_tables_in_resources_are_the_published_files(model, published):
    for name in ("name", "x", "y", "ellipticity", "angle_deg", "core", "cut", "sigma_km_s"):
        assert np.array_equal(
            getattr(model.potentials, name), getattr(published.potentials, name)
        ), name
    for name in published.images.colnames:
        assert np.array_equal(model.images[name], published.images[name]), name
    for name in published.members.colnames:
        assert np.array_equal(model.members[name], published.members[name]), name
    assert (model.ra0, model.dec0, model.z_lens) == (published.ra0, published.dec0, 0.39)


@pytest.mark.real
def test_distance_ratios_agree_with_those_lenstool_printed(model, real_data):
    header = (real_data / "smacs0723" / "ICLv2" / "best.par").read_text()
    pairs = re.findall(r"z:([0-9.]+) dlsds:([0-9.]+)", header)
    assert len(pairs) == 16
    z, ratio = np.array(pairs, dtype=float).T
    ours = np.array([model.distance_ratio(value) for value in z])
    # The printed redshifts belong to the printed ratios to within 0.001, with either sign ...
    slope = [(model.distance_ratio(v + 1e-3) - model.distance_ratio(v - 1e-3)) / 2e-3 for v in z]
    assert np.abs((ours - ratio) / slope).max() < 1e-3
    # ... while z_lens off by 0.001 would shift every ratio by 7e-4, Omega_m off by 0.01 by 2e-3.
    assert abs(np.mean(ours - ratio)) < 2e-5


def test_deflection_and_derivatives_equal_pairs_of_lenstronomy_nies(model):
    random = np.random.default_rng(1)
    x, y = random.uniform(-60, 60, (2, 300))
    p = model.potentials
    ours, peer = np.array(deflection(p, x, y)), lenstronomy_sum(p, x, y, "derivatives")
    assert np.abs(ours - peer).max() < 1e-6
    # lenstronomy's NIE has no closed form of these: it differences over 1e-10", with an error of
    # 1e-6 per NIE. Central differences of its deflection over 1e-4" are sharper.
    xx, xy, yy = hessian(p, x, y)
    h = 1e-4
    by_x, by_y = (
        lenstronomy_sum(p, x + h * a, y + h * b, "derivatives")
        - lenstronomy_sum(p, x - h * a, y - h * b, "derivatives")
        for a, b in ((1, 0), (0, 1))
    )
    assert np.abs(np.array([xx, xy]) - by_x / (2 * h)).max() < 1e-5
    assert np.abs(np.array([xy, yy]) - by_y / (2 * h)).max() < 1e-5


def test_convergence_shear_and_magnification_equal_lenstronomys_at_a_thousand_points(model):
    random = np.random.default_rng(2)
    x, y = random.uniform(-60, 60, (2, 1000))
    h, ratio = 1e-4, model.distance_ratio(2.0)
    by_x, by_y = (
        lenstronomy_sum(model.potentials, x + h * a, y + h * b, "derivatives")
        - lenstronomy_sum(model.potentials, x - h * a, y - h * b, "derivatives")
        for a, b in ((1, 0), (0, 1))
    )
    (xx, xy), (_, yy) = ratio * by_x / (2 * h), ratio * by_y / (2 * h)
    kappa, gamma = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
    determinant = (1 - kappa) ** 2 - gamma**2
    for ours, peer in (
        (model.kappa(x, y, 2.0), kappa),
        (model.gamma(x, y, 2.0), gamma),
        (model.inverse_magnification(x, y, 2.0), determinant),
    ):
        assert np.abs(ours / peer - 1).max() < 1e-4
        assert np.median(np.abs(ours / peer - 1)) < 1e-7
    mu = model.magnification(x, y, 2.0)
    assert np.abs(mu * determinant - 1).max() < 1e-4


@pytest.mark.slow
def test_deflection_through_a_circle_equals_the_mass_inside(model):
    # Gauss: the closed integral of alpha . n is twice the surface integral of kappa.
    radius, z_source = 45.0, 2.0
    angle = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    alpha_x, alpha_y = model.deflection(radius * np.cos(angle), radius * np.sin(angle), z_source)
    flux = np.mean(alpha_x * np.cos(angle) + alpha_y * np.sin(angle)) * 2 * np.pi * radius
    axis = np.arange(-radius, radius, 0.25) + 0.125
    x, y = np.meshgrid(axis, axis)
    inside = np.hypot(x, y) < radius
    mass = model.kappa(x[inside], y[inside], z_source).sum() * 0.25**2
    # The nearly singular centres of the members limit the sum, not the model.
    assert flux == pytest.approx(2 * mass, rel=5e-3)


@pytest.mark.slow
def test_every_observed_image_is_found_by_the_image_solver(model):
    solver = ImageSolver(model)
    predicted = predicted_images(model)
    for system in np.unique(predicted["system"]):
        own = predicted[predicted["system"] == system]
        z = float(own["z"][0])
        source = mean_source(model, own["x"], own["y"], z)
        images = solver.images(source, z)
        for row in own:
            distance = np.hypot(images[:, 0] - row["x_model"], images[:, 1] - row["y_model"])
            assert distance.min() < 1e-3, row["image"]


@pytest.mark.slow
def test_critical_curves_of_the_cluster_are_accurate_to_the_cell(model):
    curves = critical_curves(model, 2.0, half_width_arcsec=30.0)
    vertex = np.concatenate(curves)
    # Along the gradient the determinant must change sign within 0.05" on either side.
    step = 0.5e-3
    x, y = vertex.T
    d_x, d_y = (
        (
            model.inverse_magnification(x + step * a, y + step * b, 2.0)
            - model.inverse_magnification(x - step * a, y - step * b, 2.0)
        )
        for a, b in ((1, 0), (0, 1))
    )
    length = np.hypot(d_x, d_y)
    sides = [
        model.inverse_magnification(x + s * d_x / length, y + s * d_y / length, 2.0)
        for s in (-0.05, 0.05)
    ]
    assert np.mean(np.sign(sides[0]) != np.sign(sides[1])) > 0.995


@pytest.mark.slow
def test_critical_curves_miss_none_that_a_uniform_fine_grid_shows(model):
    half, step = 8.0, 0.05
    centre = (8.0, 0.0)
    axis = np.arange(-half, half + step / 2, step)
    x, y = np.meshgrid(centre[0] + axis, centre[1] + axis)
    positive = model.inverse_magnification(x, y, 2.0) > 0
    across = positive[:, :-1] != positive[:, 1:]
    # A sign change between two neighbours of the uniform grid lies within a cell of a curve.
    where_x, where_y = x[:, :-1][across] + step / 2, y[:, :-1][across]
    curves = critical_curves(model, 2.0, half_width_arcsec=half + 1.0, centre=centre)
    assert distance_to_curves(where_x, where_y, curves).max() < 0.05


def test_magnification_near_a_critical_curve_is_large(model):
    curves = critical_curves(model, 2.0, half_width_arcsec=30.0)
    mu = np.abs(model.magnification(*curves[0].T, 2.0))
    assert np.median(mu) > 100


def test_einstein_radius_is_that_of_a_cluster(model):
    # The tangential curve at z_s = 2 encloses what independent models of this cluster find,
    # 12" to 20" (Pascale et al. 2022, Caminha et al. 2022, Golubchik et al. 2022).
    curve = critical_curves(model, 2.0, half_width_arcsec=40.0)[0]
    x, y = curve.T
    area = 0.5 * abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))
    assert 12.0 < np.sqrt(area / np.pi) < 20.0
