"""Parts of training: balance, augmentation, scores, statistics, regression targets."""

import numpy as np
import pandas as pd
import pytest
import torch
from training_toy import MemoryLoader, alternating, toy_images, toy_table

from lenshunt.config import TrainingConfig
from lenshunt.models import CONDITIONS
from lenshunt.training.augment import augment, drop_bands, random_affine, warp
from lenshunt.training.balance import class_prior, sampling_weights
from lenshunt.training.loading import draws_per_epoch
from lenshunt.training.module import learning_rate_factor, move_averages
from lenshunt.training.regression import (
    TARGETS,
    TargetScale,
    redshift_quality,
    regression_report,
    target_table,
)
from lenshunt.training.scores import monitored_score, selection_score, validation_scores
from lenshunt.training.statistics import fit_normalisation, telltale_conditions


def sources() -> pd.DataFrame:
    """90 simulated (10 lenses), 5 CASTLES lenses, 40 RELICS negatives of one survey."""
    return pd.concat(
        [
            toy_table(np.arange(90) < 10, prefix="sim", label_source="sim:bologna"),
            toy_table(np.ones(5, int), prefix="cas", label_source="obs:castles", survey="hst"),
            toy_table(np.zeros(40, int), prefix="rel", label_source="obs:relics", survey="hst"),
        ],
        ignore_index=True,
    )


def test_classes_are_drawn_equally_within_every_source_and_survey():
    table = sources()
    weights = sampling_weights(table, {})
    for group in (["sim:bologna"], ["obs:castles", "obs:relics"]):
        inside = table["label_source"].isin(group).to_numpy()
        lens = (table["label"] == 1).to_numpy()
        assert weights[inside & lens].sum() == pytest.approx(weights[inside & ~lens].sum())
    assert class_prior(table, weights)["drawn"] == pytest.approx(0.5)
    assert class_prior(table, weights)["natural"] == pytest.approx(15 / 135)


def test_each_source_counts_as_configured_whatever_its_size():
    table = sources()
    weights = pd.Series(sampling_weights(table, {"sim:bologna": 6.0}))
    assert weights.groupby(table["label_source"]).sum()["sim:bologna"] == pytest.approx(0.75)


def test_a_source_without_its_counterpart_is_warned_of():
    table = toy_table(np.ones(4, int), label_source="obs:castles", survey="hst")
    with pytest.warns(UserWarning, match="obs:castles.*all have label 1"):
        weights = sampling_weights(table, {})
    np.testing.assert_allclose(weights, 0.25)


def test_source_weights_that_leave_nothing_are_an_error():
    with pytest.raises(ValueError, match="leave no labelled training sample"):
        sampling_weights(toy_table(alternating(4)), {"sim:demo": 0.0})


def batch_of(count: int = 8) -> dict[str, torch.Tensor]:
    labels = alternating(count)
    return MemoryLoader(toy_table(labels), toy_images(labels)).batch(np.arange(count))


def test_augmentation_keeps_unusable_pixels_unusable_and_images_finite():
    torch.manual_seed(0)
    found = augment(batch_of(), TrainingConfig(), 0.168)
    assert torch.isfinite(found["image"]).all()
    assert torch.isposinf(found["variance"][:, 4]).all()
    assert (found["image"][~torch.isfinite(found["variance"])] == 0).all()


def test_a_quarter_turn_moves_image_and_variance_alike():
    image, variance = torch.randn(1, 2, 16, 16), torch.rand(1, 2, 16, 16) + 1
    quarter = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]])
    moved, moved_variance = warp(image, variance, quarter)
    torch.testing.assert_close(moved, torch.rot90(image, 1, (2, 3)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(moved_variance, torch.rot90(variance, 1, (2, 3)))


@pytest.mark.parametrize("rubbish", [1e9, float("nan")])
def test_what_lies_under_a_mask_never_spreads_at_any_angle(rubbish):
    torch.manual_seed(0)
    image, variance = torch.zeros(50, 2, 32, 32), torch.ones(50, 2, 32, 32)
    image[:, 0, 14:17, 14:17], variance[:, 0, 14:17, 14:17] = rubbish, torch.inf
    moved, spread = warp(image, variance, random_affine(50, 32, 2.0, image.device))
    assert (moved == 0).all()
    masked = torch.isinf(spread)
    # The mask grows by the pixels that would draw on it, in its own band alone.
    assert (masked[:, 0, 8:24, 8:24].sum(dim=(1, 2)) >= 9).all()
    assert not masked[:, 1, 8:24, 8:24].any()


def test_added_noise_is_what_the_variance_says():
    torch.manual_seed(0)
    image = torch.zeros(200, 1, 32, 32)
    batch = {
        "image": image,
        "variance": torch.ones_like(image) * 4,
        "band_flags": image[:, :, 0, 0],
    }
    found = augment(batch, TrainingConfig(noise_augmentation=0.5), 0.168)
    usable = torch.isfinite(found["variance"])
    assert float(found["image"][usable].var()) == pytest.approx(4 * 0.25, rel=0.02)
    assert float(found["variance"][usable].mean()) == pytest.approx(4 * 1.25, rel=1e-4)


def test_added_noise_makes_the_noise_less_correlated():
    batch = {**batch_of(), "noise_corr": torch.full((8, 5), 9.0)}
    found = augment(batch, TrainingConfig(noise_augmentation=1.0), 0.168)
    # a sum of n pixels: (9 n + 1 n) sigma^2 of noise over 2 n sigma^2 of variances
    torch.testing.assert_close(found["noise_corr"], torch.full((8, 5), 5.0))
    kept = augment(batch, TrainingConfig(noise_augmentation=0.0), 0.168)["noise_corr"]
    torch.testing.assert_close(kept, batch["noise_corr"])


def test_band_dropout_never_hides_the_last_band():
    torch.manual_seed(0)
    flags = torch.tensor([[1.0, 1, 0, 0, 0], [0, 0, 0, 1, 0]]).repeat(500, 1)
    kept = drop_bands(flags, 0.9)
    assert (kept.sum(dim=1) >= 1).all()
    assert (kept <= flags).all()
    assert kept[::2].sum() < 800


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
