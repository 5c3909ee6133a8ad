"""Metadata that say something else: without effect at the start, with effect once learned."""

import numpy as np
import pytest
from diagnostics_samples import batch_of, toy_test, untrained, values, with_film

from lenshunt.evaluation.diagnostics.areas import area_gain
from lenshunt.evaluation.diagnostics.conditioning import (
    FAMILIES,
    SEEINGS_ARCSEC,
    change_untrained,
    measure,
    without,
)
from lenshunt.models import CONDITIONS


def test_an_untrained_network_ignores_its_metadata_exactly():
    subject = untrained("film_resnet")
    found = measure(subject, untrained("resnet"), toy_test(16), 0)
    for panel in ("change", "gain", "missing", "misled", "loss"):
        shown = values(found, panel)
        assert (shown[np.isfinite(shown)] == 0.0).all()
    assert found.numbers["largest_change_by_seeing"] == 0.0
    assert found.numbers["largest_change_untrained"] == 0.0
    assert found.numbers["auroc_gain_of_metadata"] == 0.0


@pytest.mark.slow
def test_what_has_been_learned_changes_and_its_fresh_twin_does_not():
    subject, test = with_film(), toy_test(16)
    found = measure(subject, None, test, 0)
    assert np.abs(values(found, "change")).max() > 1e-3
    assert found.numbers["largest_change_by_seeing"] > 1e-3
    assert change_untrained(subject, test) == 0.0


def test_a_hidden_seeing_has_no_effect_whatever_was_learned():
    found = measure(with_film(conditions_hidden=("log_seeing",)), None, toy_test(16), 0)
    assert (values(found, "change") == 0.0).all()
    assert found.numbers["seeing_visible"] == 0.0
    missing = found.curves[found.curves["panel"] == "missing"]
    by_family = dict(zip(FAMILIES, missing.groupby("x")["value"].max(), strict=True))
    assert by_family["seeing"] == 0.0
    assert by_family["all"] > 1e-3


def test_families_leave_out_what_they_name():
    batch = batch_of()
    assert without(batch, "all")["metadata"].isnan().all()
    gone = {
        family: {n for n, off in zip(CONDITIONS, without(batch, family)["metadata"][0].isnan(),
                                     strict=True) if off}
        for family in FAMILIES
    }  # fmt: skip
    assert gone["seeing"] == {"log_seeing"}
    assert gone["mag"] == {name for name in CONDITIONS if "magnitude" in name}
    parts = [names for family, names in gone.items() if family != "all"]
    assert sum(map(len, parts)) == len(set().union(*parts))  # no condition is in two families


def test_every_seeing_and_class_has_its_point():
    found = measure(with_film(), untrained("resnet"), toy_test(16), 0)
    change = found.curves[found.curves["panel"] == "change"]
    assert set(change["x"]) == set(SEEINGS_ARCSEC)
    assert set(change["series"]) == {"lenses", "non-lenses"}
    assert (change["n"] == 8).all()
    assert len(found.curves[found.curves["panel"] == "auroc"]) == 4


def test_a_paired_gain_is_sharper_than_the_areas_themselves():
    rng = np.random.default_rng(0)
    label = np.repeat([1.0, 0.0], 100)
    hard = rng.normal(size=200)
    good, poor = 1.0 * label + hard, 0.8 * label + hard
    gain, (low, high), n = area_gain(label, good, poor, 0)
    assert n == 200
    assert 0 < low < gain < high
    assert high - low < 0.03
