"""Einstein radii against the truth: what an oracle, a constant and an untrained network get."""

import numpy as np
import pytest
import torch
from diagnostics_samples import toy_test, untrained

from lenshunt.evaluation.diagnostics.common import Trained
from lenshunt.evaluation.diagnostics.lens_parameters import CONSTANT, PANELS, equal_bins, measure
from lenshunt.models import LensNetwork, Prediction


class Told(LensNetwork):
    """Predicts the radius and the gain that it was told for each row, with an error."""

    scores = ("chi2_gain", "theta_e")

    def __init__(self, theta_e: np.ndarray, gain: np.ndarray) -> None:
        super().__init__()
        self.theta_e, self.gain = (torch.tensor(one).double() for one in (theta_e, gain))
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, batch):
        rows = batch["row"]
        told = {"theta_e": self.theta_e[rows], "chi2_gain": self.gain[rows]}
        return Prediction(torch.zeros(len(rows)), torch.zeros(len(rows), 1), None, told)


def trained_on(theta_e, gain):
    return Trained(Told(theta_e, gain), *(getattr(untrained("pinn_lens"), name) for name in
                   ("normalisation", "name", "config")))  # fmt: skip


def truth_of(test):
    return test.table["einstein_radius"].to_numpy(float)


def test_an_oracle_has_no_error_and_a_constant_the_scatter_of_the_truth():
    test = toy_test(60)
    truth = truth_of(test)
    gain = np.where(np.isfinite(truth), 100.0, 10.0)
    found = measure(trained_on(np.nan_to_num(truth), gain), None, test, 1)
    assert found.numbers["rms_arcsec"] < 1e-6
    assert found.numbers["correlation"] == pytest.approx(1)
    assert found.numbers["chi2_gain_auroc"] == 1
    assert found.numbers["constant_rms_arcsec"] == pytest.approx(np.nanstd(truth))
    errors = found.curves[found.curves["panel"] == "theta_e"]
    own, constant = (errors[errors["series"] == name] for name in ("pinn_lens", CONSTANT))
    assert own["value"].abs().max() < 1e-6
    # too large for small lenses, too small for large ones
    assert constant["value"].is_monotonic_decreasing
    assert constant["value"].iloc[0] > 0 > constant["value"].iloc[-1]


def test_no_constant_beats_the_constant_and_noise_is_measured_as_it_is():
    test = toy_test(400)
    truth = truth_of(test)
    rng = np.random.default_rng(0)
    for predicted in (np.full(400, 0.9), np.full(400, 1.6)):
        found = measure(trained_on(predicted, np.ones(400)), None, test, 1)
        assert found.numbers["rms_over_constant"] >= 1
        assert np.isnan(found.numbers["correlation"])
        assert found.numbers["chi2_gain_auroc"] == 0.5
    noisy = np.nan_to_num(truth) + 0.1 * rng.normal(size=400)
    found = measure(trained_on(noisy, np.ones(400)), None, test, 1)
    assert found.numbers["rms_arcsec_low"] < 0.1 < found.numbers["rms_arcsec_high"]
    assert found.numbers["half_68_percent_arcsec"] == pytest.approx(0.1, rel=0.2)


def test_failed_fits_are_counted_and_left_out():
    test = toy_test(60)
    gain = np.where(np.isfinite(truth_of(test)), 100.0, 10.0)
    gain[:5] = np.nan
    found = measure(trained_on(np.ones(60), gain), None, test, 1)
    assert found.numbers["failed_fits"] == 5
    assert found.numbers["chi2_gain_auroc"] == 1


def test_bins_hold_equal_numbers_and_what_is_not_known_is_in_none():
    values = np.r_[np.random.default_rng(0).normal(size=70), np.nan, np.nan]
    bins = equal_bins(values)
    assert {len(rows) for rows in bins} <= {14}
    assert sorted(np.concatenate(bins)) == list(range(70))
    assert np.all(np.diff([values[rows].mean() for rows in bins]) > 0)
    assert equal_bins(np.full(30, np.nan)) == []


def test_an_untrained_network_is_measured_and_others_are_refused():
    test = toy_test()
    found = measure(untrained("pinn_lens"), untrained("resnet"), test, 1)
    assert set(found.curves["panel"]) == set(PANELS)
    assert np.isfinite(found.numbers["rms_arcsec"])
    with pytest.raises(ValueError, match="predicts no theta_e"):
        measure(untrained("resnet"), None, test, 1)
    test.table = test.table.assign(einstein_radius=np.nan)
    with pytest.raises(ValueError, match="0 lenses of known Einstein radius"):
        measure(untrained("pinn_lens"), None, test, 1)
