"""Colours of one source agree up to noise and dust, and the prior says how well."""

import numpy as np
import pytest
import torch
from colour_segments import POGSON, WAVELENGTHS, segments
from scipy import stats

from lenshunt.lensing.colour_prior import (
    FLOOR_MAG,
    colour_consistency_loss,
    colour_curriculum,
    colour_distance,
    colour_weight,
    group_distance,
)
from lenshunt.lensing.reddening import reddening_curve


def reference_q(flux, variance, red, others, segment, bands):
    """The specification's formula, written out for the bands that all of these have."""
    take = np.eye(len(bands))[:-1] - np.eye(len(bands))[1:]
    r = take @ red[bands]

    def measured(s):
        colour = take @ (-POGSON * np.log(flux[s, bands]))
        spread = POGSON**2 * variance[s, bands] / flux[s, bands] ** 2 + FLOOR_MAG**2 / 2
        return colour, take @ np.diag(spread) @ take.T

    weights = [np.linalg.inv(measured(s)[1] + 0.1**2 * np.outer(r, r)) for s in others]
    variance_of_centre = np.linalg.inv(sum(weights))
    centre = variance_of_centre @ sum(
        w @ measured(s)[0] for w, s in zip(weights, others, strict=True)
    )
    colour, covariance = measured(segment)
    inverse = np.linalg.inv(covariance + variance_of_centre)
    d = colour - centre
    return d @ inverse @ d - (r @ inverse @ d) ** 2 / (r @ inverse @ r + 0.1**-2)


@pytest.mark.parametrize("bands", [[0, 1, 2, 3, 4], [0, 2, 4], [1, 2], [0, 4]])
def test_q_is_the_formula_of_the_specification(bands):
    flux, variance, red = segments(5, 3, dust=0.1)
    missing = [band for band in range(5) if band not in bands]
    variance[:, :, missing] = torch.inf
    q = group_distance(flux, variance, torch.ones(5, 3), red)
    for group in range(5):
        arrays = (a[group].numpy() for a in (flux, variance, red))
        expected = reference_q(*arrays, others=[1, 2], segment=0, bands=bands)
        assert float(q[group, 0]) == pytest.approx(expected, rel=2e-3, abs=1e-4)


@pytest.mark.parametrize(
    ("count", "missing", "freedom"),
    [(2, [], 4), (4, [], 4), (8, [], 4), (4, [1], 3), (2, [0, 3], 2), (4, [0, 1, 2], 1)],
)
def test_q_of_pure_noise_is_chi2_with_one_freedom_less_than_bands(count, missing, freedom):
    flux, variance, red = segments(2000, count, dust=0.1)
    variance[:, :, missing] = torch.inf
    q = group_distance(flux, variance, torch.ones(2000, count), red)[:, 0].numpy()
    assert stats.kstest(q, stats.chi2(freedom).cdf).pvalue > 0.01


def test_two_segments_share_only_the_bands_that_both_have():
    flux, variance, red = segments(2000, 2, dust=0.1)
    variance[:, 0, 1] = torch.inf
    variance[:, 1, 4] = torch.inf
    q = group_distance(flux, variance, torch.ones(2000, 2), red)
    for segment in (0, 1):
        assert stats.kstest(q[:, segment].numpy(), stats.chi2(2).cdf).pvalue > 0.01


def test_a_faint_third_segment_takes_no_band_from_the_other_two():
    flux, variance, red = segments(20, 3)
    variance[:, 2, 2:] = torch.inf
    pair = colour_distance(flux[:, :2], variance[:, :2], red)[:, 0, 1]
    torch.testing.assert_close(colour_distance(flux, variance, red)[:, 0, 1], pair)
    weak = group_distance(flux, variance, torch.tensor([[1.0, 1.0, 0.0]]).expand(20, 3), red)
    torch.testing.assert_close(weak[:, 0], pair, rtol=1e-4, atol=1e-4)


def test_in_a_group_of_two_both_are_their_distance_from_each_other():
    flux, variance, red = segments(50, 2, dust=0.2)
    q = group_distance(flux, variance, torch.ones(50, 2), red)
    distance = colour_distance(flux, variance, red)
    torch.testing.assert_close(q, distance[:, 0, 1:].expand(50, 2), rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(distance, distance.transpose(1, 2))
    assert distance.diagonal(dim1=1, dim2=2).abs().max() == 0


def shifted_loss(magnitudes: np.ndarray, extinction_sigma_mag: float = 0.1) -> float:
    """Mean loss of groups of four, one of which is fainter by `magnitudes` [band]."""
    flux, variance, red = segments(400, 4, snr=100)
    flux, variance = flux.clone(), variance.clone()
    factor = torch.tensor(10 ** (-0.4 * magnitudes))
    flux[:, 0] *= factor
    variance[:, 0] *= factor**2
    member = torch.ones(400, 4)
    return float(
        colour_consistency_loss(
            flux, variance, member, red, extinction_sigma_mag=extinction_sigma_mag
        ).mean()
    )


def forgiven(magnitudes: np.ndarray) -> float:
    """Fraction of what this shift of one segment costs that dust takes off."""
    nothing = np.zeros(5)
    cost = [shifted_loss(magnitudes, sigma) - shifted_loss(nothing, sigma) for sigma in (0.1, 1e-6)]
    return 1 - cost[0] / cost[1]


def test_dust_explains_a_shift_along_the_reddening_and_no_other():
    red = reddening_curve(np.array([0.5]), WAVELENGTHS)[0].astype(float)
    assert forgiven(0.2 * red) > 0.7
    assert forgiven(np.array([0.0, 0.15, 0.0, 0.0, 0.0])) < 0.1
    assert forgiven(np.array([0.1, 0.0, 0.0, 0.0, 0.1])) < 0.25


def test_a_bluer_source_raises_the_loss_with_its_colour():
    blue = np.array([-1.0, -0.5, 0.0, 0.2, 0.3])
    losses = [shifted_loss(size * blue) for size in (0.0, 0.1, 0.2, 0.4)]
    assert losses == sorted(losses)
    assert losses[-1] > 2 * losses[0]


def test_the_loss_knows_no_order_of_segments_nor_of_bands_nor_any_unit():
    flux, variance, red = segments(30, 4, dust=0.3)
    member = torch.rand(30, 4, generator=torch.Generator().manual_seed(1)).double()
    loss = colour_consistency_loss(flux, variance, member, red)
    order = torch.tensor([2, 0, 3, 1])
    bands = torch.tensor([3, 0, 4, 1, 2])
    brighter = torch.tensor([1.0, 3.0, 0.2, 8.0])[:, None].double() * 1e4
    for changed in (
        (flux[:, order], variance[:, order], member[:, order], red),
        (flux[..., bands], variance[..., bands], member, red[:, bands]),
        (flux * brighter, variance * brighter**2, member, red),
    ):
        torch.testing.assert_close(colour_consistency_loss(*changed), loss, rtol=1e-5, atol=1e-5)


def test_gradients_by_the_fluxes_are_those_of_finite_differences():
    flux, variance, red = segments(3, 3)
    member = torch.full((3, 3), 0.7, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda f: colour_consistency_loss(f, variance, member, red),
        (flux.requires_grad_(),),
        atol=1e-4,
        rtol=1e-3,
    )


def test_the_gradient_by_a_membership_weighs_joining_against_leaving():
    flux, variance, red = segments(20, 3, dust=0.3)
    member = torch.full((20, 3), 0.7, dtype=torch.float64, requires_grad=True)
    loss = colour_consistency_loss(flux, variance, member, red).sum()
    (gradient,) = torch.autograd.grad(loss, member)
    assert (gradient.abs() > 1e-3).all()
    rho = huber(group_distance(flux, variance, member.detach(), red))
    weighed = (member * rho + (1 - member) * (rho - gradient)).sum()
    torch.testing.assert_close(loss, weighed)


def huber(q: torch.Tensor) -> torch.Tensor:
    return torch.where(q > 4, 2 * torch.sqrt(q) - 2, q / 2)


def fitted_membership(blue: float, start: float = 0.0) -> torch.Tensor:
    """Memberships [4] that gradient descent finds; the last segment is bluer by `blue` in g.

    start : logit that all of them have at first
    """
    flux, variance, red = segments(1, 4, snr=40, seed=3)
    flux[:, 3, 0] *= 10 ** (0.4 * blue)
    logit = torch.full((1, 4), start, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([logit], lr=0.2)
    for _ in range(60):
        optimiser.zero_grad()
        colour_consistency_loss(flux, variance, torch.sigmoid(logit), red).sum().backward()
        optimiser.step()
    return torch.sigmoid(logit.detach())[0]


def test_memberships_do_not_collapse_and_leave_out_the_stranger():
    for start in (0.0, -4.0):
        assert (fitted_membership(0.0, start) > 0.9).all()
    for blue in (1.0, 3.0):
        stranger = fitted_membership(blue)
        assert (stranger[:3] > 0.9).all()
        assert stranger[3] < 0.1


def test_a_group_of_one_contributes_nothing_and_a_fading_one_fades():
    flux, variance, red = segments(10, 2, dust=2.0)
    alone = variance.clone()
    alone[:, 1] = torch.inf
    assert (colour_consistency_loss(flux, alone, torch.ones(10, 2), red) == 0).all()
    costs = []
    first = torch.tensor([[1.0, 0.0]])
    for other in (1.0, 0.1, 0.01, 0.0):
        member = torch.tensor([[1.0, other]]).expand(10, 2)
        costs.append(float(colour_consistency_loss(flux, variance, member, red, first).mean()))
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == pytest.approx(0, abs=1e-3)


def test_missing_bands_and_segments_leave_no_nan_behind():
    flux, variance, red = segments(4, 3)
    flux[0, 0, 2], variance[0, 1, :] = torch.nan, torch.inf
    flux[1], flux[2, :, 1] = 0.0, -1.0
    red[3, 0] = torch.nan
    flux = flux.requires_grad_()
    member = torch.full((4, 3), 0.5, dtype=torch.float64, requires_grad=True)
    loss = colour_consistency_loss(flux, variance, member, red)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(flux.grad).all()
    assert torch.isfinite(member.grad).all()
    assert loss[1] == 0


@pytest.mark.parametrize(
    ("point", "microlensing", "delay", "expected"),
    [
        (True, 0.0, 0.0, 0.1), (False, 0.71, 0.0, 0.1), (False, 0.0, 0.51, 0.1),
        (False, 0.31, 0.0, 0.5), (False, 0.0, 0.21, 0.5), (False, 0.3, 0.2, 1.0),
    ],
)  # fmt: skip
def test_the_weight_falls_where_colours_may_differ(point, microlensing, delay, expected):
    weight = colour_weight(*map(torch.tensor, ([point], [microlensing], [delay])))
    assert float(weight) == pytest.approx(expected)
    flux, variance, red = segments(1, 3)
    loss = colour_consistency_loss(flux, variance, torch.ones(1, 3), red)
    weighted = colour_consistency_loss(flux, variance, torch.ones(1, 3), red, weight)
    torch.testing.assert_close(weighted, loss * expected, check_dtype=False)


def test_the_curriculum_is_half_a_cosine_up_to_a_tenth():
    assert [colour_curriculum(e) for e in (0, 5, 10, 30)] == pytest.approx([0, 0.05, 0.1, 0.1])


def test_without_a_warm_up_the_colour_loss_has_its_full_weight_from_the_start():
    assert [colour_curriculum(e, 0.0, 0.3) for e in (0, 0.5, 10)] == [0.3] * 3


def test_reddening_is_that_of_the_law_at_the_lens():
    # Cardelli, Clayton & Mathis 1989, table 3, R_V = 3.1: U B V R I J H K; their formula, which is
    # what counts, fits the table to one or two hundredths
    johnson = np.array([0.365, 0.44, 0.55, 0.7, 0.9, 1.25, 1.6, 2.2])
    published = [1.569, 1.337, 1.000, 0.751, 0.479, 0.282, 0.190, 0.114]
    assert reddening_curve(np.array([0.0]), johnson)[0] == pytest.approx(published, abs=0.02)
    at_one = reddening_curve(np.array([1.0]), 2 * johnson)[0]
    assert at_one == pytest.approx(reddening_curve(np.array([0.0]), johnson)[0], rel=1e-5)


def test_reddening_beyond_the_law():
    curve = reddening_curve(np.array([0.0, 4.0]), np.array([0.355, 3.3, 3.4, 4.44, np.nan]))
    assert curve[0, 1] > curve[0, 2] > curve[0, 3] > 0
    assert curve[0, 2] / curve[0, 1] == pytest.approx((3.4 / 3.3) ** -1.61, rel=1e-3)
    assert np.isnan(curve[1, 0])
    assert np.isnan(curve[:, 4]).all()
    with pytest.raises(ValueError, match="micrometres"):
        reddening_curve(np.array([0.5]), np.array([-0.5]))


@pytest.mark.parametrize("unknown", [-1.0, np.nan])
def test_an_unknown_redshift_is_replaced_by_a_named_one(unknown):
    both = reddening_curve(np.array([unknown, 0.7]), WAVELENGTHS, z_where_unknown=0.7)
    assert (both[0] == both[1]).all()


def test_autocast_and_low_precision_memberships_keep_the_precision_of_the_loss():
    flux, variance, red = segments(6, 4, dust=0.1)
    member = torch.rand(6, 4, generator=torch.Generator().manual_seed(2)).bfloat16()
    expected = colour_consistency_loss(flux, variance, member.double(), red)
    with torch.autocast("cpu", torch.bfloat16):
        loss = colour_consistency_loss(flux, variance, member, red)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)
