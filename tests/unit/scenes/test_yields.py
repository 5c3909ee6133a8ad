"""The population against Collett 2015: his tables and rates, and what makes a lens seen."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from published_surveys import SURVEYS

from lenshunt.scenes.arcs import Mass, lensed_light
from lenshunt.scenes.population import draw_population, lenses_per_deg2
from lenshunt.scenes.profiles import Clumpy, Sersic, clumpy_brightness
from lenshunt.scenes.selection import Band, Survey, arc_snr, magnification

#: As his code has them: exposures, sky, gain; seeing of DES 0.9 arcsec.
DES = Survey(0.90, 25.04, 20.1, (Band(0.48, 0.90, 25.84, 21.7), Band(0.62, 0.90, 25.34, 20.7)))
EUCLID = Survey(0.18, 27.5, 22.2)


@pytest.fixture(scope="module")
def lsst():
    return draw_population(np.random.default_rng(1), 3000, SURVEYS["lsst"])


def test_an_lsst_population_has_the_medians_of_the_published_table(lsst):
    """First 64 rows of his LSST table; the median theta_E is 1.155 +- 0.044 (bootstrap)."""
    median = lsst.median()
    assert median["theta_e"] == pytest.approx(1.155, abs=2 * 0.044)
    assert median["z_lens"] == pytest.approx(0.52, abs=0.13)
    assert median["z_source"] == pytest.approx(2.03, abs=0.25)
    assert median["sigma_km_s"] == pytest.approx(260.0, abs=20.0)
    assert median["source_magnitude"] == pytest.approx(25.7, abs=0.3)


@pytest.mark.parametrize(
    ("published", "survey"),
    [(2400 / 5000, DES), (120e3 / 20e3, SURVEYS["lsst"]), (170e3 / 15e3, EUCLID)],
)
def test_rates_are_the_published_ones_within_a_factor_of_three(published, survey):
    """His sources come from another catalogue; he gives tens of per cent for that alone."""
    rate = lenses_per_deg2(np.random.default_rng(3), survey, blocks=1)
    assert published / 3 < rate < 1.5 * published


@pytest.mark.slow
def test_blue_arcs_are_seen_in_g():
    """Of the first 64 rows of his DES table, 17 have S/N above 20 in i."""
    des = draw_population(np.random.default_rng(5), 2000, DES)
    assert (des["arc_snr"] > 20).all()
    assert (arc_snr(des, replace(DES, others=())) > 20).mean() < 0.75


def test_no_source_is_as_large_as_its_ring(lsst):
    """2 theta_E^2 > 4 r^2 + seeing^2, as in LensPop's code; 1.81 is the least of 128 rows."""
    ratio = lsst["theta_e"] / lsst["source_radius"]
    assert ratio.min() > np.sqrt(2.0)
    assert (ratio < 1.81).mean() < 0.03


@pytest.mark.parametrize("q", [0.5, 0.8])
def test_the_estimated_magnification_is_that_of_ray_shooting(q):
    """The astroid keeps a small source in the middle from boundless magnification.

    Not near its cusps: there the estimate is too low by up to a half.
    """
    rows = pd.DataFrame({
        "theta_e": 1.2, "q": q, "source_radius": [0.05, 0.1, 0.2, 0.1, 0.2],
        "source_x": [0.02, 0.0, 0.05, 0.4, 0.2], "source_y": [0.0, 0.02, 0.0, 0.3, 0.7],
    })  # fmt: skip
    true = []
    for row in rows.itertuples():
        disc = Clumpy(Sersic(row.source_x, row.source_y, row.source_radius, 1.0, 0.99, 0.0), ())
        fine = lensed_light(
            Mass(1.2, q, 0.3, 0.0, 0.0),
            lambda x, y, disc=disc: clumpy_brightness(x, y, disc),
            (60, 60), 0.168, 10,
        )  # fmt: skip
        true.append(float(fine.sum()))
    assert magnification(rows) == pytest.approx(np.array(true), rel=0.35)
