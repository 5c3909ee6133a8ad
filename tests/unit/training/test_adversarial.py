"""Attacks within the noise, what they leave alone, and scores under attack and under noise."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from small_models import conditioned, small
from training_runs import killed_at, run, same_weights
from training_toy import MemoryLoader, alternating, toy_images, toy_table

from lenshunt.config import Adversarial
from lenshunt.models import Batch, LensNetwork, build_model
from lenshunt.models.inputs import asinh, usable_pixels
from lenshunt.training.adversarial import attacked, evaluating, perturbed
from lenshunt.training.classification import Classification
from lenshunt.training.robustness import Change, changed_logits, noise, pgd, wrong_way

LABELS = alternating(24)
TASK = Classification(toy_table(LABELS))


def toy_batch() -> dict[str, torch.Tensor]:
    """24 toys of several noise levels, with NaN where nothing was measured."""
    batch = MemoryLoader(toy_table(LABELS), toy_images(LABELS)).batch(np.arange(len(LABELS)))
    scale = torch.linspace(0.5, 2.0, len(LABELS))[:, None, None, None]
    variance = batch["variance"] * scale**2
    image = torch.where(torch.isfinite(variance), batch["image"] * scale, torch.nan)
    return {**batch, "image": image, "variance": variance}


@pytest.fixture(scope="module")
def trained() -> torch.nn.Module:
    """A small network that has learned the toys a little."""
    torch.manual_seed(0)
    model = build_model(small("resnet", dropout=0.1), conditioned())
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    batch = toy_batch()
    for _ in range(30):
        optimiser.zero_grad()
        TASK.losses(model(batch), batch).mean().backward()
        optimiser.step()
    return model.eval().requires_grad_(True)


@pytest.mark.parametrize("method", ["fgsm", "pgd"])
@pytest.mark.parametrize("epsilon", [0.05, 0.5, 2.0])
def test_an_attack_stays_within_its_bound_and_raises_the_loss(trained, method, epsilon):
    torch.manual_seed(1)
    batch = toy_batch()
    config = Adversarial(method=method, epsilon_sigma=epsilon, steps=5)
    image = perturbed(trained, TASK.losses, batch, config)
    usable = usable_pixels(batch["variance"], batch["band_flags"])
    change = ((image - batch["image"]) / batch["variance"].sqrt())[usable].abs()
    # The sum with a bright pixel is rounded.
    assert change.max() <= epsilon * (1 + 1e-6) + 1e-5
    assert change.max() > 0.99 * epsilon
    torch.testing.assert_close(image[~usable], batch["image"][~usable], equal_nan=True)
    assert torch.equal(image[~usable].isnan(), batch["image"][~usable].isnan())
    with torch.no_grad():
        before = TASK.losses(trained(batch), batch)
        after = TASK.losses(trained({**batch, "image": image}), batch)
    assert after.mean() > before.mean()
    # one step of twice the noise goes past the worst place of some
    overshoots = method == "fgsm" and epsilon > 1
    assert (after > before).float().mean() > (0.6 if overshoots else 0.9)


def test_more_steps_find_more(trained):
    batch, losses = toy_batch(), {}
    for method, steps in (("fgsm", 1), ("pgd", 10)):
        torch.manual_seed(1)
        config = Adversarial(method=method, epsilon_sigma=0.3, steps=steps)
        image = perturbed(trained, TASK.losses, batch, config)
        with torch.no_grad():
            losses[method] = float(TASK.losses(trained({**batch, "image": image}), batch).mean())
    assert losses["pgd"] > losses["fgsm"]


def test_an_attack_touches_neither_statistics_nor_gradients_nor_modes(trained):
    model = build_model(small("resnet", dropout=0.1), conditioned())
    model.load_state_dict(trained.state_dict())
    model.train()
    model.backbone.embedder.eval()  # a frozen part stays frozen
    modes = [part.training for part in model.modules()]
    first = next(model.parameters())
    first.grad = torch.ones_like(first)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    attacked(model, TASK.losses, toy_batch(), Adversarial(share=1.0))
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())
    assert [part.training for part in model.modules()] == modes
    assert torch.equal(first.grad, torch.ones_like(first))
    assert all(p.grad is None for p in model.parameters() if p is not first)


def test_modes_come_back_after_an_error(trained):
    trained.train()
    with pytest.raises(RuntimeError, match="stop"), evaluating(trained):
        assert not any(part.training for part in trained.modules())
        raise RuntimeError("stop")
    assert all(part.training for part in trained.modules())
    trained.eval()


def test_only_the_configured_share_is_attacked(trained):
    batch = toy_batch()
    torch.manual_seed(2)
    times = torch.zeros(24)
    for _ in range(40):
        image = attacked(trained, TASK.losses, batch, Adversarial(steps=1, share=0.25))["image"]
        changed = (image.nan_to_num() != batch["image"].nan_to_num()).flatten(1).any(dim=1)
        assert changed.sum() == 6
        times += changed
    # Online samples are the last of a batch, and must be attacked as often as the others: 10
    # times of 40 each, give or take 2.7.
    assert times.min() >= 2
    assert times[12:].sum() == pytest.approx(120, abs=30)
    assert attacked(trained, TASK.losses, batch, Adversarial(share=0.0)) is batch


def test_attacks_are_drawn_from_the_global_random_numbers(trained):
    found = []
    for seed in (4, 4, 5):
        torch.manual_seed(seed)
        found.append(perturbed(trained, TASK.losses, toy_batch(), Adversarial()).nan_to_num())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_an_attack_under_autocast_leaves_the_weights_their_gradients(trained):
    batch = toy_batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        seen = attacked(trained, TASK.losses, batch, Adversarial(share=1.0))
        assert seen["image"].dtype == torch.float32
        loss = TASK.losses(trained(seen), seen).mean()
    gradients = torch.autograd.grad(loss, list(trained.parameters()))
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    assert gradients[0].abs().max() > 0


@pytest.mark.slow
def test_a_killed_training_with_attacks_resumes_and_ends_bit_equal(
    toy,
    tmp_path,
    monkeypatch,
):
    options = {
        "architecture": "equivariant_resnet",
        "epochs": 2,
        "precision": "bf16",
        "accumulate_batches": 2,
        "adversarial": {"steps": 2, "epsilon_sigma": 0.3},
    }
    whole = run(tmp_path, "whole", **options)
    assert not same_weights(whole, run(tmp_path, "plain", **{**options, "adversarial": None}))
    with killed_at(1, monkeypatch):
        run(tmp_path, "cut", **options)
    torch.manual_seed(999)
    assert same_weights(run(tmp_path, "cut", **options), whole)


def test_the_stretch_has_the_gradient_of_asinh():
    x = torch.cat([-torch.logspace(-4, 5, 40), torch.logspace(-4, 5, 40)]).requires_grad_()
    (gradient,) = torch.autograd.grad(asinh(x).sum(), x)
    torch.testing.assert_close(gradient, 1 / torch.sqrt(1 + x.detach() ** 2), rtol=2e-3, atol=0)


def test_the_gradient_in_the_image_is_a_finite_difference(trained):
    model = build_model(small("resnet"), conditioned())
    model.load_state_dict(trained.state_dict())
    model = model.double().eval()
    batch = {k: v.double() if v.is_floating_point() else v for k, v in toy_batch().items()}
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(batch["image"].shape, generator=generator).double()

    # in float64, as `Prediction.features` are not
    found: list[torch.Tensor] = []
    model.heads.register_forward_pre_hook(lambda _, given: found.append(given[0]))

    def total(image: torch.Tensor) -> torch.Tensor:
        model({**batch, "image": image})
        return found.pop().sum()

    image = batch["image"].nan_to_num().requires_grad_()
    (gradient,) = torch.autograd.grad(total(image), image)
    step = 1e-7  # none of the network's kinks lies within, but for bad luck
    with torch.no_grad():
        difference = (total(image + step * direction) - total(image - step * direction)) / 2 / step
    assert float((gradient * direction).sum()) == pytest.approx(float(difference), rel=0.01)


def accuracies(
    model: LensNetwork, batches: list[Batch], strengths: list[float], change: Change
) -> list[float]:
    """Share of samples on the right side of logit 0, at each strength."""
    lens, logits = changed_logits(model, batches, strengths, change, seed=0)
    return [float(((logits[strength] > 0) == lens).mean()) for strength in strengths]


def test_no_attack_and_no_noise_are_the_clean_images(trained):
    batch = toy_batch()
    with torch.no_grad():
        clean = trained(batch).logit.numpy()
    for change in (pgd(trained, 10), noise(True), noise(False)):
        lens, logits = changed_logits(trained, [batch], [0.0, 0.5], change, 0)
        assert logits[0.0] == pytest.approx(clean, abs=1e-6)
        assert np.abs(logits[0.5] - clean).max() > 1e-3
        assert lens.tolist() == (batch["label"] == 1).tolist()


@pytest.mark.slow
def test_accuracy_falls_with_the_strength_of_an_attack(trained):
    strengths = [0.0, 0.2, 1.0, 3.0]
    lens, logits = changed_logits(trained, [toy_batch()], strengths, pgd(trained, 10), 0)
    loss = [np.logaddexp(0, np.where(lens, -logits[s], logits[s])).mean() for s in strengths]
    area = [roc_auc_score(lens, logits[strength]) for strength in strengths]
    assert (np.diff(loss) > 0).all()
    assert (np.diff(area) <= 0).all()
    found = accuracies(trained, [toy_batch()], strengths, pgd(trained, 10))
    assert found[-1] < found[0]


def test_robustness_is_repeatable_and_leaves_model_and_random_numbers_alone(trained):
    trained.train()
    before = {name: values.clone() for name, values in trained.state_dict().items()}
    torch.manual_seed(7)
    state = torch.get_rng_state()
    first = changed_logits(trained, [toy_batch()], [0.3], pgd(trained, 10), 0)[1][0.3]
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(8)
    again = changed_logits(trained, [toy_batch()], [0.3], pgd(trained, 10), 0)[1][0.3]
    assert np.array_equal(first, again)
    assert all(torch.equal(before[name], now) for name, now in trained.state_dict().items())
    assert trained.training
    trained.eval()


def test_samples_without_a_label_do_not_count(trained):
    batch = toy_batch()
    batch["label"] = torch.where(torch.arange(24) < 4, -1.0, batch["label"])
    assert len(changed_logits(trained, [batch, batch], [0.1], noise(True), 0)[0]) == 40
    prediction = trained(batch)
    assert (wrong_way(prediction, batch)[:4] == 0).all()


def test_a_network_that_is_very_sure_is_attacked_all_the_same(trained):
    # In float32 the cross-entropy of a lens with a logit of 40 has no gradient at all.
    sure = build_model(small("resnet"), conditioned()).eval()
    sure.load_state_dict(trained.state_dict())
    with torch.no_grad():
        sure.heads.logit.weight *= 1e4
        sure.heads.logit.bias *= 1e4
    plain, scaled = (
        accuracies(model, [toy_batch()], [0.0, 1.0], pgd(model, 10)) for model in (trained, sure)
    )
    assert scaled == pytest.approx(plain, abs=1 / 24)
    assert plain[1] < plain[0]


def test_noise_has_the_configured_strength_and_the_variance_says_so():
    seen = []

    class Spy(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, batch):
            seen.append(batch)
            return build_model(small("resnet"), conditioned())(batch)

    batch = toy_batch()
    for declared in (True, False):
        changed_logits(Spy(), [batch], [2.0], noise(declared), 0)
    usable = usable_pixels(batch["variance"], batch["band_flags"])
    for found in seen:
        pull = (found["image"] - batch["image"]) / batch["variance"].sqrt()
        assert float(pull[usable].std()) == pytest.approx(2.0, rel=0.02)
        assert torch.equal(found["image"][~usable].isnan(), batch["image"][~usable].isnan())
    torch.testing.assert_close(seen[0]["variance"], batch["variance"] * 5)
    torch.testing.assert_close(seen[1]["variance"], batch["variance"])
