"""What it costs a segment to stay out of its group: the odds of a stranger against a member."""

import numpy as np
import pytest
import torch
from colour_segments import POGSON, segments

from lenshunt.lensing.colour_prior import FIELD_SCATTER_MAG, FLOOR_MAG, colour_consistency_loss


def huber(q: float) -> float:
    """rho of sqrt(q) with delta 2."""
    return 2 * np.sqrt(q) - 2 if q > 4 else q / 2


@pytest.mark.parametrize("bands", [[0, 1, 2, 3, 4], [0, 2, 4], [1, 2]])
def test_staying_out_costs_what_the_colours_cost_as_those_of_a_stranger(bands):
    flux, variance, red = segments(6, 2, snr=8, dust=0.3)
    variance[:, :, [band for band in range(5) if band not in bands]] = torch.inf
    cost = colour_consistency_loss(flux, variance, torch.tensor([[0.0, 1.0]]).expand(6, 2), red)
    take = np.eye(len(bands))[:-1] - np.eye(len(bands))[1:]
    scatter = FIELD_SCATTER_MAG**2 / 2 * take @ take.T
    for row in range(6):
        measured = []
        for s in (0, 1):
            known, spread = flux[row, s, bands].numpy(), variance[row, s, bands].numpy()
            error = POGSON**2 * spread / known**2 + FLOOR_MAG**2 / 2
            r = take @ red[row, bands].numpy()
            covariance = take @ np.diag(error) @ take.T + 0.1**2 * np.outer(r, r)
            measured.append((take @ (-POGSON * np.log(known)), covariance))
        d, c = measured[0][0] - measured[1][0], measured[0][1] + measured[1][1]
        as_stranger = d @ np.linalg.inv(c + scatter) @ d
        expected = huber(float(as_stranger))
        expected += 0.5 * np.log(np.linalg.det(c + scatter) / np.linalg.det(c))
        # the other one is a member of a group in which nobody else is: it has nothing to pay
        assert float(cost[row]) == pytest.approx(expected, rel=5e-3, abs=5e-3)


def mean_gradient(snr: float, same: bool) -> float:
    """By the membership of the first of two segments, of one source or of two."""
    flux, variance, red = segments(2000, 2, snr=snr)
    if not same:
        flux[:, 0], variance[:, 0] = flux[:, 0].roll(1, 0), variance[:, 0].roll(1, 0)
    member = torch.ones(2000, 2, dtype=torch.float64, requires_grad=True)
    loss = colour_consistency_loss(flux, variance, member, red).sum()
    return float(torch.autograd.grad(loss, member)[0][:, 0].mean())


def test_one_source_joins_strangers_leave_and_noise_decides_nothing():
    joins = [mean_gradient(snr, same=True) for snr in (40, 10, 2)]
    leaves = [mean_gradient(snr, same=False) for snr in (40, 10, 2)]
    assert joins == sorted(joins)
    assert joins[1] < -1
    assert leaves == sorted(leaves, reverse=True)
    assert leaves[1] > 0.5
    assert max(abs(joins[2]), abs(leaves[2])) < 0.5
