"""Covariances, extinction and robustness inside the colour prior against brute force."""

import numpy as np
import pytest
import torch
from colour_segments import DIFFERENCE, POGSON, segments
from scipy.optimize import minimize_scalar

from lenshunt.lensing.colour_prior import (
    FLOOR_MAG,
    HUBER_DELTA,
    _centres_of_others,
    _colours,
    _huber,
    group_distance,
)


def test_the_extinction_of_the_closed_form_is_that_of_a_numerical_minimum():
    flux, variance, red = segments(8, 2, dust=0.3)
    member, no_dust = torch.tensor([[1.0, 1.0]]).expand(8, 2), 1e-9
    q = group_distance(flux, variance, member, red)
    sigma2 = 2 * 0.1**2  # of the difference of two extinctions
    for group in range(8):

        def cost(extinction: float, group: int = group) -> float:
            dimmed = flux[group : group + 1].clone()
            factor = 10 ** (0.4 * extinction * red[group])
            spread = variance[group : group + 1].clone()
            dimmed[:, 0], spread[:, 0] = dimmed[:, 0] * factor, spread[:, 0] * factor**2
            some = group_distance(dimmed, spread, member[:1], red[group : group + 1], no_dust)
            return float(some[0, 0]) + extinction**2 / sigma2

        assert float(q[group, 0]) == pytest.approx(minimize_scalar(cost).fun, rel=2e-3, abs=1e-3)


def test_the_covariance_of_colours_and_of_their_centre_is_that_of_noise():
    trials, rng = 40_000, np.random.default_rng(5)
    flux, variance, red = (a.numpy() for a in segments(1, 3, snr=30.0, seed=2))
    spread = POGSON**2 * variance / flux**2 + FLOOR_MAG**2 / 2
    noisy = rng.normal(size=(trials, 3, 5)) * np.sqrt(spread)
    # of one colour, unlike in brightness; sigma of the magnitudes held at the true one
    truth = np.repeat(flux[:, :1], 3, axis=1)
    own = _colours(*map(torch.tensor, (truth, variance * (truth / flux) ** 2, red)), 1e-9)
    colours = noisy @ DIFFERENCE.T
    for segment in range(3):
        expected = torch.linalg.inv(own.precision[0, segment]).numpy()
        found = np.cov(colours[:, segment].T)
        # adjacent colours share a band: the covariance is negative
        assert (np.diagonal(found, 1) < 0).all()
        np.testing.assert_allclose(found, expected, atol=0.03 * expected.diagonal().max())
    _, precision = _centres_of_others(own, torch.ones(1, 3, dtype=torch.float64))
    weights = own.precision[0].numpy()
    total = np.linalg.inv(weights[1] + weights[2])
    told = np.einsum("sij,tsj->tsi", weights, colours)
    centre = (told[:, 1] + told[:, 2]) @ total
    found = np.cov(centre.T)
    expected = np.linalg.inv(precision[0, 0].numpy())
    np.testing.assert_allclose(found, expected, atol=0.03 * expected.diagonal().max())
    # leaving the segment out, its offset from the centre has the sum of the two covariances
    both = expected + np.linalg.inv(weights[0])
    offset = np.cov((colours[:, 0] - centre).T)
    np.testing.assert_allclose(offset, both, atol=0.03 * both.diagonal().max())


def test_the_loss_and_its_slope_are_continuous_where_huber_turns_linear():
    edge = HUBER_DELTA**2
    q = torch.tensor([edge * (1 - 1e-9), edge * (1 + 1e-9)], dtype=torch.float64)
    q.requires_grad_()
    rho = _huber(q)
    (slope,) = torch.autograd.grad(rho.sum(), q)
    assert rho.detach().numpy() == pytest.approx([edge / 2] * 2, rel=1e-8)
    assert slope.numpy() == pytest.approx([0.5] * 2, rel=1e-8)
