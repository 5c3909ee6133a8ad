"""Every model of the registry: interface, gradients, identity at start, shared backbones."""

import pytest
import torch
from segment_samples import random_segments
from small_models import conditioned, small, toy_batch

from lenshunt.config import ModelConfig, TrainingConfig, load_model_config, model_names
from lenshunt.config.model_files import MODEL_FOLDER
from lenshunt.models import (
    CONDITIONS,
    REGISTRY,
    backbone_parameters,
    backbone_state,
    build_model,
    count_parameters,
    load_backbone,
)
from lenshunt.models.conditions import SEEING_CONDITIONS, SKY_CONDITIONS


@pytest.mark.parametrize("architecture", sorted(REGISTRY))
def test_every_model_returns_a_prediction_for_any_image_size(architecture):
    model = build_model(small(architecture), conditioned(), ["redshift"]).eval()
    for size in (32, 40, 64):
        found = model(toy_batch(3, size))
        assert found.logit.shape == (3,)
        assert found.features.shape[0] == 3
        assert found.lens_parameters is None
        assert found.auxiliary["redshift"].shape == (3,)


@pytest.mark.parametrize("architecture", sorted(REGISTRY))
def test_gradients_reach_every_parameter(architecture):
    torch.manual_seed(1)
    model = build_model(small(architecture), conditioned(), ["redshift"])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    # Two steps: what lies before FiLM's zero weights gets a gradient once they have moved.
    for _ in range(2):
        optimizer.zero_grad()
        found = model(toy_batch())
        (found.logit.square().sum() + found.auxiliary["redshift"].square().sum()).backward()
        optimizer.step()
    # A key's bias shifts all scores of a query alike: the softmax does not see it.
    still = [
        name
        for name, p in model.named_parameters()
        if (p.grad is None or not p.grad.any()) and not name.endswith("k_proj.bias")
    ]
    assert still == []


@pytest.mark.parametrize("architecture", sorted(REGISTRY))
def test_any_number_of_bands(architecture):
    normalisation = conditioned(band_sigma_njy=(1.0, 2.0), bands=("r", "i"))
    batch = toy_batch(2)
    batch.update({k: batch[k][:, :2] for k in ("image", "variance", "band_flags")})
    batch["segments"] = random_segments(2, bands=2)
    assert build_model(small(architecture), normalisation).eval()(batch).logit.shape == (2,)


def test_film_starts_as_the_identity():
    torch.manual_seed(2)
    film = build_model(small("film_resnet"), conditioned()).eval()
    plain = build_model(small("resnet"), conditioned()).eval()
    plain.load_state_dict({**backbone_state(film), **_heads(film)}, strict=False)
    batch = toy_batch()
    torch.testing.assert_close(film(batch).logit, plain(batch).logit)
    other = {**batch, "metadata": batch["metadata"] + 3.0}
    assert torch.equal(film(batch).logit, film(other).logit)


def _heads(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {k: v for k, v in model.state_dict().items() if k.startswith("heads.")}


def test_film_that_is_not_told_the_seeing_hears_all_else():
    model = build_model(small("film_resnet", told_seeing=False), conditioned()).eval()
    for layer in model.film.values():
        torch.nn.init.normal_(layer.linear.weight, std=0.3)
    batch = {**toy_batch(), "metadata": torch.zeros(6, len(CONDITIONS))}
    logit = model(batch).logit
    heard = set()
    for name, column in zip(CONDITIONS, range(len(CONDITIONS)), strict=True):
        metadata = batch["metadata"].clone()
        metadata[:, column] = 1.0
        if not torch.equal(model({**batch, "metadata": metadata}).logit, logit):
            heard.add(name)
    assert heard == set(CONDITIONS) - {*SEEING_CONDITIONS, *SKY_CONDITIONS}


def test_film_listens_to_the_conditions_once_its_weights_have_moved():
    model = build_model(small("film_resnet"), conditioned()).eval()
    for layer in model.film.values():
        torch.nn.init.normal_(layer.linear.weight, std=0.1)
    batch = toy_batch()
    other = {**batch, "metadata": batch["metadata"] + 1.0}
    assert not torch.allclose(model(batch).logit, model(other).logit)


def test_a_backbone_moves_between_models_of_one_family_only():
    film, plain = (build_model(small(a), conditioned()) for a in ("film_resnet", "resnet"))
    load_backbone(plain, backbone_state(film), "here.pt")
    for name, values in backbone_state(film).items():
        assert torch.equal(plain.state_dict()[name], values)
    wider = build_model(small("resnet", backbone={"widths": [8, 16, 16, 32]}), conditioned())
    with pytest.raises(ValueError, match=r"here\.pt: backbone"):
        load_backbone(wider, backbone_state(film), "here.pt")


def test_an_unknown_parameter_is_named_with_the_known_ones():
    known = r"no such parameter; parameters\.backbone takes widths, depths"
    with pytest.raises(ValueError, match=rf"parameters\.backbone\.depth: resnet has {known}"):
        build_model(small("resnet", backbone={"depth": 18}), conditioned())


def test_a_value_where_a_group_belongs_is_refused_and_a_group_where_a_value_does():
    with pytest.raises(ValueError, match=r"parameters\.backbone: found 3; vit wants a group"):
        build_model(small("vit", backbone=3), conditioned())
    with pytest.raises(ValueError, match=r"parameters\.dropout: found .* wants a single value"):
        build_model(small("vit", dropout={"rate": 0.1}), conditioned())


def test_what_a_group_does_not_name_has_the_default_of_its_architecture():
    film = ModelConfig(
        architecture="film_resnet", backbone="a", parameters={"backbone": {"widths": [8, 8, 8, 8]}}
    )
    assert backbone_parameters(film)["backbone.widths"] == [8, 8, 8, 8]
    assert backbone_parameters(film)["backbone.depths"] == [3, 4, 6, 3]


def test_patches_that_do_not_fit_the_image_are_an_error():
    with pytest.raises(ValueError, match="patch_px 7 does not divide"):
        build_model(small("vit", backbone={"patch_px": 7}), conditioned())


def test_the_standard_depths_have_the_published_sizes():
    normalisation = conditioned(band_sigma_njy=(1.0, 1.0, 1.0), bands=("g", "r", "i"))
    for depths, layer_type, millions in (
        ([2, 2, 2, 2], "basic", 11.18),
        ([3, 4, 6, 3], "basic", 21.28),
        ([3, 4, 6, 3], "bottleneck", 23.51),
    ):
        config = ModelConfig(
            architecture="resnet",
            backbone="standard",
            residual_channels=False,
            parameters={"backbone": {"depths": depths, "layer_type": layer_type}},
        )
        with torch.device("meta"):
            model = build_model(config, normalisation)
        # He et al. 2016 as counted by torchvision, without its 1000-class layer; 3 more channels.
        assert count_parameters(model) / 1e6 == pytest.approx(millions, abs=0.03)


@pytest.mark.parametrize("name", model_names())
def test_the_shipped_models_build_and_their_training_keys_exist(name):
    config = load_model_config(MODEL_FOLDER / f"{name}.yaml")
    with torch.device("meta"):
        build_model(config, conditioned(size_px=64))
    TrainingConfig(**config.training)
