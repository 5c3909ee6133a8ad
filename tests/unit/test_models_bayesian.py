"""The Bayesian ensemble: its uncertainty means what it says, and depends on the object alone."""

import itertools

import numpy as np
import pytest
import torch
from test_models_inputs import conditioned
from test_models_registry import small, toy_batch

from lenshunt.config import LossTerm
from lenshunt.models import build_model
from lenshunt.models.bayesian_ensemble import entropy_parts
from lenshunt.models.sampled_dropout import SampledDropout
from lenshunt.training.classification import Classification
from lenshunt.training.terms import weighted_terms


@pytest.fixture
def model():
    torch.manual_seed(3)
    return build_model(small("bayesian_ensemble", samples=20), conditioned()).eval()


def test_entropies_of_draws_that_are_known_by_hand():
    sure, torn = torch.full((4, 1), 20.0), torch.tensor([[30.0], [-30.0], [30.0], [-30.0]])
    coin = torch.zeros(4, 1)
    found = {k: entropy_parts(v) for k, v in (("sure", sure), ("torn", torn), ("coin", coin))}
    assert found["sure"]["epistemic"].item() == pytest.approx(0, abs=1e-6)
    assert found["sure"]["aleatoric"].item() == pytest.approx(0, abs=1e-6)
    # draws that are sure of opposite things: all of ln 2 is their disagreement
    assert found["torn"]["epistemic"].item() == pytest.approx(np.log(2), abs=1e-6)
    assert found["torn"]["aleatoric"].item() == pytest.approx(0, abs=1e-6)
    # draws that agree on a coin toss: none of it is
    assert found["coin"]["epistemic"].item() == pytest.approx(0, abs=1e-6)
    assert found["coin"]["aleatoric"].item() == pytest.approx(np.log(2), abs=1e-6)


def test_the_logit_is_that_of_the_mean_probability(model):
    found = model(toy_batch())
    p = torch.sigmoid(found.internals["member_logits"].double()).mean(dim=0)
    assert torch.sigmoid(found.logit).detach().numpy() == pytest.approx(
        p.detach().numpy(), abs=1e-6
    )
    assert len(found.internals["member_logits"]) == 20


def test_scores_depend_neither_on_the_batch_nor_on_random_state(model):
    batch = toy_batch(6)
    whole = model(batch)
    torch.manual_seed(99)
    alone = model({name: values[2:3] for name, values in batch.items()})
    for name in model.scores:
        assert alone.auxiliary[name].item() == pytest.approx(
            whole.auxiliary[name][2].item(), abs=1e-6
        )


def test_draws_differ_and_half_of_them_are_of_each_member(model):
    logits = model(toy_batch()).internals["member_logits"]
    resnet, vit = logits[0::2], logits[1::2]
    assert len(resnet) == len(vit) == 10
    assert (resnet.std(dim=0) > 0).all()
    assert (vit.std(dim=0) > 0).all()


def test_dropout_keeps_the_mean_and_switches_whole_channels_off():
    dropout = SampledDropout(4000, 0.3, 6)
    assert dropout.masks.mean(dim=1).numpy() == pytest.approx(np.ones(6), abs=0.03)
    x = torch.ones(2, 4000, 3, 3)
    dropped = dropout.eval()(x, 2)
    assert torch.equal(dropped[0], dropped[1])
    assert ((dropped == 0).flatten(2).all(dim=2) | (dropped > 0).flatten(2).all(dim=2)).all()
    with pytest.raises(ValueError, match="between 0 and 1"):
        SampledDropout(4, 0.0, 2)


def test_every_member_learns_from_its_own_loss(model):
    model.train()
    batch = {**toy_batch(6), "label": torch.tensor([1.0, 0, 1, 0, -1, 1]), "row": torch.arange(6)}
    batch["confidence"] = torch.ones(6)
    prediction = model(batch)
    terms = model.loss_terms(prediction, batch, ("members",))
    assert terms["members"].shape == (6,)
    assert terms["members"][4] == 0
    logits = prediction.internals["member_logits"]
    assert logits.shape == (2, 6)
    (gradient,) = torch.autograd.grad(terms["members"].sum(), logits)
    expected = (torch.sigmoid(logits) - batch["label"]) / 2 * (batch["label"] >= 0)
    assert gradient.detach().numpy() == pytest.approx(expected.detach().numpy(), abs=1e-6)


def blobs(rng: np.random.Generator, n: int) -> dict[str, torch.Tensor]:
    """Round galaxies (label 0) and galaxies with a ring around them (label 1), unit noise."""
    y, x = np.mgrid[:32, :32] - 15.5
    radius = np.hypot(x, y)
    label = np.arange(n) % 2
    image = 12 * np.exp(-radius / 2.5)[None] * rng.uniform(0.7, 1.3, (n, 1, 1))
    size = rng.uniform(6, 9, (n, 1, 1))
    image = image + label[:, None, None] * 4 * np.exp(-0.5 * (radius[None] - size) ** 2)
    image = image[:, None] + rng.normal(size=(n, 5, 32, 32))
    return {
        "image": torch.tensor(image).float(),
        "variance": torch.ones(n, 5, 32, 32),
        "band_flags": torch.ones(n, 5),
        "label": torch.tensor(label).float(),
        "confidence": torch.ones(n),
    }


@pytest.mark.slow
def test_the_epistemic_part_grows_off_the_training_distribution():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = build_model(small("bayesian_ensemble", samples=20), conditioned())
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    task = Classification.__new__(Classification)
    config = {"members": LossTerm(weight=1.0, warmup_epochs=0)}
    model.train()
    for _ in range(60):
        batch = blobs(rng, 32)
        prediction = model(batch)
        terms = weighted_terms(model, prediction, batch, config, 5.0)
        loss = (task.losses(prediction, batch) + terms["members"]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        known = blobs(rng, 128)
        inside = model(known)
        strange = {**known, "image": known["image"].flip(1) * 3}
        strange["image"] = torch.roll(strange["image"], (9, 7), (2, 3)) - 6
        outside = model(strange)
    accuracy = ((inside.logit > 0) == (known["label"] > 0)).float().mean()
    assert accuracy > 0.9
    assert outside.auxiliary["epistemic"].mean() > 1.5 * inside.auxiliary["epistemic"].mean()


def test_every_layer_has_draws_of_its_own(model):
    masks = [
        model.get_submodule(f"{member}_{layer}").masks
        for member in ("resnet", "vit")
        for layer in ("dropout", "readout")
    ]
    assert len(masks) == 4
    for one, other in itertools.combinations(masks, 2):
        width = min(one.shape[1], other.shape[1])
        # alike as often as two coins that fall on one side four times in five: 0.68
        alike = (one[:, :width] == other[:, :width]).float().mean().item()
        assert alike < 0.68 + 4 * (0.68 * 0.32 / (len(one) * width)) ** 0.5
