"""Critical curves and caustics of lenses that have a closed form."""

from dataclasses import dataclass, field

import contourpy
import numpy as np
import pytest
from astropy.table import Table

from lenshunt.lensing import (
    LensModel,
    MassModel,
    Potentials,
    caustics,
    critical_curves,
    curve_kind,
    distance_to_curves,
    effective_einstein_radius,
    enclosed_area,
)

Z = 2.0
ACCURACY = 0.05


@dataclass(frozen=True)
class Analytic(LensModel):
    """Strengths are those at `Z`: D_LS / D_S is taken as 1."""

    name: str = "analytic"
    ra0: float = 0.0
    dec0: float = 0.0
    z_lens: float = 0.4
    images: Table = field(default_factory=Table)
    members: None = None
    citation: str = ""

    def tangent(self, ra, dec):
        return -3600 * np.asarray(ra), 3600 * np.asarray(dec)

    def sky(self, x, y):
        return -np.asarray(x) / 3600, np.asarray(y) / 3600

    def distance_ratio(self, z_source):
        return 1.0

    def seeds(self, z_source, smallest_arcsec):
        return np.zeros((1, 2))

    @property
    def description(self):
        return "a closed form"


@dataclass(frozen=True)
class SIE(Analytic):
    """Singular isothermal ellipsoid (Kormann et al. 1994), major axis along x."""

    b: float = 3.0
    q: float = 0.6

    def _psi(self, x, y):
        return np.maximum(np.sqrt(self.q**2 * np.square(x) + np.square(y)), 1e-9)

    def unit_deflection(self, x, y):
        f, psi = np.sqrt(1 - self.q**2), self._psi(x, y)
        scale = self.b * np.sqrt(self.q) / f
        return scale * np.arctan(f * x / psi), scale * np.arctanh(f * y / psi)

    def unit_hessian(self, x, y):
        # psi = r F(phi): one eigenvalue is 2 kappa, along the tangent, the other is 0.
        kappa = 0.5 * self.b * np.sqrt(self.q) / self._psi(x, y)
        angle = np.arctan2(y, x)
        return (
            2 * kappa * np.sin(angle) ** 2,
            -kappa * np.sin(2 * angle),
            2 * kappa * np.cos(angle) ** 2,
        )


@dataclass(frozen=True)
class PointShear(Analytic):
    """Point mass in external shear along x (Chang & Refsdal 1979)."""

    theta_e: float = 2.0
    gamma_ext: float = 0.25

    def unit_deflection(self, x, y):
        r2 = np.maximum(x**2 + y**2, 1e-12)
        scale = self.theta_e**2 / r2
        return scale * x + self.gamma_ext * x, scale * y - self.gamma_ext * y

    def unit_hessian(self, x, y):
        z2 = np.where(x**2 + y**2 == 0, 1e-6, x + 1j * y) ** 2
        w = self.theta_e**2 / z2
        return self.gamma_ext - w.real, w.imag, w.real - self.gamma_ext


def curves_of(model, half=12.0):
    return critical_curves(model, Z, half_width_arcsec=half, accuracy_arcsec=ACCURACY)


@pytest.mark.parametrize("q", [0.999, 0.8, 0.5, 0.25])
def test_the_curve_of_an_isothermal_ellipsoid_is_the_ellipse_of_half_the_critical_density(q):
    model = SIE(q=q)
    (curve,) = curves_of(model)
    angle = np.linspace(0, 2 * np.pi, 2000)
    ellipse = model.b * np.sqrt(q) * np.column_stack([np.cos(angle) / q, np.sin(angle)])
    assert distance_to_curves(*curve.T, [ellipse]).max() < 0.01
    assert distance_to_curves(*ellipse.T, [curve]).max() < 0.01
    assert curve_kind(model, curve, Z) == "tangential"
    # b is the radius of the circle of the same area.
    assert effective_einstein_radius(model, [curve], Z) == pytest.approx(model.b, rel=2e-3)


def test_the_caustic_of_an_isothermal_ellipsoid_is_its_astroid():
    model = SIE(q=0.6)
    (caustic,) = caustics(model, curves_of(model), Z)
    f = np.sqrt(1 - model.q**2)
    scale = model.b * np.sqrt(model.q)
    # Cusps: the images on the axes of the curve minus their deflection.
    on_x = abs(scale / model.q - scale / f * np.arctan(f / model.q))
    on_y = abs(scale - scale / f * np.arctanh(f))
    assert np.abs(caustic[:, 0]).max() == pytest.approx(on_x, abs=0.01)
    assert np.abs(caustic[:, 1]).max() == pytest.approx(on_y, abs=0.01)


@pytest.mark.parametrize("gamma", [0.1, 0.25, 0.6])
def test_the_curve_of_a_point_mass_in_shear_is_the_closed_form(gamma):
    model = PointShear(gamma_ext=gamma)
    (curve,) = curves_of(model)
    angle = np.linspace(0, 2 * np.pi, 4000)
    w = gamma * np.cos(2 * angle) + np.sqrt(1 - (gamma * np.sin(2 * angle)) ** 2)
    radius = model.theta_e / np.sqrt(w)
    exact = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    assert distance_to_curves(*curve.T, [exact]).max() < 0.01
    assert distance_to_curves(*exact.T, [curve]).max() < 0.01
    assert curve_kind(model, curve, Z) == "tangential"


def test_two_curves_of_a_point_mass_in_strong_shear_do_not_surround_it():
    model = PointShear(gamma_ext=1.5)
    curves = curves_of(model)
    assert len(curves) == 2
    assert all(np.array_equal(curve[0], curve[-1]) for curve in curves)
    assert {bool(np.all(curve[:, 0] > 0)) for curve in curves} == {True, False}


@pytest.fixture(scope="module")
def cored():
    columns = np.array([[0.3, -0.2, 0.45, 35.0, 1.2, 400.0, 750.0]]).T
    return MassModel("cored", Potentials(np.array(["halo"]), *columns), 150.0, 2.0, 0.4)


def test_a_cored_ellipsoid_has_a_tangential_and_a_radial_curve_that_do_not_touch(cored):
    outer, inner = curves_of(cored, 25.0)
    assert curve_kind(cored, outer, Z) == "tangential"
    assert curve_kind(cored, inner, Z) == "radial"
    for curve, sign in ((outer, 1), (inner, -1)):
        kappa, gamma = cored.kappa(*curve.T, Z), cored.gamma(*curve.T, Z)
        assert np.abs(1 - kappa - sign * gamma).max() < 0.01
    assert abs(enclosed_area(outer)) > abs(enclosed_area(inner))
    assert effective_einstein_radius(cored, [outer, inner], Z) == pytest.approx(
        np.sqrt(enclosed_area(outer) / np.pi)
    )


@pytest.mark.slow
def test_the_curves_of_a_cored_ellipsoid_are_those_of_a_grid_five_times_finer(cored):
    axis = np.arange(-14.0, 14.0, 0.01)
    determinant = cored.inverse_magnification(axis[None, :], axis[:, None], Z)
    fine = contourpy.contour_generator(axis, axis, determinant).lines(0.0)
    curves = curves_of(cored, 14.0)
    assert len(curves) == len(fine)
    for one, other in ((curves, fine), (fine, curves)):
        vertex = np.concatenate(one)
        # The two grids end in different places, and the outer curve leaves both.
        within = np.abs(vertex).max(axis=1) < 13.9
        assert within.sum() > 1000
        assert distance_to_curves(*vertex[within].T, other).max() < 0.01


def test_closed_curves_run_counter_clockwise_and_open_ones_have_no_area(cored):
    assert all(enclosed_area(curve) > 0 for curve in curves_of(cored, 25.0))
    cut = critical_curves(cored, Z, half_width_arcsec=5.0, centre=(8.0, 0.0))
    assert np.isnan(enclosed_area(cut[0]))
    assert np.isnan(effective_einstein_radius(cored, cut[:1], Z))
    assert np.isnan(effective_einstein_radius(cored, [], Z))


def test_the_einstein_radius_grows_with_the_redshift_of_the_source(cored):
    radii = [
        effective_einstein_radius(cored, critical_curves(cored, z, 25.0), z)
        for z in (0.7, 1.0, 2.0, 9.0)
    ]
    assert np.all(np.diff(radii) > 0)
