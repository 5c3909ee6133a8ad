"""What autocast and hidden bands do to a batch: places in float32, logits unrounded, segments."""

import pytest
import torch
from segment_samples import random_segments
from small_models import conditioned, small
from training_toy import batch_of

from lenshunt.config import TrainingConfig
from lenshunt.models import build_model
from lenshunt.models.segment_graph import unpack_segments
from lenshunt.training.augment import augment

BF16 = {"device_type": "cpu", "dtype": torch.bfloat16}


def test_augmentation_under_autocast_is_that_in_float32():
    batch = batch_of()
    batch["segments"] = random_segments(len(batch["image"]))
    training = TrainingConfig(band_dropout=0.2, psf_jitter_arcsec=0.5, background_offset_sigma=0.2)
    found = []
    for enabled in (False, True):
        torch.manual_seed(0)
        with torch.autocast(**BF16, enabled=enabled):
            found.append(augment(batch, training, 0.168))
    assert all(torch.equal(found[1][name], values) for name, values in found[0].items())


@pytest.mark.parametrize("architecture", ["resnet", "vit"])
def test_logits_under_autocast_are_not_rounded_to_bfloat16(architecture):
    torch.manual_seed(0)
    model = build_model(small(architecture), conditioned()).eval()
    with torch.no_grad(), torch.autocast(**BF16):
        logit = model(batch_of(32)).logit
    assert logit.dtype == torch.float32
    rounded = logit.to(torch.bfloat16).float()
    assert (logit != rounded).float().mean() > 0.9


def test_a_hidden_band_is_hidden_in_the_segments_too_and_padding_stays_where_it_is():
    torch.manual_seed(0)
    batch = batch_of(64)
    batch["segments"] = random_segments(64)
    found = augment(batch, TrainingConfig(band_dropout=0.5), 0.168)
    before, after = (unpack_segments(b["segments"]) for b in (batch, found))
    hidden = (found["band_flags"] == 0)[:, None].expand_as(after.flux)
    assert (after.flux[hidden] == 0).all()
    assert torch.isposinf(after.variance[hidden]).all()
    assert torch.equal(after.flux[~hidden], before.flux[~hidden])
    assert torch.equal(after.there, before.there)
    assert (after.position[~after.there] == 0).all()
    assert (after.position[after.there] != before.position[before.there]).float().mean() > 0.9
