"""Physical properties of the dPIE: closed forms, derivatives, symmetries, limits."""

import numpy as np
import pytest

from lenshunt.core.cosmology import distance_ratio
from lenshunt.lensing import MassModel, Potentials, deflection, hessian


def potentials(**values):
    defaults = {
        "name": "halo",
        "x": 0.0,
        "y": 0.0,
        "ellipticity": 0.0,
        "angle_deg": 0.0,
        "core": 0.5,
        "cut": 20.0,
        "sigma_km_s": 400.0,
    }
    return Potentials(**{k: np.atleast_1d(v) for k, v in (defaults | values).items()})


@pytest.fixture
def points():
    return np.random.default_rng(3).uniform(-15, 15, (2, 50))


def test_round_potential_has_the_closed_form_deflection(points):
    p = potentials()
    x, y = points
    r = np.hypot(x, y)
    b = p.b0 * p.cut / (p.cut - p.core)
    expected = b * (np.hypot(p.core, r) - p.core - np.hypot(p.cut, r) + p.cut) / r
    alpha_x, alpha_y = deflection(p, x, y)
    assert np.allclose(alpha_x, expected * x / r, rtol=1e-6)
    assert np.allclose(alpha_y, expected * y / r, rtol=1e-6)


@pytest.mark.parametrize("ellipticity", [0.0, 1e-9, 1e-4, 0.3, 0.95])
def test_second_derivatives_are_those_of_the_deflection(points, ellipticity):
    p = potentials(ellipticity=ellipticity, angle_deg=35.0)
    x, y = points
    h = 1e-4
    xx, xy, yy = hessian(p, x, y)
    right, left = deflection(p, x + h, y), deflection(p, x - h, y)
    above, below = deflection(p, x, y + h), deflection(p, x, y - h)
    assert np.allclose(xx, (right[0] - left[0]) / (2 * h), atol=1e-6)
    assert np.allclose(xy, (right[1] - left[1]) / (2 * h), atol=1e-6)
    assert np.allclose(xy, (above[0] - below[0]) / (2 * h), atol=1e-6)
    assert np.allclose(yy, (above[1] - below[1]) / (2 * h), atol=1e-6)


def test_a_turned_potential_gives_a_turned_deflection(points):
    x, y = points
    turn = np.radians(70.0)
    cos, sin = np.cos(turn), np.sin(turn)
    straight = deflection(potentials(ellipticity=0.6), x, y)
    turned = deflection(
        potentials(ellipticity=0.6, angle_deg=70.0), cos * x - sin * y, sin * x + cos * y
    )
    assert np.allclose(turned[0], cos * straight[0] - sin * straight[1])
    assert np.allclose(turned[1], sin * straight[0] + cos * straight[1])


def test_deflection_is_odd_and_vanishes_in_the_centre(points):
    p = potentials(ellipticity=0.7, angle_deg=20.0)
    ahead, behind = deflection(p, *points), deflection(p, -points[0], -points[1])
    assert np.allclose(ahead, np.negative(behind))
    assert np.array_equal(np.array(deflection(p, 0.0, 0.0)), [0.0, 0.0])


def test_mass_is_elongated_along_the_major_axis():
    p = potentials(ellipticity=0.6, angle_deg=30.0)
    cos, sin = np.cos(np.radians(30)), np.sin(np.radians(30))
    along, across = (hessian(p, 3 * x, 3 * y) for x, y in ((cos, sin), (-sin, cos)))
    assert along[0] + along[2] > 1.2 * (across[0] + across[2])


def test_nothing_is_nan_on_the_axes_nor_in_the_foci():
    # Numerator and denominator of I'_1/2 both vanish at x = 0, |y| = 2 core sqrt(eps).
    p = potentials(ellipticity=0.5)
    focus = 2 * p.core[0] * np.sqrt(p.eps[0])
    x = np.array([0.0, 0.0, 0.0, 1.0, 0.0])
    y = np.array([0.0, focus, -focus, 0.0, 1.0])
    for values in (*deflection(p, x, y), *hessian(p, x, y)):
        assert np.isfinite(values).all()


def test_far_away_only_the_total_mass_counts():
    # alpha -> b0 cut / r, times the area of the ellipse with semi-axes 1 + eps and 1 - eps.
    p = potentials(ellipticity=0.4)
    alpha_x, _ = deflection(p, 1e5, 0.0)
    assert alpha_x * 1e5 == pytest.approx(p.b0[0] * p.cut[0] * (1 - p.eps[0] ** 2), rel=1e-3)


def test_points_keep_their_shape_and_blocks_do_not_show():
    p = potentials(x=np.zeros(40), **{k: np.full(40, v) for k, v in {
        "name": "a", "y": 0.0, "ellipticity": 0.2, "angle_deg": 10.0, "core": 0.1, "cut": 5.0,
        "sigma_km_s": 50.0}.items()})  # fmt: skip
    x = np.random.default_rng(0).uniform(-9, 9, (60, 70))
    whole = deflection(p, x, x.T[:60, :60].mean())
    assert whole[0].shape == (60, 70)
    one = deflection(p, x[7, 9], x.T[:60, :60].mean())
    assert whole[0][7, 9] == pytest.approx(float(one[0]), rel=1e-12)
    assert deflection(p, np.zeros(0), np.zeros(0))[0].shape == (0,)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"core": 0.0}, "core > 0"),
        ({"cut": 0.1}, "cut > core"),
        ({"ellipticity": 1.0}, "0 <= e < 1"),
        ({"sigma_km_s": -1.0}, "sigma >= 0"),
    ],
)
def test_an_impossible_potential_is_refused_by_name(bad, message):
    with pytest.raises(ValueError, match=f"potential halo.*{message}"):
        potentials(**bad)


def test_a_source_in_front_of_the_lens_is_an_error():
    with pytest.raises(ValueError, match="not behind"):
        distance_ratio(0.39, 0.3)


def test_sky_and_tangent_coordinates_are_inverse_and_x_points_west():
    model = MassModel("m", potentials(), 359.9999, -73.0, 0.39)
    x, y = np.array([30.0, -12.0]), np.array([5.0, -50.0])
    assert np.allclose(model.tangent(*model.sky(x, y)), (x, y))
    ra, _ = model.sky(-10.0, 0.0)
    assert ra < 1.0  # East, across RA = 0


def test_magnification_is_that_of_the_mapped_area():
    model = MassModel("m", potentials(ellipticity=0.3), 10.0, 20.0, 0.4)
    h = 1e-3
    u, v = model.ray_trace(np.array([4.0, 4.0 + h, 4.0]), np.array([7.0, 7.0, 7.0 + h]), 2.0)
    area = (u[1] - u[0]) * (v[2] - v[0]) - (u[2] - u[0]) * (v[1] - v[0])
    assert model.magnification(4.0, 7.0, 2.0) == pytest.approx(h**2 / area, rel=1e-3)
    kappa, gamma = model.kappa(4.0, 7.0, 2.0), model.gamma(4.0, 7.0, 2.0)
    assert model.inverse_magnification(4.0, 7.0, 2.0) == pytest.approx((1 - kappa) ** 2 - gamma**2)
