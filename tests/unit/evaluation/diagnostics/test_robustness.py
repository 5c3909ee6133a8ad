"""Attack and noise: what they cost grows with their strength, and pairs share their samples."""

import numpy as np
import pytest
import torch
from diagnostics_samples import toy_test, untrained

from lenshunt.evaluation.diagnostics import robustness
from lenshunt.evaluation.diagnostics.common import Trained
from lenshunt.evaluation.diagnostics.robustness import EPSILONS, NOISES, balanced_accuracy, measure

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def learned() -> Trained:
    """A small network that has learned the toys a little."""
    subject = untrained("resnet")
    batch = toy_test(40, 40).batch(np.arange(40))
    network = subject.network.train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(40):
        optimiser.zero_grad()
        logit = network(batch).logit
        torch.nn.functional.binary_cross_entropy_with_logits(logit, batch["label"]).backward()
        optimiser.step()
    return Trained(network.eval(), subject.normalisation, "learned", subject.config)


@pytest.fixture(scope="module")
def diagnostics(learned):
    return measure(learned, untrained("resnet"), toy_test(20, 20), 0)


def of(diagnostics, panel: str, series: str) -> np.ndarray:
    curves = diagnostics.curves
    return curves[(curves["panel"] == panel) & (curves["series"] == series)]["value"].to_numpy()


def test_an_attack_costs_more_the_stronger_it_is(diagnostics):
    area = of(diagnostics, "attack_auroc", "learned")
    assert len(area) == len(EPSILONS)
    assert area[0] > 0.9
    assert (np.diff(area) <= 1e-9).all()
    assert area[-1] < area[0] - 0.2


def test_noise_costs_less_than_an_attack_of_its_size(diagnostics):
    attacked = of(diagnostics, "attack_auroc", "learned")[EPSILONS.index(0.2)]
    noisy = of(diagnostics, "noise_auroc", "learned")[NOISES.index(0.5)]
    assert noisy > attacked


def test_nothing_added_is_the_same_in_every_panel(diagnostics):
    panels = ("attack", "transfer", "noise", "undeclared")
    assert len({of(diagnostics, panel, "learned")[0] for panel in panels}) == 1


def test_an_attack_through_its_own_weights_harms_a_network_more_than_one_through_anothers(
    diagnostics,
):
    own, others = (
        of(diagnostics, panel, "learned")[1:] for panel in ("attack_auroc", "transfer_auroc")
    )
    assert (own <= others).all()
    assert own[-1] < others[-1] - 0.2


def test_a_network_gains_nothing_on_itself(monkeypatch, learned):
    monkeypatch.setattr(robustness, "EPSILONS", (0.0, 0.1))
    monkeypatch.setattr(robustness, "NOISES", (0.0, 1.0))
    found = measure(learned, Trained(learned.network, *list(vars(learned).values())[1:]),
                    toy_test(16), 0)  # fmt: skip
    gains = [value for name, value in found.numbers.items() if "gain" in name]
    # of accuracies and of areas, each with its interval
    assert len(gains) == 2 * 3 * (2 * 2 + 2 * 2)
    assert set(gains) == {0.0}


def test_gains_are_differences_of_the_curves(diagnostics):
    for panel, name in (("noise", "gain"), ("noise_auroc", "auroc_gain")):
        both = of(diagnostics, panel, "learned") - of(diagnostics, panel, "resnet")
        told = [diagnostics.numbers[f"noise_{strength:g}_{name}"] for strength in NOISES]
        np.testing.assert_allclose(told, both, atol=1e-12)


def test_the_attack_takes_some_of_each_class(monkeypatch, learned):
    monkeypatch.setattr(robustness, "ATTACKED_PER_CLASS", 5)
    monkeypatch.setattr(robustness, "EPSILONS", (0.0, 0.1))
    monkeypatch.setattr(robustness, "NOISES", (0.0, 1.0))
    found = measure(learned, None, toy_test(40, 16), 0)
    assert found.numbers["attack_samples"] == 10
    assert found.numbers["noise_samples"] == 40


def test_balanced_accuracy_weighs_the_classes_alike():
    pairs = np.array([[1, 1], [0, 0], [0, 0], [0, 1]], float)
    assert balanced_accuracy(pairs) == pytest.approx((1 + 1 / 3) / 2)
