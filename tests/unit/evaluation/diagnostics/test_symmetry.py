"""Turned images: an equivariant network's logit moves by rounding, a plain one's by more."""

import numpy as np
import pytest
import torch
from diagnostics_samples import toy_test, untrained

from lenshunt.evaluation.diagnostics.symmetry import (
    ANGLES_DEG,
    VIEWS,
    logits_of_views,
    measure,
    moved,
)
from lenshunt.training.predict import dihedral_views


@pytest.fixture(scope="module")
def diagnostics():
    return measure(untrained("equivariant_resnet"), untrained("resnet"), toy_test(20), 0)


def panel(diagnostics, name: str, series: str) -> np.ndarray:
    curves = diagnostics.curves
    return curves[(curves["panel"] == name) & (curves["series"] == series)]["value"].to_numpy()


def test_quarter_turns_and_flips_change_an_equivariant_logit_by_rounding(diagnostics):
    exact = panel(diagnostics, "exact", "equivariant_resnet")
    assert len(exact) == len(VIEWS) == 7
    assert exact.max() < 1e-3  # of the logit's spread, float32
    assert diagnostics.numbers["subject_exact_views_max_change"] < 1e-5
    assert panel(diagnostics, "exact", "resnet").min() > 100 * exact.max()


def test_between_quarter_turns_nothing_is_exact(diagnostics):
    angles = panel(diagnostics, "angle", "equivariant_resnet")
    assert len(angles) == len(ANGLES_DEG)
    assert angles.min() > 100 * panel(diagnostics, "exact", "equivariant_resnet").max()


def test_larger_shifts_change_more(diagnostics):
    for name in ("equivariant_resnet", "resnet"):
        shifts = panel(diagnostics, "shift", name)
        assert shifts[0] < shifts[-1]
        assert (shifts > 0).all()


def test_views_are_named_in_the_order_in_which_they_are_made():
    batch = toy_test(2).batch(np.arange(2))
    views = dihedral_views(batch)[1:]
    for name, view in zip(VIEWS, views, strict=True):
        turns = int(name.split("°")[0]) // 90 if "°" in name else 0
        expected = torch.rot90(batch["image"], turns, (2, 3))
        if "flip" in name:
            expected = expected.flip(3)
        assert torch.equal(view["image"], expected)


def test_a_quarter_turn_by_interpolation_is_a_quarter_turn():
    batch = toy_test(3).batch(np.arange(3))
    found = moved(batch, 90.0, 0.0, 2.7)
    usable = torch.isfinite(found["variance"])
    turns = [torch.rot90(batch["image"], k, (2, 3)) for k in (1, 3)]
    off = [((found["image"] - turned).abs() * usable).max() for turned in turns]
    assert min(off) < 1e-3 < max(off)


def test_a_shift_moves_the_galaxy_by_as_many_pixels():
    batch = toy_test(4).batch(np.arange(4))
    found = moved(batch, 0.0, 2.0, 2.7)["image"]
    torch.testing.assert_close(
        found[:, 0, 2:-4, 2:-4], batch["image"][:, 0, 4:-2, 4:-2], atol=1e-3, rtol=1e-4
    )


def test_a_constant_network_is_not_called_symmetric():
    """Without any spread of the logit there is no unit to tell changes in."""
    subject = untrained("resnet")
    torch.nn.init.zeros_(subject.network.heads.logit.weight)
    found = measure(subject, None, toy_test(6), 0)
    assert found.curves["value"].isna().all()


def test_logits_come_in_the_order_of_the_samples():
    test, subject = toy_test(11, batch_size=4), untrained("resnet")
    whole = subject.network(test.batch(np.arange(11))).logit.detach().numpy()
    np.testing.assert_allclose(logits_of_views(subject, test)["itself"], whole, atol=1e-5)
