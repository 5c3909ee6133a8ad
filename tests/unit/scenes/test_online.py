"""Samples made of a stream of hosts: as many as wanted, and only of galaxies that can be hosts."""

import numpy as np
import pandas as pd
import pytest
from injection_samples import POPULATION, blank_host, host
from online_samples import galaxy

from lenshunt.core.moffat import moffat_psf
from lenshunt.scenes.online import OnlineLenses, matched_host, population_for, suitable_hosts
from lenshunt.schema.metadata import table_from_records

PSF = moffat_psf(0.8, 3.0, 0.168, 31)
LENSES = OnlineLenses(POPULATION, PSF, snr_min=10.0)


def stream(count):
    for number in range(count):
        one = host(number)
        yield matched_host(one.image, one.variance, one.noise_corr, galaxy(number), PSF)


def test_lenses_come_first_then_hosts_without_arcs_each_of_its_own_galaxy():
    hosts = list(stream(20))
    found = LENSES.samples(np.random.default_rng(1), hosts, lenses=3, negatives=2)
    assert [one.cutout.metadata.label for one in found] == [1, 1, 1, 0, 0]
    assert len({one.place for one in found}) == 5
    for one in found:
        before, after = hosts[one.place], one.cutout
        assert after.metadata.system_id == before.metadata.system_id
        changed = not np.array_equal(before.image, after.image)
        assert changed == (after.metadata.label == 1)


def test_a_lens_is_brighter_than_its_host_by_its_arcs():
    hosts = list(stream(20))
    for one in LENSES.samples(np.random.default_rng(2), hosts, lenses=4, negatives=0):
        before, after = hosts[one.place].metadata, one.cutout.metadata
        assert np.all(np.array(after.magnitude[:3]) < np.array(before.magnitude[:3]))
        assert np.isnan(after.magnitude[3:]).all()
        assert after.snr > before.snr


def test_stamps_without_a_galaxy_in_the_middle_are_passed_over():
    blank = blank_host(size=48, bright_corner=True)
    hosts = [blank, *stream(20), blank]
    found = LENSES.samples(np.random.default_rng(3), [blank, *hosts], lenses=2, negatives=2)
    assert min(one.place for one in found) >= 2
    with pytest.raises(ValueError, match="only 0 of 3 hosts made a sample"):
        LENSES.samples(np.random.default_rng(3), [blank] * 3, lenses=1, negatives=1)


@pytest.mark.parametrize("unlike", ["blue", "far"])
def test_galaxies_of_which_no_lens_is_made_are_no_negatives_either(unlike):
    # colour or redshift alone would tell the negatives from the lenses
    others = []
    for number in range(30, 33):
        one = host(number)
        image = one.image.copy()
        if unlike == "blue":
            image[0] *= 12.0
        record = galaxy(number, z_phot=4.0 if unlike == "far" else 0.4)
        others.append(matched_host(image, one.variance, one.noise_corr, record, PSF))
    found = LENSES.samples(np.random.default_rng(4), [*others, *stream(3)], lenses=0, negatives=2)
    assert [one.place for one in found] == [3, 4]


def test_lenses_unmatched_cutouts_and_unclear_objects_are_no_hosts():
    table = table_from_records(
        [
            galaxy(0),
            galaxy(1, label=0, label_source="obs:relics"),
            galaxy(2, label=1, label_source="obs:lens"),
            galaxy(3, label=-1, label_source="obs:lens"),
            galaxy(4, psf_matched=False),
        ]
    )
    assert suitable_hosts(table).tolist() == [True, True, False, False, False]


def test_the_population_is_that_of_the_depth_of_the_hosts():
    drawn = population_for(stream(6), 100, 20.0, seed=1)
    pd.testing.assert_frame_equal(drawn, population_for(stream(6), 100, 20.0, seed=1))
    deeper = [
        matched_host(one.image, one.variance / 100, one.noise_corr, one.metadata, PSF)
        for one in stream(6)
    ]
    faint = population_for(deeper, 100, 20.0, seed=1)
    assert faint["source_magnitude"].median() > drawn["source_magnitude"].median() + 0.5
