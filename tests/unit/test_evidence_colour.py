"""Memberships and colours: what a group that is known gives, and what a random one."""

import numpy as np
import pytest
import torch
from evidence_samples import WithSegments, toy_test, untrained
from segment_samples import random_segments
from segment_toys import draw_toys

from lenshunt.evidence.areas import area
from lenshunt.evidence.colour import PANELS, dealt_anew, loss_per_segment, measure
from lenshunt.lensing import reddening_curve
from lenshunt.models.segment_tensors import unpack_segments


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


def test_the_loss_does_not_grow_with_the_number_of_equal_segments():
    flux = torch.tensor([100.0, 110, 120, 130, 140]).expand(2, 6, 5)
    variance = torch.full((2, 6, 5), 4.0)
    variance[0, 2:] = torch.inf
    member = torch.full((2, 6), 0.5)
    member[0, 2:] = torch.nan
    red = torch.linspace(1.2, 0.5, 5).expand(2, 5)
    few, many = loss_per_segment(flux, variance, member, red)
    assert float(few) == pytest.approx(float(many), rel=1e-4)
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


def test_an_untrained_network_is_measured_and_others_are_refused():
    test = WithSegments(toy_test(60), random_segments(60))
    found = measure(untrained("color_aware_lens"), None, test, 1)
    assert set(found.curves["panel"]) <= set(PANELS)
    assert found.numbers["n_arcs"] + found.numbers["n_others"] == sum(
        int((test.segments[row, :, -3] > 0).sum()) for row in range(1, 60, 2)
    )
    # the segments know nothing of the label, nor does the network
    for name in ("distance_auroc", "membership_auroc_non_lenses"):
        low, high = (found.numbers[f"{name}_{side}"] for side in ("low", "high"))
        assert low < 0.5 < high
    with pytest.raises(ValueError, match="has no memberships"):
        measure(untrained("resnet"), None, test, 1)
