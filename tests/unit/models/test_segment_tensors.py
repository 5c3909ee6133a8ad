"""Packed segments come out by name, in the units and the plane that the physics terms take."""

import numpy as np
import pytest
import torch

from lenshunt.images.segments import Segments
from lenshunt.lensing import colour_distance
from lenshunt.models.segment_graph import segment_colours, unpack_segments

FLOOR2 = 0.02**2


def packed_segments() -> tuple[Segments, torch.Tensor]:
    """Two cutouts: one with two segments of four bands, one with none."""
    found = Segments.empty(2, 3, 5)
    found.count[0] = 2
    found.flux[0, :2, :4] = [[100, 200, 300, 400], [50, 90, 160, 210]]
    found.variance[0, :2, :4] = [[4, 9, 16, 25], [1, 4, 9, 16]]
    for name, values in {
        "x": [1.5, -0.5], "y": [-2.0, 0.25], "area": [1.0, 0.5], "snr": [60.0, 40.0],
        "psf_likeness": [0.2, 0.95],
    }.items():  # fmt: skip
        getattr(found, name)[0, :2] = values
    return found, torch.from_numpy(found.packed())


def test_every_column_has_its_name():
    found, packed = packed_segments()
    named = unpack_segments(packed)
    assert named.there.tolist() == [[True, True, False], [False] * 3]
    for name in ("flux", "variance", "area", "snr", "psf_likeness"):
        assert np.array_equal(getattr(named, name).numpy(), getattr(found, name)), name
    assert named.position[0, 0].tolist() == [1.5, -2.0]
    assert torch.isinf(named.variance[0, 0, 4])
    assert torch.isinf(named.variance[1]).all()


def test_columns_of_another_layout_are_refused():
    with pytest.raises(ValueError, match="2 bands \\+ 5 columns, found 14"):
        unpack_segments(torch.zeros(2, 3, 14))


def test_colours_and_covariances_are_those_of_the_textbook():
    _, packed = packed_segments()
    named = unpack_segments(packed)
    colours = segment_colours(named.flux, named.variance)
    assert colours.known[0, 0].tolist() == [True, True, True, False]
    assert not colours.known[1].any()
    flux, sigma = np.array([100, 200, 300, 400.0]), np.array([2, 3, 4, 5.0])
    expected = -2.5 * np.log10(flux[:-1] / flux[1:])
    assert colours.colour[0, 0, :3].numpy() == pytest.approx(expected, abs=1e-6)
    error2 = (2.5 / np.log(10) * sigma / flux) ** 2 + FLOOR2 / 2
    covariance = colours.covariance[0, 0].numpy()
    assert np.diag(covariance)[:3] == pytest.approx(error2[:-1] + error2[1:], rel=1e-5)
    assert np.diag(covariance, 1)[:2] == pytest.approx(-error2[1:-1], rel=1e-5)
    assert covariance[3].tolist() == [0, 0, 0, 1]
    assert torch.isfinite(colours.colour).all()


def test_a_band_that_is_too_faint_joins_its_neighbours_in_one_colour():
    _, packed = packed_segments()
    named = unpack_segments(packed)
    variance = named.variance.clone()
    variance[0, 0, 1] = 200.0**2
    colours = segment_colours(named.flux, variance)
    assert colours.known[0, 0].tolist() == [True, False, True, False]
    assert float(colours.colour[0, 0, 0]) == pytest.approx(-2.5 * np.log10(100 / 300), abs=1e-6)
    assert colours.colour[0, 0, 1] == 0


def test_the_colour_prior_sees_the_same_distance():
    # Without dust d(s, t) is the plain chi2 of two measured colour vectors.
    _, packed = packed_segments()
    named = unpack_segments(packed)
    colours = segment_colours(named.flux, named.variance)
    offset = (colours.colour[0, 0] - colours.colour[0, 1])[:3].double()
    total = (colours.covariance[0, 0] + colours.covariance[0, 1])[:3, :3].double()
    expected = float(offset @ torch.linalg.solve(total, offset))
    reddening = torch.ones(2, 5)
    q = colour_distance(named.flux, named.variance, reddening, extinction_sigma_mag=1e-6)
    assert float(q[0, 0, 1]) == pytest.approx(expected, rel=2e-3)
    assert torch.isnan(q[1]).all()
