"""Every architecture can learn: it tells 64 toy lenses from non-lenses within a few steps."""

import pytest
import torch
from segment_samples import padding
from sklearn.metrics import roc_auc_score
from test_models_inputs import conditioned
from test_models_registry import small
from training_toy import alternating, toy_images

from lenshunt.models import build_model

#: Architecture: learning rate and steps that are enough.
LEARNERS = {
    "equivariant_resnet": (1e-2, 40),
    "gat_lens": (3e-3, 40),
    "color_aware_lens": (3e-3, 40),
    "pinn_lens": (3e-3, 60),
}


@pytest.mark.parametrize("architecture", sorted(LEARNERS))
def test_64_samples_are_told_apart_within_a_bounded_number_of_steps(architecture):
    torch.manual_seed(0)
    labels = alternating(64)
    image, variance = (torch.from_numpy(a) for a in toy_images(labels))
    flags = torch.tensor([[1.0, 1, 1, 1, 0]]).repeat(64, 1)
    batch = {"image": image, "variance": variance, "band_flags": flags}
    batch["segments"] = padding(64, 3)
    rate, steps = LEARNERS[architecture]
    model = build_model(small(architecture), conditioned())
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    target = torch.from_numpy(labels).float()
    for _ in range(steps):
        logit = model(batch).logit
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        assert roc_auc_score(labels, model.eval()(batch).logit) == 1.0
