"""Augmentation: what moves, what is added to pixels, and what variances and masks say of it."""

import pytest
import torch
from training_toy import batch_of

from lenshunt.config import TrainingConfig
from lenshunt.training.augment import (
    augment,
    drop_bands,
    random_affine,
    warp,
    with_background_offset,
)


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
        "band_flags": torch.ones(200, 1),
    }
    found = augment(batch, TrainingConfig(noise_augmentation=0.5), 0.168)
    usable = torch.isfinite(found["variance"])
    assert float(found["image"][usable].var()) == pytest.approx(4 * 0.25, rel=0.02)
    assert float(found["variance"][usable].mean()) == pytest.approx(4 * 1.25, rel=1e-4)


def test_added_noise_makes_the_noise_less_correlated():
    batch = {**batch_of(), "noise_corr": torch.full((8, 5), 9.0)}
    found = augment(batch, TrainingConfig(noise_augmentation=1.0), 0.168)
    # a sum of n pixels: (9 n + 1 n) sigma^2 of noise over 2 n sigma^2 of variances
    torch.testing.assert_close(found["noise_corr"][:, :4], torch.full((8, 4), 5.0))
    kept = augment(batch, TrainingConfig(noise_augmentation=0.0), 0.168)["noise_corr"]
    torch.testing.assert_close(kept, batch["noise_corr"])


def test_band_dropout_never_hides_the_last_band():
    torch.manual_seed(0)
    flags = torch.tensor([[1.0, 1, 0, 0, 0], [0, 0, 0, 1, 0]]).repeat(500, 1)
    kept = drop_bands(flags, 0.9)
    assert (kept.sum(dim=1) >= 1).all()
    assert (kept <= flags).all()
    assert kept[::2].sum() < 800


def test_what_is_off_draws_no_random_numbers():
    batch = batch_of()
    torch.manual_seed(0)
    found = augment(batch, TrainingConfig(), 0.168)
    after = torch.rand(1)
    torch.manual_seed(0)
    affine = random_affine(8, 32, 2.0, batch["image"].device)
    # the fifth band is of none of them
    image, variance = warp(batch["image"][:, :4], batch["variance"][:, :4], affine)
    sigma = torch.where(torch.isfinite(variance), variance, 0.0).sqrt()
    image = image + 0.1 * sigma * torch.randn_like(image)
    torch.testing.assert_close(found["image"][:, :4], image)
    assert torch.equal(found["variance"][:, :4], variance * 1.01)
    assert torch.equal(after, torch.rand(1))


def test_broader_images_say_how_their_noise_correlates_in_every_band():
    batch = {name: values for name, values in batch_of().items() if name != "noise_corr"}
    found = augment(batch, TrainingConfig(psf_jitter_arcsec=0.8), 0.168)["noise_corr"]
    assert found.shape == (8, 5)
    assert (found[:, :4] > 1.0).all()
    assert (found[:, 4] == 1.0).all()


def test_a_batch_without_any_band_stays_without():
    batch = {**batch_of(), "band_flags": torch.zeros(8, 5)}
    found = augment(batch, TrainingConfig(), 0.168)
    assert torch.equal(found["band_flags"], batch["band_flags"])


def test_another_sky_is_a_constant_in_units_of_the_background_noise():
    torch.manual_seed(0)
    image = torch.randn(800, 2, 8, 8)
    variance = torch.tensor([4.0, 25.0])[:, None, None].expand_as(image).clone()
    variance[:, :, 3, 4] = 1e4  # the core of a galaxy, or a star
    variance[:, 0, :, 2], image[:, 0, :, 2] = torch.inf, 0.0
    found = with_background_offset(image, variance, 0.2)
    change = found - image
    usable = torch.isfinite(variance)
    assert (change[~usable] == 0).all()
    offset = change[:, :, 7, 7]
    torch.testing.assert_close(
        change, torch.where(usable, offset[:, :, None, None], 0.0), atol=1e-5, rtol=0
    )
    # 0.2 of 2 and of 5 nJy, independent of each other
    assert offset.std(dim=0).tolist() == pytest.approx([0.4, 1.0], rel=0.06)
    assert offset.mean(dim=0).abs().tolist() == pytest.approx([0.0, 0.0], abs=0.1)
    assert abs(float(torch.corrcoef(offset.T)[0, 1])) < 0.1
    fourth = (offset / offset.std(dim=0)).pow(4).mean(dim=0)
    assert fourth.tolist() == pytest.approx([3.0, 3.0], abs=0.6)


def test_another_sky_is_no_noise_of_pixels_and_leaves_what_is_unusable():
    batch = batch_of()
    plain, offset = [], []
    for seen, amount in ((plain, 0.0), (offset, 0.3)):
        torch.manual_seed(0)
        training = TrainingConfig(noise_augmentation=0.0, background_offset_sigma=amount)
        seen.append(augment(batch, training, 0.168))
    for name in ("variance", "noise_corr", "band_flags"):
        assert torch.equal(plain[0][name], offset[0][name])
    assert (offset[0]["image"][torch.isinf(plain[0]["variance"])] == 0).all()
    assert not torch.equal(plain[0]["image"][:, 0], offset[0]["image"][:, 0])


@pytest.mark.parametrize("upright", [0.0, 0.3, 1.0])
def test_a_share_of_the_images_stays_upright(upright):
    torch.manual_seed(0)
    affine = random_affine(2000, 32, 0.0, torch.device("cpu"), upright)
    # of a multiple of 90 degrees, either the sine or the cosine is nothing
    straight = affine[:, 0, :2].abs().amin(dim=1) < 1e-6
    assert float(straight.float().mean()) == pytest.approx(upright, abs=0.03)
