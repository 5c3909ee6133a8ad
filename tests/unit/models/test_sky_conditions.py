"""The place on the sky as a condition: latitudes as astropy has them, hidden where they tell."""

import astropy.units as u
import numpy as np
import pandas as pd
import torch
from astropy.coordinates import SkyCoord
from small_models import conditioned
from training_toy import alternating, toy_table

from lenshunt.models import CONDITIONS, condition_table
from lenshunt.models.conditions import SKY_CONDITIONS, ConditionEncoder, sky_conditions
from lenshunt.training.statistics import telltale_conditions


def test_latitudes_are_those_of_astropy():
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 360, 50), np.degrees(np.arcsin(rng.uniform(-1, 1, 50)))
    sky = SkyCoord(ra * u.deg, dec * u.deg)
    galactic, ecliptic = sky_conditions(ra, dec)
    np.testing.assert_allclose(galactic, np.abs(np.sin(sky.galactic.b.rad)), atol=1e-6)
    true = sky.barycentrictrueecliptic.lat.rad
    np.testing.assert_allclose(ecliptic, np.abs(np.sin(true)), atol=1e-4)


def test_an_object_without_a_position_has_no_sky_conditions():
    known = toy_table(alternating(2), ra=150.1, dec=2.2)
    values = dict(zip(CONDITIONS, condition_table(known).T, strict=True))
    assert np.isfinite([values[name] for name in SKY_CONDITIONS]).all()
    values = dict(zip(CONDITIONS, condition_table(toy_table(alternating(2))).T, strict=True))
    assert np.isnan([values[name] for name in SKY_CONDITIONS]).all()


def test_a_footprint_that_only_lenses_have_is_hidden():
    rng, count = np.random.default_rng(1), 60
    parts = []
    for label, ra, dec in ((1, 34.0, -5.0), (0, 150.0, 2.0)):
        for number in range(count):
            place = {"ra": ra + rng.normal(), "dec": dec + rng.normal()}
            parts.append(toy_table(np.array([label]), f"{label}-{number}", **place))
    table = pd.concat(parts, ignore_index=True)
    groups = np.full(len(table), "one")
    labels = table["label"].to_numpy()
    found = telltale_conditions(condition_table(table), labels, groups)
    assert set(SKY_CONDITIONS) <= set(found)
    shuffled = telltale_conditions(condition_table(table), rng.permutation(labels), groups)
    assert not set(SKY_CONDITIONS) & set(shuffled)


def test_an_encoder_finds_its_conditions_by_name_in_an_older_normalisation():
    older = CONDITIONS[:3]
    values = {"condition_mean": (0.5,) * 3, "condition_std": (2.0,) * 3}
    encoder = ConditionEncoder(conditioned(conditions=older, **values), 8, 0.0)
    metadata = torch.randn(4, len(CONDITIONS))
    assert encoder.weight.shape == (3, 8)
    changed = metadata.clone()
    changed[:, 3:] += 1.0
    assert torch.equal(encoder(metadata), encoder(changed))
    changed[:, 2] += 1.0
    assert not torch.equal(encoder(metadata), encoder(changed))
