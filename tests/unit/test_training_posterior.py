"""The posterior of a trained network: fitted to training samples, and kept in its checkpoint."""

import pytest
import torch
from test_models_registry import small
from test_training_run import QUICK, paths
from training_toy import ToySurvey, alternating

from lenshunt import dataset
from lenshunt.config import TrainingConfig
from lenshunt.evidence.common import load_trained
from lenshunt.training import load_checkpoint, train


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
    assert network.resnet_posterior.fitted.item() == 1
    # 48 draws of the training split are the places, the rest of them are padding that knows nothing
    doubts = network.resnet_posterior.root.abs().sum(dim=1) > 0
    assert doubts.sum().item() == 48
    batch = survey.make_loader(splits=["train"], batch_size=48).batch(torch.arange(48).numpy())
    batch["metadata"] = torch.full((48, 20), torch.nan)
    inside = network.resnet_posterior(network._readouts(*_trunks(network, batch))[0].features)
    noise = {**batch, "image": 300 * torch.randn_like(batch["image"])}
    outside = network.resnet_posterior(network._readouts(*_trunks(network, noise))[0].features)
    assert outside.mean() > 2 * inside.mean()


def _trunks(network, batch):
    channels = network.input(batch["image"], batch["variance"], batch["band_flags"])
    return (network._resnet_trunk(channels), network._vit_trunk(channels)), None


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
