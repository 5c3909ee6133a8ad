"""The posterior of a trained network: fitted to training samples, and kept in its checkpoint."""

import numpy as np
import pytest
import torch
from small_models import small
from training_runs import QUICK, paths
from training_toy import ToySurvey, alternating

from lenshunt import dataset
from lenshunt.config import TrainingConfig
from lenshunt.evaluation.diagnostics.common import load_trained
from lenshunt.training import load_checkpoint, train

pytestmark = pytest.mark.slow


@pytest.fixture
def survey(monkeypatch) -> ToySurvey:
    toy = ToySurvey(train=alternating(48), val_select=alternating(16))
    monkeypatch.setattr(dataset, "make_loader", toy.make_loader, raising=False)
    return toy


def trained(folder, architecture: str, name: str = "a") -> str:
    """Path of the checkpoint of a training of one epoch."""
    arguments = paths(folder, name)
    train(
        **arguments,
        model=small(architecture),
        training=TrainingConfig(**{**QUICK, "epochs": 1}),
        seed=3,
        pretrained=None,
        log_dir=str(folder / f"{name}.log"),
        threads=1,
    )
    return arguments["checkpoint"]


def test_a_checkpoint_holds_the_posterior_at_its_final_weights(survey, tmp_path):
    network = load_trained(trained(tmp_path, "bayesian_ensemble")).network
    for posterior in (network.resnet_posterior, network.vit_posterior):
        assert posterior.fitted
        # the 48 of the training split are the places, the rest is padding that knows nothing
        assert (posterior.root.abs().sum(dim=1) > 0).sum().item() == 48
    known = survey.make_loader(splits=["train"], batch_size=48).batch(np.arange(48))
    strange = {**known, "image": 300 * torch.randn_like(known["image"])}
    with torch.no_grad():
        inside, outside = (network(batch).auxiliary["epistemic"] for batch in (known, strange))
    assert outside.mean() > 1.2 * inside.mean()


def test_the_same_training_ends_with_the_same_posterior(survey, tmp_path):
    first, second = (
        load_checkpoint(trained(tmp_path, "bayesian_ensemble", name), "classifier")["state"]
        for name in ("a", "b")
    )
    for name, values in first.items():
        assert torch.equal(values, second[name]), name


def test_other_networks_have_none(survey, tmp_path):
    network = load_trained(trained(tmp_path, "resnet")).network
    assert network.posterior_samples == 0
    with pytest.raises(ValueError, match="ResNet has no posterior"):
        network.fit_posterior([])
