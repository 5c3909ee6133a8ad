"""Distances of flat LambdaCDM (70, 0.3): published values, astropy, and Einstein radii."""

import numpy as np
import pytest

from lenshunt.core.cosmology import (
    COSMOLOGY,
    arcsec_per_kpc,
    demo_distances,
    distance_ratio,
    fine_distances,
)

#: z_lens, z_source, theta_E, sigma of single lenses in lenses_LSSTc.txt of Collett 2015's code.
COLLETT_ROWS = np.array(
    [
        (0.771, 3.110, 1.26, 273.8),
        (0.092, 1.127, 3.60, 373.7),
        (0.436, 1.043, 1.55, 324.6),
        (1.649, 3.185, 0.51, 247.6),
        (0.378, 1.956, 0.92, 211.8),
        (0.662, 5.576, 1.67, 286.7),
    ]
)
both = pytest.mark.parametrize("distances", [fine_distances, demo_distances])


@both
def test_einstein_radii_are_those_of_the_published_table(distances):
    z_lens, z_source, theta_e, sigma = COLLETT_ROWS.T
    found = distances().einstein_radius(sigma, z_lens, z_source)
    assert found == pytest.approx(theta_e, abs=0.006)


@both
def test_the_einstein_radius_of_a_galaxy_is_that_of_the_isothermal_sphere(distances):
    # 4 pi (220 / c)^2 = 1.396 arcsec, D_LS / D_S = 0.588 for 0.4 and 1.2 (flat LCDM 70, 0.3)
    found = distances().einstein_radius(220.0, 0.4, 1.2)
    assert float(found) == pytest.approx(1.396 * 0.588, rel=1e-3)


@both
def test_nothing_is_lensed_in_front_of_the_lens(distances):
    assert float(distances().einstein_radius(250.0, 1.0, 0.5)) == 0.0
    with pytest.raises(ValueError, match=r"0\.5 is not behind the lens at 1\.0"):
        distance_ratio(1.0, 0.5)


@both
def test_distances_are_those_of_the_published_calculator(distances):
    # Wright 2006, PASP 118, 1711 (its page), flat, H0 = 70, Omega_m = 0.3: z = 1
    assert float(distances().comoving_mpc(1.0)) == pytest.approx(3303.8, abs=0.5)
    assert float(distances().kpc_per_arcsec(1.0)) == pytest.approx(8.008, abs=0.002)
    assert float(distances().modulus(1.0)) == pytest.approx(44.10, abs=0.005)
    assert 1.0 / arcsec_per_kpc(1.0) == pytest.approx(8.008, abs=0.002)


@pytest.mark.parametrize(
    ("distances", "z_min", "error"), [(fine_distances, 0.05, 1e-5), (demo_distances, 0.02, 1e-4)]
)
def test_interpolated_distances_are_as_right_as_they_say(distances, z_min, error):
    table = distances()
    z = np.random.default_rng(4).uniform(z_min, table.z[-1], 3000)
    np.testing.assert_allclose(
        table.comoving_mpc(z), COSMOLOGY.comoving_distance(z).value, rtol=error
    )
    np.testing.assert_allclose(
        table.modulus(z), COSMOLOGY.distmod(z).value, rtol=0, atol=5 / np.log(10) * error
    )


@both
def test_interpolated_and_exact_distances_agree(distances):
    table, z = distances(), [0.1, 0.7, 2.5, 5.0]
    exact = np.array([1.0 / arcsec_per_kpc(one) for one in z])
    assert table.kpc_per_arcsec(np.array(z)) == pytest.approx(exact, rel=1e-4)
    lensed, whole = (float(table.einstein_radius(200.0, one, 2.0)) for one in (0.5, 0.0))
    assert lensed / whole == pytest.approx(distance_ratio(0.5, 2.0), rel=1e-4)
