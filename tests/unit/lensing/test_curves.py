"""Critical curves, caustics and multiple images of lenses whose answer is known."""

import numpy as np
import pytest
from astropy.table import Table
from scipy.optimize import brentq

from lenshunt.lensing import (
    ImageSolver,
    MassModel,
    Potentials,
    caustics,
    critical_curves,
    curve_length,
    distance_to_curves,
    image_plane_rms,
    predicted_images,
)

Z = 2.0


def model_of(*rows):
    """Rows of x, y, ellipticity, angle, core, cut, sigma."""
    columns = np.array(rows, dtype=float).T
    name = np.array([f"P{i}" for i in range(len(rows))])
    return MassModel("test", Potentials(name, *columns), 150.0, 2.0, 0.4)


@pytest.fixture(scope="module")
def round_lens():
    return model_of((0.0, 0.0, 0.0, 0.0, 0.5, 200.0, 700.0))


def test_a_round_lens_has_two_circles_at_the_right_radii(round_lens):
    outer, inner = critical_curves(round_lens, Z, half_width_arcsec=30.0)

    def tangential(r):
        return r - round_lens.deflection(r, 0.0, Z)[0]

    def radial(r):
        return 1 - round_lens.hessian(r, 0.0, Z)[0]

    for curve, condition in ((outer, tangential), (inner, radial)):
        radius = np.hypot(*curve.T)
        assert np.allclose(radius, brentq(condition, 0.1, 29.0), atol=0.02)
        assert np.array_equal(curve[0], curve[-1])


def test_the_tangential_caustic_of_a_round_lens_is_a_point(round_lens):
    curves = critical_curves(round_lens, Z, half_width_arcsec=30.0)
    outer, inner = caustics(round_lens, curves, Z)
    assert np.hypot(*outer.T).max() < 0.05
    assert np.hypot(*inner.T).min() > 5.0


def test_the_small_curve_of_a_member_between_coarse_nodes_is_found():
    # theta_E about 0.2", far from any coarse node, in the quiet outskirts of a cluster.
    model = model_of(
        (0.0, 0.0, 0.3, 20.0, 5.0, 200.0, 700.0), (35.37, 30.41, 0.1, 0.0, 0.03, 5.0, 80.0)
    )
    curves = critical_curves(model, Z, half_width_arcsec=45.0)
    assert distance_to_curves([35.37], [30.41], curves)[0] < 1.0


def test_curves_that_leave_the_field_are_open(round_lens):
    radius = np.abs(critical_curves(round_lens, Z, half_width_arcsec=30.0)[0]).max()
    curves = critical_curves(round_lens, Z, half_width_arcsec=0.9 * radius)
    assert not all(np.array_equal(curve[0], curve[-1]) for curve in curves)


def test_a_lens_too_weak_for_images_has_no_curve():
    weak = model_of((0.0, 0.0, 0.2, 0.0, 20.0, 100.0, 300.0))
    assert critical_curves(weak, Z, half_width_arcsec=20.0) == []
    assert np.isnan(distance_to_curves([0.0], [0.0], [])).all()


def test_distance_is_to_segments_and_not_to_vertices():
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]], dtype=float)
    found = distance_to_curves([2.0, 2.0, 7.0], [2.0, -1.0, 8.0], [square])
    assert np.allclose(found, [2.0, 1.0, 5.0])
    assert curve_length(square) == 16.0


def test_a_source_behind_an_ellipse_has_five_images_that_map_back_to_it():
    lens = model_of((0.0, 0.0, 0.4, 30.0, 0.5, 200.0, 700.0))
    source = (0.3, 0.2)
    images = ImageSolver(lens, half_width_arcsec=40.0).images(source, Z)
    assert len(images) == 5
    beta = lens.ray_trace(*images.T, Z)
    assert np.allclose(beta[0], source[0], atol=1e-5)
    assert np.allclose(beta[1], source[1], atol=1e-5)
    # Burke's theorem: one image more of even than of odd parity.
    assert np.sign(lens.magnification(*images.T, Z)).sum() == 1


def test_a_source_far_away_has_one_image():
    lens = model_of((0.0, 0.0, 0.4, 30.0, 0.5, 20.0, 700.0))
    assert len(ImageSolver(lens, half_width_arcsec=60.0).images((35.0, 10.0), Z)) == 1


def _with_images(lens, images, systems):
    ra, dec = lens.sky(*images.T)
    table = Table({"image": [f"{s}.{i}" for i, s in enumerate(systems)], "system": systems})
    table["ra"], table["dec"], table["z"] = ra, dec, Z
    return MassModel(lens.name, lens.potentials, lens.ra0, lens.dec0, lens.z_lens, table)


def test_images_of_the_model_itself_have_no_residual(round_lens):
    images = ImageSolver(round_lens, half_width_arcsec=40.0).images((2.0, 1.0), Z)
    model = _with_images(round_lens, images, ["1"] * len(images))
    total, by_system = image_plane_rms(predicted_images(model))
    assert total < 1e-4
    assert set(by_system) == {"1"}


def test_a_system_with_two_redshifts_is_an_error(round_lens):
    model = _with_images(round_lens, np.array([[1.0, 2.0], [3.0, 4.0]]), ["7", "7"])
    model.images["z"] = [1.0, 2.0]
    with pytest.raises(ValueError, match="system 7"):
        predicted_images(model)


def test_images_that_the_model_does_not_make_are_left_out_and_visible():
    table = Table({"residual": [0.3, np.nan, 0.4], "system": ["1", "1", "2"]})
    total, by_system = image_plane_rms(table)
    assert total == pytest.approx(np.sqrt((0.09 + 0.16) / 2))
    assert by_system["1"] == pytest.approx(0.3)
