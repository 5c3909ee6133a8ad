"""Models that read segments: no order, no padding, no up; a galaxy alone is a system too."""

import pytest
import torch
import yaml
from segment_models import built, group
from segment_samples import BLUE, RED, padding, random_segments, with_segments
from small_models import conditioned, toy_batch

from lenshunt.config import ConfigError, check_config, load_model_config, parse_config
from lenshunt.core import ROOT
from lenshunt.models import (
    backbone_state,
    load_backbone,
)
from lenshunt.models.color_aware_lens import ColorAwareLens
from lenshunt.models.gat_lens import GatLens
from lenshunt.models.segment_graph import (
    deflector_centre,
    edge_features,
    flat_graph,
    radii,
    system_nodes,
)
from lenshunt.models.segment_patches import segment_patches

SCALE = conditioned().pixel_scale_arcsec
BOTH = pytest.mark.parametrize("kind", [GatLens, ColorAwareLens])


@BOTH
def test_the_order_of_the_segments_does_not_matter(kind):
    model, batch = built(kind).eval(), toy_batch(6)
    turned = batch["segments"][:, [2, 0, 3, 1]]
    first, second = model(batch), model(with_segments(batch, turned))
    torch.testing.assert_close(first.logit, second.logit, atol=1e-5, rtol=1e-4)


@BOTH
@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_nothing(kind, training):
    model, batch = built(kind).train(training), toy_batch(6)
    more = torch.cat([batch["segments"], padding(6, 3)], dim=1)
    first, second = model(batch), model(with_segments(batch, more))
    torch.testing.assert_close(first.logit, second.logit, atol=1e-5, rtol=1e-4)
    if model.terms:
        loss = [model.loss_terms(p, batch, ("colour",))["colour"] for p in (first, second)]
        torch.testing.assert_close(*loss)


@BOTH
@pytest.mark.parametrize("rows", [0, 4])
def test_samples_without_segments_are_scored_by_their_galaxy(kind, rows):
    model = built(kind)
    batch = with_segments(toy_batch(3), padding(3, rows))
    found = model(batch)
    found.logit.sum().backward()
    assert torch.isfinite(found.logit).all()
    assert found.logit.unique().numel() == 3
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    if model.terms:
        assert torch.isnan(found.auxiliary["colour_distance"]).all()
        assert not model.loss_terms(found, batch, ("colour",))["colour"].any()


@BOTH
def test_segments_that_were_never_made_are_an_error_not_an_empty_system(kind):
    batch = toy_batch(2)
    del batch["segments"]
    with pytest.raises(ValueError, match=r"segments\.enabled: true"):
        built(kind)(batch)
    with pytest.raises(ValueError, match="segments have 2 bands and the images 5"):
        built(kind)(with_segments(batch, random_segments(2, bands=2)))


@BOTH
def test_one_sample_does_not_depend_on_those_beside_it(kind):
    model, batch = built(kind).eval(), toy_batch(6)
    alone = [model({k: v[i : i + 1] for k, v in batch.items()}).logit for i in range(6)]
    torch.testing.assert_close(model(batch).logit, torch.cat(alone), atol=1e-5, rtol=1e-4)


@BOTH
def test_gradients_reach_every_parameter_through_segments(kind):
    model, batch = built(kind), toy_batch()
    batch["theta_e"] = torch.ones(len(batch["image"]))
    found = model(batch)
    terms = model.loss_terms(found, batch, model.terms)
    sum((term.sum() for term in terms.values()), start=found.logit.square().sum()).backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # a key's bias shifts all scores of a query alike: the softmax does not see it
    assert [n for n in still if not n.endswith("key.bias")] == []


@BOTH
def test_a_band_that_is_hidden_in_the_image_is_hidden_in_the_segments(kind):
    model, batch = built(kind).eval(), toy_batch(3)
    batch["band_flags"][:, 1] = 0
    other = batch["segments"].clone()
    other[..., 1] *= 3
    assert torch.equal(model(batch).logit, model(with_segments(batch, other)).logit)


@BOTH
def test_pretraining_needs_no_segments_and_gives_the_backbone(kind):
    pretrained, model = built(kind, auxiliary=["redshift"]), built(kind)
    batch = toy_batch(3)
    del batch["segments"]
    assert pretrained(batch).auxiliary["redshift"].shape == (3,)
    torch.nn.init.normal_(next(pretrained.backbone.parameters()))
    load_backbone(model, backbone_state(pretrained), "here.pt")
    assert all(
        torch.equal(model.state_dict()[name], values)
        for name, values in backbone_state(pretrained).items()
    )


def test_half_precision_changes_little():
    for kind in (GatLens, ColorAwareLens):
        model, batch = built(kind).eval(), toy_batch(4)
        with torch.autocast("cpu", torch.bfloat16):
            found = model(batch).logit
        torch.testing.assert_close(found, model(batch).logit, atol=0.1, rtol=0.1)


def test_the_graph_does_not_know_where_up_is():
    model, batch = built(GatLens).eval(), toy_batch(5)
    nodes = system_nodes(batch, SCALE)
    patches = torch.randn(*nodes.there.shape, 16)
    reddening = model.dust(batch)
    found = []
    for quarter in range(4):
        turned = batch["segments"].clone()
        for _ in range(quarter):
            turned[..., 10], turned[..., 11] = turned[..., 11].clone(), -turned[..., 10].clone()
        image = torch.rot90(batch["image"], quarter, (2, 3))
        nodes = system_nodes({**batch, "image": image, "segments": turned}, SCALE)
        # the aperture's sum in another order is another float32: one for all
        nodes.flux[:, 0] = 0
        centre, radius = model.centre_and_radii(nodes)
        found.append(model.graph_part(nodes, patches, centre, radius, reddening)[0])
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], atol=1e-6, rtol=1e-6)


def test_patches_turn_with_the_image():
    torch.manual_seed(0)
    image = torch.randn(1, 2, 32, 32)
    sample, centre = torch.zeros(1, dtype=torch.long), torch.zeros(1, 2)
    place = torch.tensor([[1.2, 0.7]])
    turned = torch.stack([place[:, 1], -place[:, 0]], dim=1)
    first = segment_patches(image, sample, place, centre, 9, SCALE)
    rotated = torch.rot90(image, 1, (2, 3))
    second = segment_patches(rotated, sample, turned, centre, 9, SCALE)
    torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-4)
    assert first.abs().max() > 0.5


def test_a_patch_shows_what_lies_at_its_segment():
    # up in arcsec is up in rows; the radius points up in the patch
    image = torch.zeros(1, 1, 32, 32)
    image[0, 0, 25, 16] = 1.0
    at = torch.tensor([[(16 - 15.5) * SCALE, (25 - 15.5) * SCALE]])
    patch = segment_patches(image, torch.zeros(1, dtype=torch.long), at, at, 5, SCALE)
    assert float(patch[0, 0, 2, 2]) == pytest.approx(1.0, abs=1e-4)
    assert float(patch.sum()) == pytest.approx(1.0, abs=1e-3)


def test_edges_end_at_five_arcsec_and_every_node_sees_itself():
    batch = group([[BLUE, BLUE]])
    batch["segments"][0, 0, 10:12] = torch.tensor([4.0, 0.0])
    batch["segments"][0, 1, 10:12] = torch.tensor([-4.0, 0.0])
    nodes = system_nodes(batch, SCALE)
    centre = torch.zeros(1, 2)
    between = edge_features(nodes, centre, torch.ones(1, 5))
    edges = {tuple(e) for e in flat_graph(nodes, between).edges.T.tolist()}
    assert edges == {(0, 0), (1, 1), (2, 2), (0, 1), (1, 0), (0, 2), (2, 0)}
    assert float(between[0, 1, 2, 0]) == pytest.approx(8.0 / 5.0)
    assert float(between[0, 1, 2, 1]) == pytest.approx(-1.0, abs=1e-3)
    assert float(between[0, 1, 2, 5]) == pytest.approx(0.0, abs=1e-3)


def test_a_second_deflector_moves_the_centre_between_the_two():
    batch = group([[RED, BLUE, BLUE]])
    nodes = system_nodes(batch, SCALE)
    deflects = torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    middle = nodes.position[0, 1] / 2
    torch.testing.assert_close(deflector_centre(nodes, deflects)[0], middle)
    radius = radii(nodes, deflector_centre(nodes, deflects))[0]
    torch.testing.assert_close(radius[0], radius[1])
    alone = deflector_centre(nodes, torch.zeros(1, 4))
    assert torch.equal(alone, torch.zeros(1, 2))


def test_a_model_that_reads_segments_needs_them_to_be_made():
    values = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    values["experiments"]["ground"]["models"] = ["gat_lens_narrow"]
    path = ROOT / "config" / "models" / "gat_lens_narrow.yaml"
    models = {"gat_lens_narrow": load_model_config(path)}
    with pytest.raises(ConfigError, match=r"segments\.enabled: false, but experiments\.ground"):
        check_config(parse_config({**values, "segments": {"enabled": False}}), models)
    check_config(parse_config({**values, "segments": {"enabled": True}}), models)
