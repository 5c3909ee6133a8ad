"""The equivariant network: group laws, exact invariance, filters kept, one view in prediction."""

import copy
import pickle

import pytest
import torch
from small_models import conditioned, small, toy_batch

from lenshunt.config import load_model_config
from lenshunt.config.model_files import MODEL_FOLDER
from lenshunt.models import build_model, count_parameters
from lenshunt.models.equivariant_resnet import EquivariantResNet
from lenshunt.models.group_convolution import (
    ORDER,
    GroupConvolution,
    GroupNormalisation,
    evened,
    group_filters,
    halved,
    inverse,
    lifted_filters,
    moved_image,
    product,
)
from lenshunt.training.lightning_module import move_averages
from lenshunt.training.predict import dihedral_views, mean_scores

ELEMENTS = range(ORDER)


def network(**changes) -> EquivariantResNet:
    """A small network whose batch statistics are those of some images."""
    # of four features, all may be at rest: not those of this seed
    torch.manual_seed(2)
    model = build_model(small("equivariant_resnet", **changes), conditioned())
    model(toy_batch(8, 40))
    return model.eval()


def faulty_batch(size: int) -> dict[str, torch.Tensor]:
    """Images with unusable pixels and a missing band, none of which is symmetric."""
    batch = toy_batch(4, size, seed=size)
    batch["variance"] = batch["variance"] * (1 + torch.rand_like(batch["variance"]))
    batch["variance"][0, 1, :7, 3] = torch.inf
    batch["variance"][1, :, 2:5] = torch.inf
    batch["band_flags"][2, 3] = 0.0
    return batch


def moved_map(feature_map: torch.Tensor, element: int) -> torch.Tensor:
    """What becomes of a feature map [b, 8 field, y, x] when its image is moved."""
    blocks = feature_map.chunk(ORDER, dim=1)
    return torch.cat(
        [moved_image(blocks[product(inverse(element), g)], element) for g in ELEMENTS], dim=1
    )


def test_the_elements_are_a_group_that_acts_on_images():
    image = torch.randn(2, 3, 5, 5)
    for a in ELEMENTS:
        assert product(inverse(a), a) == product(a, inverse(a)) == 0
        for b in ELEMENTS:
            both = moved_image(moved_image(image, b), a)
            assert torch.equal(both, moved_image(image, product(a, b)))
    assert len({tuple(moved_image(image, a).flatten().tolist()) for a in ELEMENTS}) == ORDER


@pytest.mark.parametrize("size", [7, 8, 9, 10])
@pytest.mark.parametrize("kernel, stride", [(1, 1), (3, 1), (2, 2), (4, 2), (6, 2)])
def test_a_moved_image_gives_a_moved_feature_map(size, kernel, stride):
    torch.manual_seed(size)
    lift = GroupConvolution(2, 3, kernel, stride, lifts=True)
    layer = GroupConvolution(3, 4, 4 if stride == 2 else 3, stride)
    norm = GroupNormalisation(4)
    image = torch.randn(2, 2, size, size + 2)
    norm(layer(lift(image)))
    norm.eval()
    before = halved(norm(layer(lift(image))))
    assert before.shape[1] == 4 * ORDER
    for a in ELEMENTS:
        found = halved(norm(layer(lift(moved_image(image, a)))))
        torch.testing.assert_close(found, moved_map(before, a), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [31, 32, 33, 45, 50, 64])
def test_the_logit_is_the_same_for_all_eight_views_at_any_size(size):
    model = network()
    batch = faulty_batch(size)
    with torch.no_grad():
        views = torch.stack([model(view).logit for view in dihedral_views(batch)])
        features = [model(view).features for view in dihedral_views(batch)]
    # Sums in another order differ in float32's last digits, and in nothing else.
    torch.testing.assert_close(views, views[:1].expand_as(views), atol=2e-6, rtol=2e-6)
    for one in features:
        torch.testing.assert_close(one, features[0], atol=1e-5, rtol=1e-5)
    assert views[0].std() > 1e-4


@pytest.mark.parametrize(
    "options", [{"stem_kernel": 3, "stem_stride": 1}, {"stem_kernel": 4, "stem_pool": False}]
)
def test_other_stems_are_invariant_too(options):
    model = network(backbone=options)
    with torch.no_grad():
        views = torch.stack([model(view).logit for view in dihedral_views(faulty_batch(33))])
    torch.testing.assert_close(views, views[:1].expand_as(views), atol=2e-6, rtol=2e-6)


def test_training_leaves_it_invariant():
    torch.manual_seed(3)
    model = build_model(small("equivariant_resnet"), conditioned())
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(3):
        optimiser.zero_grad()
        model(toy_batch(8, 32, seed=step)).logit.square().sum().backward()
        optimiser.step()
    model.eval()
    with torch.no_grad():
        views = torch.stack([model(view).logit for view in dihedral_views(faulty_batch(32))])
    torch.testing.assert_close(views, views[:1].expand_as(views), atol=1e-5, rtol=1e-5)


def test_it_tells_what_a_rotation_does_not_change():
    # Invariance is not blindness: another arrangement of the same pixels is another image.
    model = network()
    batch = toy_batch(4, 32)
    shuffled = {**batch, "image": batch["image"][:, :, torch.randperm(32)]}
    with torch.no_grad():
        assert (model(batch).logit - model(shuffled).logit).abs().min() > 1e-5


def test_prediction_from_one_view_is_that_from_eight(monkeypatch):
    model = network()
    batch = faulty_batch(40)
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    one = mean_scores(model, batch)["logit"]
    assert len(calls) == 1
    monkeypatch.setattr(type(model), "invariant", False)
    eight = mean_scores(model, batch)["logit"]
    assert len(calls) == 9
    torch.testing.assert_close(one, eight, atol=2e-6, rtol=2e-6)
    as_it_is = mean_scores(model, batch, views=1)["logit"]
    assert len(calls) == 10
    with torch.no_grad():
        torch.testing.assert_close(as_it_is, model(batch).logit)


def test_odd_axes_become_even_about_the_same_middle():
    ramp = torch.arange(5.0).expand(1, 1, 6, 5)
    found = evened(ramp)
    assert found.shape == (1, 1, 6, 4)
    assert float(found.mean()) == pytest.approx(float(ramp.mean()))
    assert evened(found) is found


def test_halving_keeps_the_middle_and_a_single_place():
    ramp = torch.arange(7.0).expand(1, 1, 8, 7)
    found = halved(ramp)
    assert found.shape == (1, 1, 4, 3)
    assert float(found.mean()) == pytest.approx(float(ramp.mean()))
    assert halved(torch.ones(1, 1, 1, 1)).shape == (1, 1, 1, 1)


def test_eight_elements_share_what_is_kept_of_their_batch_statistics():
    norm = GroupNormalisation(3, momentum=1.0)
    x = torch.randn(4, 3 * ORDER, 5, 6) * 3 + torch.arange(3.0).repeat(ORDER)[:, None, None]
    norm(x)
    assert norm.mean.shape == (3,)
    torch.testing.assert_close(norm.mean, x.unflatten(1, (ORDER, 3)).mean(dim=(0, 1, 3, 4)))
    found = norm.eval()(x).unflatten(1, (ORDER, 3))
    torch.testing.assert_close(found.mean(dim=(0, 1, 3, 4)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.var(dim=(0, 1, 3, 4)), torch.ones(3), atol=3e-2, rtol=0)


@pytest.mark.parametrize("lifts", [True, False])
def test_filters_are_those_that_moving_one_by_one_gives(lifts):
    layer = GroupConvolution(2, 3, 3, lifts=lifts)
    moved = (lifted_filters if lifts else group_filters)(layer.weight)
    assert torch.equal(layer.filters(), moved)
    wanted = torch.randn_like(moved)
    (found,) = torch.autograd.grad((layer.filters() * wanted).sum(), layer.weight)
    (expected,) = torch.autograd.grad((moved * wanted).sum(), layer.weight)
    torch.testing.assert_close(found, expected)


def test_kept_filters_follow_the_weights_whatever_changes_them():
    model = network()
    batch, other = toy_batch(2), network(backbone={"stem_kernel": 6})
    torch.nn.init.normal_(other.backbone.stem.weight)

    def fresh() -> torch.Tensor:
        return copy.deepcopy(model).train().eval()(batch).logit

    with torch.inference_mode():
        assert torch.equal(model(batch).logit, model(batch).logit)
        kept = model.backbone.stem.filters()
        assert kept is model.backbone.stem.filters()
    values, targets = list(model.parameters()), list(other.parameters())
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)

    def one_step() -> None:
        model(batch).logit.sum().backward()
        with torch.no_grad():
            model(batch)
        optimiser.step()
        optimiser.zero_grad()

    changes = (
        lambda: move_averages(0.5, [v.detach() for v in values], targets, torch.tensor(9)),
        one_step,
        lambda: model.load_state_dict(other.state_dict()),
        lambda: values[0].detach().mul_(1.5),
        lambda: model.to(memory_format=torch.channels_last),
        lambda: model.to(torch.bfloat16).float(),
        lambda: model.load_state_dict(
            network(backbone={"stem_kernel": 6}).state_dict(), assign=True
        ),
    )
    for change in changes:
        with torch.no_grad():
            model(batch)
            assert model.backbone.stem.filters() is model.backbone.stem.filters()
        change()
        with torch.no_grad():
            assert torch.equal(model(batch).logit, fresh())


def test_a_copy_has_the_filters_of_its_own_weights():
    model, batch = network(), toy_batch(2)
    with torch.no_grad():
        model(batch)
        for weight in model.parameters():
            weight.mul_(1.5)
        averaged, sent = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
        expected = model(batch).logit
        assert torch.equal(averaged(batch).logit, expected)
        assert torch.equal(sent(batch).logit, expected)


def test_a_compiled_network_is_one_graph_and_follows_its_weights():
    layer = GroupConvolution(2, 3, 3).eval()
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    image = torch.randn(1, 2 * ORDER, 6, 6)
    with torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(compiled(image), layer(image))
            layer.weight.mul_(-2.0)


def test_gradients_flow_after_a_prediction_in_inference_mode():
    model = network()
    with torch.inference_mode():
        model(toy_batch(2))
    image = toy_batch(2)["image"].requires_grad_()
    (gradient,) = torch.autograd.grad(model({**toy_batch(2), "image": image}).logit.sum(), image)
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("kernel, stride", [(4, 1), (3, 2)])
def test_a_kernel_that_has_no_middle_at_its_stride_is_an_error(kernel, stride):
    with pytest.raises(ValueError, match="with stride 1 the kernel must be odd"):
        GroupConvolution(1, 1, kernel, stride)


def test_the_wide_network_has_the_parameters_of_a_resnet18_and_others_what_their_files_say():
    def parameters(name: str) -> int:
        with torch.device("meta"):
            file = MODEL_FOLDER / f"{name}.yaml"
            return count_parameters(build_model(load_model_config(file), conditioned()))

    assert parameters("equivariant_resnet") == pytest.approx(parameters("resnet18"), rel=0.03)
    assert parameters("equivariant_resnet_narrow") == pytest.approx(0.8e6, rel=0.03)
    assert parameters("equivariant_resnet_slim") == pytest.approx(0.35e6, rel=0.03)
