"""Parts of training: scores, schedule, averages, statistics, regression targets."""

import numpy as np
import pandas as pd
import pytest
import torch
from training_toy import MemoryLoader, alternating, toy_images, toy_table

from lenshunt.config import TrainingConfig
from lenshunt.models import CONDITIONS, Prediction
from lenshunt.training.classification import Classification
from lenshunt.training.lightning_module import learning_rate_factor, move_averages
from lenshunt.training.loading import draws_per_epoch
from lenshunt.training.regression import (
    TARGETS,
    TargetScale,
    redshift_quality,
    regression_report,
    target_table,
)
from lenshunt.training.scores import monitored_score, selection_score, validation_scores
from lenshunt.training.statistics import fit_normalisation, telltale_conditions


def test_perfect_and_reversed_scores():
    labels = alternating(40)
    flux = np.where(labels == 1, 0.05, np.nan)
    best = validation_scores(labels, labels.astype(float), flux)
    assert best["val_partial_auc"] == best["val_auroc"] == best["val_tpr_at_0fp"] == 1.0
    assert best["val_fnr_low"] == 0.0
    assert validation_scores(labels, -labels.astype(float), flux)["val_auroc"] == 0.0


def test_tied_scores_count_all_or_none():
    labels = np.array([1, 1, 0, 1, 0, 0])
    scores = np.array([3.0, 2.0, 2.0, 1.0, 0.0, 0.0])
    found = validation_scores(labels, scores, np.full(6, np.nan))
    assert found["val_tpr_at_0fp"] == pytest.approx(1 / 3)
    assert np.isnan(found["val_fnr_low"])


@pytest.mark.parametrize(
    "labels, monitor",
    [
        (alternating(10), "val_partial_auc"),
        (np.ones(5), "val_loss"),
        (np.array([]), "none"),
        (np.r_[np.ones(5), np.zeros(10_000)], "val_tpr_at_fpr_1e-3"),
    ],
)
def test_the_monitored_score_is_one_that_the_validation_split_defines(labels, monitor):
    assert monitored_score(labels) == monitor


def test_a_loss_is_better_when_it_is_lower():
    better, worse = ({"val_loss": value} for value in (0.1, 0.2))
    assert selection_score("val_loss", better) > selection_score("val_loss", worse)
    assert selection_score("val_loss", {"val_loss": float("nan")}) == -np.inf


def test_the_learning_rate_warms_up_and_ends_at_zero():
    rates = [learning_rate_factor(step, 10, 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == 1.0
    assert np.argmax(rates) in (9, 10)
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)


def test_smoothed_labels_are_learned_as_odds_and_not_as_certainties():
    task = Classification(toy_table([1, 0]), smoothing=0.01)
    label = torch.tensor([1.0, 0.0, -1.0])
    batch = {"label": label, "confidence": torch.ones(3)}
    odds = float(np.log(99.0))
    logit = torch.tensor([odds, -odds, 5.0], requires_grad=True)
    losses = task.losses(Prediction(logit, logit[:, None], None, {}), batch)
    (slope,) = torch.autograd.grad(losses.sum(), logit)
    torch.testing.assert_close(slope, torch.zeros(3), atol=1e-6, rtol=0)
    assert losses[2] == 0


def test_averaged_weights_follow_the_steps_and_then_the_decay():
    average = [torch.zeros(3), torch.zeros((), dtype=torch.long)]
    current = [torch.ones(3), torch.tensor(7)]
    move_averages(0.99, average, current, torch.tensor(1))
    # After one step the memory is (1 + 1) / (10 + 1), far below the decay of 0.99.
    torch.testing.assert_close(average[0], torch.full((3,), 9 / 11))
    assert average[1] == 7
    average = [torch.zeros(3)]
    move_averages(0.99, average, current[:1], torch.tensor(100_000))
    torch.testing.assert_close(average[0], torch.full((3,), 0.01))
    average = [torch.zeros(3)]
    move_averages(0.0, average, current[:1], torch.tensor(5))
    torch.testing.assert_close(average[0], current[0])


def test_statistics_of_a_training_set():
    labels = alternating(40)
    loader = MemoryLoader(toy_table(labels), toy_images(labels))
    found = fit_normalisation(loader, loader.table)
    np.testing.assert_allclose(found.band_sigma_njy, 1.0)
    assert found.size_px == 32
    assert found.pixel_scale_arcsec == pytest.approx(0.168)
    mean = dict(zip(CONDITIONS, found.condition_mean, strict=True))
    assert mean["magnitude_r"] == pytest.approx(21.0)
    assert found.conditions_hidden == ()


def test_a_condition_that_only_lenses_have_is_hidden():
    values = np.ones((20, len(CONDITIONS)), np.float32)
    labels = alternating(20)
    values[labels == 0, CONDITIONS.index("log_1_plus_z")] = np.nan
    assert telltale_conditions(values, labels, np.full(20, "hsc")) == ("log_1_plus_z",)


def test_a_condition_whose_value_tells_the_label_of_a_small_group_is_hidden():
    """Lenses in F555W and non-lenses in F606W, beside ten times as many others of one filter."""
    rng = np.random.default_rng(0)
    groups = np.repeat(["sim:bologna", "survey:hst"], [400, 40])
    labels = alternating(440)
    values = rng.normal(size=(440, len(CONDITIONS))).astype(np.float32)
    wavelength = CONDITIONS.index("log_wavelength_r")
    values[:, wavelength] = np.where(groups == "sim:bologna", 0.62, 0.592)
    values[(groups == "survey:hst") & (labels == 1), wavelength] = 0.536
    assert telltale_conditions(values, labels, groups) == ("log_wavelength_r",)


def test_a_filter_of_one_telescopes_lenses_alone_is_hidden_by_the_statistics():
    lenses = toy_table(np.ones(20, int), prefix="l", bands=("", "F555W", "F814W", "", ""))
    others = toy_table(np.zeros(20, int), prefix="n", bands=("", "F606W", "F814W", "", ""))
    labels = np.repeat([1, 0], 20)
    loader = MemoryLoader(pd.concat([lenses, others], ignore_index=True), toy_images(labels))
    assert fit_normalisation(loader, loader.table).conditions_hidden == ("log_wavelength_r",)


@pytest.mark.parametrize(
    "samples, devices, draws",
    [(32, 1, 32), (33, 1, 32), (35, 1, 35), (1, 1, 1), (66, 2, 64), (67, 2, 65)],
)
def test_no_epoch_ends_in_a_batch_of_one(samples, devices, draws):
    training = TrainingConfig(batch_size=16, devices=devices)
    assert draws_per_epoch(training, samples) == draws
    assert samples == 1 or draws // devices % 16 != 1


def test_no_training_samples_is_an_error():
    with pytest.raises(ValueError, match="no training samples"):
        fit_normalisation([], toy_table(np.array([], int)))


def test_missing_targets_are_nan_and_do_not_count():
    table = toy_table(np.full(30, -1), axis_ratio=float("nan"))
    values = target_table(table)
    assert np.isnan(values[:, TARGETS.index("axis_ratio")]).all()
    scale = TargetScale.of(table)
    assert np.isfinite(scale.mean).all()
    assert (scale.std > 0).all()


def test_redshift_quality_of_known_errors():
    z = np.linspace(0.1, 1.0, 1001)
    errors = np.random.default_rng(0).normal(0.01, 0.02, len(z))
    found = redshift_quality(z, z + errors * (1 + z))
    assert found["sigma_nmad"] == pytest.approx(0.02, rel=0.1)
    assert found["bias"] == pytest.approx(0.01, abs=0.002)
    assert found["outlier_fraction"] == 0.0


def test_the_report_is_perfect_for_the_truth_and_zero_for_the_mean():
    table = toy_table(np.full(30, -1))
    truth = target_table(table).astype(float)
    best = regression_report(table, truth)
    mean = regression_report(table, np.full(truth.shape, truth[:, 0].mean()))
    assert best["r_squared"]["redshift"] == pytest.approx(1.0)
    assert best["redshift"]["sigma_nmad"] == pytest.approx(0.0, abs=1e-6)
    assert best["r_squared"]["axis_ratio"] is None
    assert mean["r_squared"]["redshift"] == pytest.approx(0.0, abs=1e-6)
