"""Sersic light: b_n and flux by their definitions, alike in numpy, torch and lenstronomy."""

import numpy as np
import pytest
import torch
from lens_systems import lenstronomy_light
from lenstronomy.LightModel.light_model import LightModel
from scipy.integrate import quad
from scipy.special import gammaincinv

from lenshunt.core.sersic import half_light_radius_of, semi_major_of, sersic_b, sersic_flux
from lenshunt.lensing.sersic import sersic
from lenshunt.scenes.profiles import TRUNCATION, Sersic, sersic_brightness


@pytest.mark.parametrize(
    ("n_min", "n_max", "error"), [(0.7, 10.0, 1e-4), (0.5, 0.7, 5e-4), (0.3, 0.5, 4e-3)]
)
def test_b_is_as_right_as_it_says(n_min, n_max, error):
    n = np.linspace(n_min, n_max, 200)
    np.testing.assert_allclose(sersic_b(n), gammaincinv(2 * n, 0.5), rtol=0, atol=error)


def test_b_has_the_published_values_of_disc_and_de_vaucouleurs():
    # Graham & Driver 2005: b_1 = 1.678, b_4 = 7.669
    assert sersic_b(1.0) == pytest.approx(1.678, abs=5e-4)
    assert sersic_b(4.0) == pytest.approx(7.669, abs=5e-4)


def test_b_of_a_number_an_array_and_a_tensor_is_the_same():
    n = np.linspace(0.3, 8.0, 40)
    np.testing.assert_allclose(sersic_b(n), [sersic_b(float(one)) for one in n], rtol=1e-14)
    np.testing.assert_allclose(sersic_b(torch.from_numpy(n)).numpy(), sersic_b(n), rtol=1e-14)


@pytest.mark.parametrize("n", [0.7, 1.0, 2.5, 4.0, 6.0])
def test_the_flux_is_the_integral_of_the_profile_and_half_of_it_lies_within_one_radius(n):
    b = sersic_b(n)
    for radii in (0.5, 1.0, 7.0):
        light, _ = quad(lambda r: 2 * np.pi * r * np.exp(-b * (r ** (1 / n) - 1)), 0.0, radii)
        assert sersic_flux(n, b, radii) == pytest.approx(light, rel=1e-6)
    assert sersic_flux(n, b, 1.0) / sersic_flux(n, b) == pytest.approx(0.5, abs=1e-4)


def test_the_circle_of_a_half_light_radius_has_the_area_of_its_ellipse():
    semi_major = semi_major_of(0.8, 0.4)
    assert np.pi * semi_major * (0.4 * semi_major) == pytest.approx(np.pi * 0.8**2)
    assert half_light_radius_of(semi_major, 0.4) == pytest.approx(0.8)


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0, 6.0])
def test_numpy_torch_and_lenstronomy_paint_the_same_galaxy(n):
    radius, q, angle = 0.6, 0.55, 0.7
    x, y = np.random.default_rng(1).uniform(-1.5, 1.5, (2, 500)).astype(np.float32)
    ours = sersic_brightness(x, y, Sersic(0.0, 0.0, semi_major_of(radius, q), n, q, angle))
    size = (1 - q) / (1 + q)
    e1, e2 = size * np.cos(2 * angle), size * np.sin(2 * angle)
    numbers = (torch.tensor(float(value), dtype=torch.double) for value in (radius, n, e1, e2))
    place = (torch.from_numpy(axis.astype(float)) for axis in (x, y))
    in_torch = sersic(*place, *numbers, core_arcsec=0.0).numpy()
    # the demo's profile ends at TRUNCATION radii and holds its whole flux within
    b = sersic_b(n)
    within = sersic_flux(n, b, TRUNCATION) / sersic_flux(n, b)
    np.testing.assert_allclose(ours * within, in_torch, rtol=2e-4)
    names = ("radius", "sersic", "e1", "e2", "x", "y")
    row = dict(zip((f"lens_{name}" for name in names), (radius, n, e1, e2, 0, 0), strict=True))
    shape = lenstronomy_light(row, "lens", 1.0)
    theirs = LightModel(["SERSIC_ELLIPSE"]).surface_brightness(x, y, [shape])
    np.testing.assert_allclose(in_torch, theirs, rtol=1e-5)
