"""The Bayesian ensemble: its uncertainty means what it says, and depends on the object alone."""

import copy
import itertools

import numpy as np
import pytest
import torch
from scipy.stats import norm
from small_models import conditioned, small, toy_batch
from training_toy import toy_table

from lenshunt.config import LossTerm
from lenshunt.models import build_model
from lenshunt.models.bayesian_ensemble import SampledDropout, entropy_parts, normal_scores
from lenshunt.training.classification import Classification
from lenshunt.training.terms import weighted_terms


@pytest.fixture
def model():
    torch.manual_seed(3)
    return build_model(small("bayesian_ensemble", samples=20), conditioned()).eval()


def test_entropies_of_draws_that_are_known_by_hand():
    sure, torn = torch.full((4, 1), 20.0), torch.tensor([[30.0], [-30.0], [30.0], [-30.0]])
    coin = torch.zeros(4, 1)
    even = torch.full((4,), 0.25)
    found = {k: entropy_parts(v, even) for k, v in (("sure", sure), ("torn", torn), ("coin", coin))}
    assert found["sure"]["epistemic"].item() == pytest.approx(0, abs=1e-6)
    assert found["sure"]["aleatoric"].item() == pytest.approx(0, abs=1e-6)
    # draws that are sure of opposite things: all of ln 2 is their disagreement
    assert found["torn"]["epistemic"].item() == pytest.approx(np.log(2), abs=1e-6)
    assert found["torn"]["aleatoric"].item() == pytest.approx(0, abs=1e-6)
    # draws that agree on a coin toss: none of it is
    assert found["coin"]["epistemic"].item() == pytest.approx(0, abs=1e-6)
    assert found["coin"]["aleatoric"].item() == pytest.approx(np.log(2), abs=1e-6)
    # nothing of the draws whose weight is next to nothing
    one_sided = entropy_parts(torn, torch.tensor([0.5, 1e-9, 0.5, 1e-9]))
    assert one_sided["epistemic"].item() == pytest.approx(0, abs=1e-6)


def test_the_logit_is_that_of_the_mean_probability(model):
    with torch.no_grad():
        model.weight.copy_(torch.tensor([0.08, -0.04]))
    found = model(toy_batch())
    weights = found.internals["draw_weights"].double()
    assert weights.sum().item() == pytest.approx(1, abs=1e-6)
    assert (weights[0] / weights[1]).item() == pytest.approx(np.exp(1.2), rel=1e-5)
    p = weights @ torch.sigmoid(found.internals["member_logits"].double())
    assert torch.sigmoid(found.logit).detach().numpy() == pytest.approx(
        p.detach().numpy(), abs=1e-6
    )
    assert len(found.internals["member_logits"]) == 20


def test_scores_depend_neither_on_the_batch_nor_on_random_state(model):
    batch = toy_batch(6)
    model.fit_posterior([toy_batch(5), toy_batch(6)])
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


def test_deviates_widen_the_draws_by_the_posteriors_sigma_and_keep_their_mean(model):
    batch = toy_batch(6)
    before = model(batch).internals["member_logits"].detach()
    unfitted = copy.deepcopy(model.state_dict())
    model.fit_posterior([toy_batch(40)])
    far = {**batch, "image": batch["image"] + 300.0}
    dropout = model(far).internals["member_logits"].detach()
    model.load_state_dict(unfitted)
    assert torch.equal(model(batch).internals["member_logits"], before)
    dropout = dropout - model(far).internals["member_logits"].detach()
    for member in (dropout[0::2], dropout[1::2]):
        assert member.mean(dim=0).numpy() == pytest.approx(np.zeros(6), abs=1e-4)
        # nothing like these images was among the samples: the whole prior
        assert member.std(dim=0, correction=0).numpy() == pytest.approx(np.full(6, 5.0), rel=1e-3)


def test_a_further_read_out_is_paid_for_only_where_a_posterior_was_fitted(model):
    calls = []
    model.vit_readout.register_forward_hook(lambda *_: calls.append(1))
    model(toy_batch(6))
    assert len(calls) == 10
    model.fit_posterior([toy_batch(40)])
    calls.clear()
    model(toy_batch(6))
    assert len(calls) == 11


def test_an_attack_finds_a_gradient_before_and_after_the_posterior_is_fitted(model):
    for _ in range(2):
        batch = toy_batch(6)
        image = batch["image"].requires_grad_()
        (gradient,) = torch.autograd.grad(model(batch).logit.sum(), image)
        assert torch.isfinite(gradient).all()
        assert gradient.abs().sum() > 0
        model.fit_posterior([toy_batch(40)])


def test_normal_scores_are_those_of_a_standard_normal_distribution():
    scores = normal_scores(10).double()
    assert scores.mean().item() == pytest.approx(0, abs=1e-6)
    assert scores.square().mean().item() == pytest.approx(1, abs=1e-6)
    expected = norm.ppf((np.arange(10) + 0.5) / 10)
    assert np.sort(scores.numpy()) == pytest.approx(
        expected / np.sqrt(np.mean(expected**2)), abs=1e-6
    )


@pytest.mark.slow
def test_the_epistemic_part_grows_off_the_training_distribution():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = build_model(small("bayesian_ensemble", samples=20), conditioned())
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    task = Classification(toy_table(np.array([0, 1])))
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
    model.fit_posterior(blobs(rng, 32) for _ in range(10))
    with torch.no_grad():
        known = blobs(rng, 128)
        inside = model(known)
        strange = {**known, "image": known["image"].flip(1) * 3}
        strange["image"] = torch.roll(strange["image"], (9, 7), (2, 3)) - 6
        outside = model(strange)
        noise = {**known, "image": torch.randn_like(known["image"])}
        nothing = model(noise)
    accuracy = ((inside.logit > 0) == (known["label"] > 0)).float().mean()
    assert accuracy > 0.9
    of_known = inside.auxiliary["epistemic"]
    for strangers in (outside, nothing):
        of_strangers = strangers.auxiliary["epistemic"]
        assert of_strangers.mean() > 1.3 * of_known.mean()
        assert (of_strangers[:, None] > of_known).float().mean() > 0.8


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
