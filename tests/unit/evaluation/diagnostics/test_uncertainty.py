"""Inputs that no training set has, and what is told of an ensemble's uncertainty."""

import numpy as np
import pytest
import torch
from diagnostics_samples import toy_test, untrained

from lenshunt.evaluation.diagnostics import common
from lenshunt.evaluation.diagnostics.common import Curves
from lenshunt.evaluation.diagnostics.off_distribution import CHANGES, SATURATION_SIGMA, SHALLOWER
from lenshunt.evaluation.diagnostics.uncertainty import (
    QUANTILES,
    TEST,
    Draws,
    _errors,
    drawn,
    measure,
)
from lenshunt.models.inputs import usable_pixels


@pytest.fixture
def batch():
    return next(common.test_batches(toy_test(200, 200), torch.device("cpu")))


def changed(name, batch, seed=0):
    subject = untrained("bayesian_ensemble")
    return CHANGES[name](batch, subject.normalisation, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_change_keeps_what_is_unusable_and_touches_nothing_else(batch, name):
    before = {key: values.clone() for key, values in batch.items()}
    found = changed(name, batch)
    for key, values in before.items():
        torch.testing.assert_close(batch[key], values, equal_nan=True)
    usable = usable_pixels(before["variance"], before["band_flags"])
    again = usable_pixels(found["variance"], found["band_flags"])
    assert again.sum() == usable.sum()
    assert torch.isfinite(found["image"]).all()
    torch.testing.assert_close(found["metadata"], before["metadata"], equal_nan=True)
    assert not torch.equal(found["image"], before["image"])


def test_pure_noise_has_the_variance_that_it_claims(batch):
    found = changed("pure noise", batch)
    usable = usable_pixels(found["variance"], found["band_flags"])
    scaled = (found["image"] / found["variance"].sqrt())[usable]
    assert abs(float(scaled.mean())) < 0.01
    assert float(scaled.square().mean()) == pytest.approx(1, abs=0.01)


def test_a_shallower_image_is_the_same_with_more_noise(batch):
    found = changed("shallower", batch)
    usable = usable_pixels(batch["variance"], batch["band_flags"])
    added = (found["image"] - batch["image"])[usable] / batch["variance"][usable].sqrt()
    assert float(added.square().mean()) == pytest.approx(SHALLOWER**2 - 1, rel=0.01)
    torch.testing.assert_close(found["noise_corr"], 1 + (batch["noise_corr"] - 1) / SHALLOWER**2)
    ratio = found["variance"][usable] / batch["variance"][usable]
    torch.testing.assert_close(ratio, torch.full_like(ratio, SHALLOWER**2))


def test_bands_swapped_twice_are_the_image_and_absent_ones_stay_absent(batch):
    once = changed("bands swapped", batch)
    torch.testing.assert_close(once["image"][:, 0], batch["image"][:, 3])
    assert torch.isinf(once["variance"][:, 4]).all()
    twice = changed("bands swapped", once)
    torch.testing.assert_close(twice["image"], batch["image"])
    torch.testing.assert_close(twice["variance"], batch["variance"])


def test_a_saturated_star_is_flat_at_its_peak_and_fades_away(batch):
    found = changed("saturated star", batch)
    added = (found["image"] - batch["image"])[:, 0]
    peak = added.amax(dim=(1, 2))
    assert (peak > 0.8 * SATURATION_SIGMA).all()
    assert (peak < SATURATION_SIGMA + 6 * SATURATION_SIGMA**0.5).all()
    flat = (found["variance"] - batch["variance"])[:, 0] > 0.999 * SATURATION_SIGMA
    assert (flat.sum(dim=(1, 2)) > 4).all()
    assert added.flatten(1).quantile(0.1, dim=1).median() < 0.2 * SATURATION_SIGMA
    assert (found["variance"] >= batch["variance"]).all()


def test_what_networks_agree_on_is_not_epistemic():
    rng = np.random.default_rng(0)
    label, even = np.ones(50), np.full(10, 0.1)
    agreed = Draws(label, np.repeat(rng.normal(size=(50, 1)), 10, axis=1), even)
    at_odds = Draws(label, np.tile([8.0, -8.0], (50, 5)), even)
    assert agreed.parts["epistemic"].max() < 1e-12
    assert at_odds.parts["epistemic"].min() > 0.68
    assert at_odds.parts["aleatoric"].max() < 0.01


def test_errors_rise_with_an_epistemic_part_that_knows_of_them():
    rng = np.random.default_rng(0)
    n = 500
    truth = rng.integers(0, 2, n)
    doubt = rng.uniform(0, 3, n)
    logits = (2 * truth - 1)[:, None] * 1.5 + doubt[:, None] * rng.normal(size=(n, 20)).cumsum(
        1
    ) / 4
    curves = Curves()
    numbers = _errors(
        curves, Draws(truth, logits, np.full(20, 0.05)), "epistemic", "epistemic part"
    )
    assert len(curves.table()) == QUANTILES
    assert (curves.table()["n"] == n // QUANTILES).all()
    assert numbers["error_rate_least_sure"] > numbers["error_rate"] > numbers["error_rate_surest"]


def test_an_untrained_ensemble_is_measured_the_same_twice_and_others_are_refused():
    test = toy_test()
    subject, plain = untrained("bayesian_ensemble"), untrained("resnet")
    found, again = (measure(subject, plain, test, 3) for _ in range(2))
    assert found.numbers == again.numbers
    assert found.curves.equals(again.curves)
    assert set(found.curves["series"]) >= {TEST, *CHANGES, "epistemic part", "entropy, resnet"}
    # what only the ensemble has, what it shares with the baseline, and the baseline's
    errors = found.curves[found.curves["panel"] == "errors"]
    assert set(errors["series"]) == {"epistemic part", "entropy", "entropy, resnet"}
    assert "entropy" in set(found.curves[found.curves["panel"] == "auroc"]["series"])
    label, logits = common.logits_of(plain, test)
    wrong = ((logits > 0) != (label == 1)).mean()
    assert found.numbers["baseline_entropy_error_rate"] == pytest.approx(wrong)
    shares = found.curves[found.curves["panel"] == "epistemic"].groupby("series")["value"].sum()
    assert np.allclose(shares, 1)
    with pytest.raises(ValueError, match="draws no networks"):
        measure(plain, None, test, 3)


def test_the_samples_of_every_input_are_the_same_ones():
    found = drawn(untrained("bayesian_ensemble"), toy_test(), 0)
    assert list(found) == [TEST, *CHANGES]
    assert all(np.array_equal(one.label, found[TEST].label) for one in found.values())
    assert found[TEST].logits.shape == (24, 4)
