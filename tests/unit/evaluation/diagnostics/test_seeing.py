"""Statements about the seeing: one fact in two conditions, and what a false one costs."""

import numpy as np
import pandas as pd
import pytest
import torch
from diagnostics_samples import batch_of, toy_test, untrained, values, with_film
from training_toy import MemoryLoader

from lenshunt.core.ranking_metrics import auroc
from lenshunt.evaluation.diagnostics.common import Curves
from lenshunt.evaluation.diagnostics.conditioning import measure
from lenshunt.evaluation.diagnostics.seeing import (
    BROADER,
    FACTORS,
    PSF,
    SEEING,
    SHARPER,
    THIRDS,
    add_misled,
    add_thirds,
    cross_entropy,
    exchange_numbers,
    exchanged,
    stating,
)
from lenshunt.models import CONDITIONS


def survey(n: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(label, log10 seeing, width): widths of lenses are intrinsically narrower, all are blurred.

    The seeing is not in the width alone: who knows it sees the intrinsic width.
    """
    rng = np.random.default_rng(5)
    label = rng.permutation(np.repeat([1, 0], n // 2))
    log_seeing = np.log10(np.exp(rng.uniform(np.log(0.7), np.log(2.0), n)))
    intrinsic = np.where(label == 1, 0.3, 0.7) * np.exp(rng.normal(0, 0.3, n))
    return label, log_seeing, np.hypot(intrinsic, 10**log_seeing)


def sensible(width: np.ndarray, told: np.ndarray) -> np.ndarray:
    """Logit of what a lens looks like once the stated seeing is taken off the width."""
    intrinsic = np.sqrt(np.maximum(width**2 - 10 ** (2 * told), 0.01))
    middle, sigma = np.log(0.3 * 0.7) / 2, 0.3
    return -np.log(0.7 / 0.3) / sigma**2 * (np.log(intrinsic) - middle)


def numbers_and_points(network) -> tuple[dict[str, float], pd.DataFrame]:
    label, log_seeing, width = survey()
    own = network(width, log_seeing)
    misled = np.stack([network(width, log_seeing + np.log10(f)) for f in FACTORS])
    curves = Curves()
    numbers = add_misled(curves, "a", label, own, misled, log_seeing, 0)
    return numbers, curves.table()


@pytest.mark.parametrize("unmatched", [True, False])
def test_the_psf_follows_the_seeing_where_it_was_left_as_it_is(unmatched):
    batch = batch_of()
    told = stating(batch, float(np.log10(0.5)), torch.full((6,), unmatched))
    before, after = batch["metadata"], told["metadata"]
    assert after[:, SEEING].tolist() == pytest.approx([np.log10(0.5)] * 6)
    ratio = (after - before)[:, SEEING] if unmatched else torch.zeros(6)
    torch.testing.assert_close((after - before)[:, PSF], ratio)
    others = [i for i in range(len(CONDITIONS)) if i not in (SEEING, PSF)]
    assert torch.equal(after[:, others], before[:, others])
    assert torch.equal(told["image"], batch["image"])
    assert not torch.equal(before, after)


def test_a_seeing_that_is_not_known_leaves_the_psf_alone():
    batch = batch_of()
    batch["metadata"][2, SEEING] = torch.nan
    told = stating(batch, 0.0, torch.ones(6, dtype=torch.bool))
    assert told["metadata"][2, PSF] == batch["metadata"][2, PSF]


def test_samples_exchange_their_seeing_within_their_class():
    label, log_seeing, _ = survey(200)
    others = exchanged(log_seeing, label, 0)
    assert (others != log_seeing).all()
    for value in (0, 1):
        assert sorted(others[label == value]) == sorted(log_seeing[label == value])
    assert np.array_equal(others, exchanged(log_seeing, label, 0))


def test_the_cross_entropy_is_that_of_the_own_class():
    found = cross_entropy(np.array([1, 0, 1, 0]), np.array([2.0, 2.0, 800.0, 800.0]))
    chance = 1 / (1 + np.exp(-2.0))
    assert found.tolist() == pytest.approx([-np.log(chance), -np.log(1 - chance), 0.0, 800.0])


def test_who_uses_the_seeing_loses_by_either_lie():
    numbers, points = numbers_and_points(sensible)
    assert numbers["loss_told_sharper_low"] > 0
    assert numbers["loss_told_broader_low"] > 0
    loss = points[points["panel"] == "loss"].set_index("x")["value"]
    assert loss.idxmin() == 1.0
    assert loss[1.0] == 0.0
    # told a sharper seeing, what is blurred looks extended, and less like a lens
    logit = points[(points["panel"] == "misled") & (points["series"] == "lenses")]["value"]
    assert logit.iloc[SHARPER] < 0 < logit.iloc[BROADER]


def test_who_takes_the_seeing_for_a_clue_is_not_hurt_on_both_sides():
    label, *_ = survey()
    numbers, _ = numbers_and_points(lambda width, told: np.where(label, 1.0, -1.0) * (1 + told))
    assert numbers["loss_told_sharper_low"] > 0
    assert numbers["loss_told_broader_high"] < 0


def test_a_statement_outside_the_survey_does_not_count():
    points = numbers_and_points(sensible)[1].query("panel == 'loss'").set_index("x")
    assert points.loc[1.0, "n"] == 4000
    # 2 of 2.86 parts of the logarithmic range from 0.7 to 2.0 arcsec are left to a factor of 1.41
    assert points.loc[1.41, "n"] == pytest.approx(4000 * (1 - np.log(1.41) / np.log(2 / 0.7)), 0.05)
    assert points.loc[2.0, "n"] < points.loc[1.41, "n"]


def test_the_own_seeing_beats_that_of_another_for_who_uses_it():
    label, log_seeing, width = survey()
    own = sensible(width, log_seeing)
    others = sensible(width, exchanged(log_seeing, label, 0))
    numbers = exchange_numbers(label, own, others, 0)
    assert numbers["auroc_gain_of_own_seeing"] == pytest.approx(
        auroc(label, own) - auroc(label, others)
    )
    assert numbers["auroc_gain_of_own_seeing_low"] > 0.1
    assert numbers["loss_of_other_seeing_low"] > 0
    assert exchange_numbers(label, own, own, 0)["mean_change_by_other_seeing"] == 0.0


def test_thirds_hold_a_third_each_and_show_where_the_gain_is():
    label, log_seeing, width = survey()
    own, plain = sensible(width, log_seeing), -width
    curves = Curves()
    numbers = add_thirds(curves, "a", label, own, plain, log_seeing, 0)
    points = curves.table()
    assert points["x"].tolist() == [0, 1, 2]
    assert points["n"].tolist() == pytest.approx([4000 / 3] * 3, abs=1)
    assert [numbers[f"auroc_gain_{place}"] for place in THIRDS] == points["value"].tolist()
    assert (points["low"] > 0).all()


def test_a_seeing_that_does_not_vary_is_undefined_and_no_error():
    for log_seeing in (np.zeros(40), np.full(40, np.nan)):
        label = np.tile([1, 0], 20)
        curves = Curves()
        own, misled = np.arange(40.0), np.zeros((len(FACTORS), 40))
        numbers = add_misled(curves, "a", label, own, misled, log_seeing, 0)
        assert np.isnan(numbers["loss_told_sharper"])
        assert add_thirds(curves, "a", label, own, own, log_seeing, 0) == {}
        assert np.isnan(curves.table()["value"]).all()


@pytest.mark.slow
def test_a_network_that_listens_shows_it_in_every_panel():
    test = toy_test(40)
    table = test.table.assign(seeing=np.geomspace(0.7, 2.0, 40), psf_fwhm=np.geomspace(0.7, 2, 40))
    test = MemoryLoader(table, (test.image, test.variance), test.batch_size)
    found = measure(with_film(), untrained("resnet"), test, 0)
    assert np.abs(values(found, "misled")).max() > 1e-3
    assert found.numbers["mean_change_by_other_seeing"] > 1e-4
    assert len(values(found, "thirds")) == 3
    misled = found.curves[found.curves["panel"] == "misled"]
    assert (misled[misled["x"] == 1.0]["value"] == 0.0).all()
