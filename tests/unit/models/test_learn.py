"""Every architecture can learn: it tells 64 toy lenses from non-lenses within a few steps."""

import numpy as np
import pytest
import torch
from segment_samples import BLUE, RED, packed, padding
from sklearn.metrics import roc_auc_score
from small_models import conditioned, small
from training_toy import alternating, toy_images, toy_table

from lenshunt.config import Adversarial, LossTerm, ModelConfig
from lenshunt.models import REGISTRY, LensNetwork, build_model
from lenshunt.training.adversarial import attacked
from lenshunt.training.classification import Classification
from lenshunt.training.terms import sample_losses

pytestmark = pytest.mark.slow

LABELS = alternating(64)
#: Architecture: learning rate and steps that are enough.
LEARNERS = {
    "resnet": (3e-3, 20),
    "vit": (3e-3, 120),
    "film_resnet": (3e-3, 30),
    "enhanced_vit": (3e-3, 200),
    "equivariant_resnet": (1e-2, 25),
    "pinn_lens": (3e-3, 25),
    "gat_lens": (3e-3, 25),
    "color_aware_lens": (3e-3, 20),
    "bayesian_ensemble": (3e-3, 30),
}
#: Terms of their own that they are trained with.
TERMS = {
    "pinn_lens": ("physics", "shear", "lens_equation", "simulated"),
    "color_aware_lens": ("colour", "grouping"),
    "bayesian_ensemble": ("members",),
}
WEAK_ATTACK = Adversarial(epsilon_sigma=0.3, steps=2, share=0.5)
#: An attention's bias of keys shifts all scores of a query alike: the softmax does not see it.
UNSEEN = ("k_proj.bias", "key.bias")


def toy_segments(labels: np.ndarray) -> torch.Tensor:
    """Three segments each: two arcs of a lens are near it and blue, all others farther and red."""
    rng = np.random.default_rng(1)
    angle = rng.uniform(0, 2 * np.pi, (len(labels), 1)) + np.array([0, np.pi, 1.5])
    lens = labels[:, None] == 1
    arc = lens & (np.arange(3) < 2)
    radius = np.where(arc, 1.3, 3.5) * rng.uniform(0.9, 1.1, arc.shape)
    flux = np.where(arc[..., None], BLUE, RED) * rng.uniform(0.8, 1.2, arc.shape)[..., None]
    place = radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return packed(flux, place)


def toy_survey(pixels: np.ndarray, segments: np.ndarray) -> dict[str, torch.Tensor]:
    """A batch of LABELS whose images and segments are those of these labels."""
    image, variance = (torch.from_numpy(a) for a in toy_images(pixels))
    table = toy_table(LABELS)
    table["einstein_radius"] = np.where(LABELS == 1, 8 * 0.168, np.nan)
    columns = Classification(table.iloc[:0]).columns(table)
    return {
        "image": image,
        "variance": variance,
        "band_flags": torch.tensor([[1.0, 1, 1, 1, 0]]).repeat(64, 1),
        "segments": toy_segments(segments),
        "label": torch.from_numpy(LABELS).float(),
        "confidence": torch.ones(64),
        **{name: torch.from_numpy(values) for name, values in columns.items()},
    }


def learned(
    config: ModelConfig, batch: dict, rate: float, steps: int, attack: Adversarial | None = None
) -> tuple[LensNetwork, set[str]]:
    """The network after some steps of a training, and the names of weights without a gradient."""
    torch.manual_seed(0)
    model = build_model(config, conditioned())
    terms = {name: LossTerm(weight=0.1) for name in TERMS.get(config.architecture, ())}
    losses = Classification(toy_table(LABELS[:0])).losses
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    still = {name for name, _ in model.named_parameters() if not name.endswith(UNSEEN)}
    for _ in range(steps):
        seen = attacked(model, losses, batch, attack) if attack else batch
        optimiser.zero_grad()
        sample_losses(model, losses, seen, terms, epoch=10.0).mean().backward()
        optimiser.step()
        still -= {n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    return model.eval(), still


@torch.no_grad()
def auroc(model: LensNetwork, batch: dict) -> float:
    return roc_auc_score(LABELS, model(batch).logit)


def test_every_architecture_has_to_learn():
    assert set(LEARNERS) == set(REGISTRY)


@pytest.mark.parametrize("architecture", sorted(LEARNERS))
def test_64_samples_are_told_apart_within_a_bounded_number_of_steps(architecture):
    batch = toy_survey(LABELS, LABELS)
    # a lens and a galaxy in eight of either have none
    batch["segments"][::16], batch["segments"][1::16] = padding(4, 3), padding(4, 3)
    model, still = learned(small(architecture), batch, *LEARNERS[architecture])
    assert auroc(model, batch) == 1.0
    assert still == set()


@pytest.mark.parametrize("architecture", ["gat_lens", "color_aware_lens"])
def test_segments_tell_lenses_apart_where_the_images_do_not(architecture):
    alike = toy_survey(LABELS, LABELS)
    alike["image"] = alike["image"][:1].expand_as(alike["image"])
    model, _ = learned(small(architecture), alike, 3e-3, 25)
    assert auroc(model, alike) == 1.0


def test_64_samples_are_told_apart_by_a_network_that_is_attacked_while_it_learns():
    batch = toy_survey(LABELS, LABELS)
    model, still = learned(small("resnet"), batch, 3e-3, 20, WEAK_ATTACK)
    assert auroc(model, batch) == 1.0
    assert still == set()
