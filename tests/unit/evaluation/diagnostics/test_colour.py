"""Memberships and colours: what a group that is known gives, and what a random one."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from diagnostics_samples import WithSegments, toy_test, untrained
from segment_samples import random_segments
from segment_toys import draw_toys

from lenshunt.evaluation.diagnostics.areas import area
from lenshunt.evaluation.diagnostics.colour import (
    PANELS,
    dealt_anew,
    hard_distance,
    loss_per_segment,
    measure,
    offsets_from_images,
)
from lenshunt.evaluation.diagnostics.common import Curves
from lenshunt.evaluation.diagnostics.memberships import (
    EQUAL_ARCSEC,
    area_at_equal,
    einstein_radii,
    measure_memberships,
)
from lenshunt.lensing import reddening_curve
from lenshunt.models.segment_graph import unpack_segments


def toys(n=300):
    """Lens or not [n], flux, variance, reddening, and bool lensed [n, segment]."""
    batch, lensed = draw_toys(n, 0)
    segments = unpack_segments(batch["segments"])
    wavelengths = np.array([0.481, 0.623, 0.774, 0.891, 0.978])
    red = torch.tensor(reddening_curve(np.full(n, 0.5), wavelengths))
    return batch["label"].numpy() == 1, (segments.flux, segments.variance), red, lensed


def test_images_of_one_source_agree_in_colour_and_random_groups_do_not():
    lens, fluxes, red, lensed = toys()
    there = torch.isfinite(fluxes[1]).any(dim=2)
    # in a system without a lens no membership is better than another: the first two of each
    known = torch.tensor(np.where(lens[:, None], lensed == 1, [True, True, False, False, False]))
    known = (known & there).float().masked_fill(~there, torch.nan)
    own = loss_per_segment(*fluxes, known, red).numpy()
    dealt = loss_per_segment(*fluxes, dealt_anew(known, 0), red).numpy()
    _, interval, _ = area(own[~lens], own[lens], 0)
    wrong, _, _ = area(dealt[~lens], dealt[lens], 0)
    assert interval[0] > 0.9
    assert abs(wrong - 0.5) < 0.2
    assert np.nanmean(own[lens]) < np.nanmean(dealt[lens])


def test_the_loss_grows_less_than_the_number_of_equal_segments():
    flux = torch.tensor([100.0, 110, 120, 130, 140]).expand(2, 6, 5)
    variance = torch.full((2, 6, 5), 4.0)
    variance[0, 2:] = torch.inf
    member = torch.full((2, 6), 0.5)
    member[0, 2:] = torch.nan
    red = torch.linspace(1.2, 0.5, 5).expand(2, 5)
    few, many = loss_per_segment(flux, variance, member, red)
    # a centre that more of them make is better known
    assert 1.0 < float(many / few) < 1.3
    variance[0, 1] = torch.inf
    assert torch.isnan(loss_per_segment(flux, variance, member, red)[0])


def test_dealing_anew_keeps_every_number_and_the_padding():
    member = torch.rand(40, 5)
    member[::3, 3:] = torch.nan
    dealt = dealt_anew(member, 4)
    assert torch.equal(torch.isnan(dealt), torch.isnan(member))
    kept = torch.isfinite(member)
    assert torch.equal(dealt[kept].sort().values, member[kept].sort().values)
    assert not torch.equal(dealt[kept], member[kept])


def toy_found(n=300):
    """Systems with segments at random distances; members are those at images of the true radius."""
    rng = np.random.default_rng(5)
    theta_e = rng.uniform(0.7, 2.0, n)
    radius = rng.uniform(0.3, 6.0, (n, 5))
    table = pd.DataFrame({"einstein_radius": np.where(np.arange(n) % 2 == 0, theta_e, np.nan)})
    member = np.where(radius < 2.0 * theta_e[:, None], 0.9, 0.1) + rng.normal(0, 0.05, radius.shape)
    label = (np.arange(n) % 2 == 0).astype(float)
    test = SimpleNamespace(table=table)
    found = {"label": label, "row": np.arange(n), "radius": radius, "member": member}
    found["random"] = dealt_anew(torch.tensor(member), 1).numpy()
    return found, test


def test_memberships_that_know_each_lens_beat_the_distance_and_those_that_do_not_fall_back_on_it():
    found, test = toy_found()
    theta_e = einstein_radii(found, test, 3)
    assert np.array_equal(theta_e[::2], test.table["einstein_radius"][::2])
    assert set(theta_e[1::2]) <= set(theta_e[::2])
    known = measure_memberships(Curves(), found, theta_e, 3)
    assert known["membership_auroc"] > 0.99
    assert known["membership_auroc_random_low"] < 0.5 < known["membership_auroc_random_high"]
    assert 0.6 < known["membership_auroc_nearness"] < known["membership_auroc_low"]
    assert known["membership_auroc_equal_distance"] > 0.99
    cut = {**found, "member": 0.9 - 0.1 * np.floor(found["radius"] / EQUAL_ARCSEC)}
    near = measure_memberships(Curves(), cut, theta_e, 3)
    assert near["membership_auroc"] == pytest.approx(known["membership_auroc_nearness"], abs=0.02)
    assert near["membership_auroc_equal_distance"] == pytest.approx(0.5)


def test_at_equal_distance_only_neighbours_are_held_together():
    scores, places = np.array([3.0, 1.0]), np.array([0.05, 1.05])
    below, above = np.array([2.0, 9.0, 2.0]), np.array([0.10, 4.0, 1.10])
    value, _, n = area_at_equal(scores, places, below, above, 0)
    assert n == 4
    assert value == 0.5
    assert np.isnan(area_at_equal(scores, places, below, above + 9, 0)[0])


def test_true_groups_of_one_colour_are_found_by_their_distance_and_all_segments_are_not():
    lens, (flux, variance), red, lensed = toys()
    found = {"flux": flux.numpy(), "variance": variance.numpy(), "reddening": red.numpy()}
    there = torch.isfinite(variance).any(dim=2).numpy()
    known = np.where(lens[:, None], lensed == 1, [True, True, False, False, False]) & there
    true, whole = hard_distance(found, known), hard_distance(found, there)
    best = area(true[~lens], true[lens], 0)[0]
    assert best > 0.9
    assert area(whole[~lens], whole[lens], 0)[0] < best - 0.1
    assert np.isnan(hard_distance(found, there & (np.cumsum(there, axis=1) == 1))).all()
    near, far = offsets_from_images(
        found, np.where(lens[:, None] & there, (lensed == 1).astype(float), np.nan)
    )
    assert area(far, near, 0)[0] > 0.9
    # two bands or more: chi2 of four colours
    assert np.median(near) == pytest.approx(np.sqrt(3.36), rel=0.2)


def test_an_untrained_network_is_measured_and_others_are_refused():
    test = WithSegments(toy_test(60), random_segments(60))
    found = measure(untrained("color_aware_lens"), None, test, 1)
    assert set(found.curves["panel"]) <= set(PANELS)
    total = sum(int((test.segments[row, :, -3] > 0).sum()) for row in range(1, 60, 2))
    assert 0 < found.numbers["n_images"] + found.numbers["n_strangers"] <= total
    # the colours of the segments know nothing of the label; a network of random weights may find
    # members anywhere
    low, high = (found.numbers[f"distance_auroc_{side}"] for side in ("low", "high"))
    assert low < 0.5 < high
    with pytest.raises(ValueError, match="has no memberships"):
        measure(untrained("resnet"), None, test, 1)
