"""Arc-aware attention: geometry in arcsec, its symmetries, a start as a plain ViT, no leaks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import conditioned, small, toy_batch
from training_toy import SIZE, alternating, toy_images

from lenshunt.models import (
    CONDITIONS,
    LensNetwork,
    backbone_state,
    build_model,
    load_backbone,
)
from lenshunt.models.arc_attention import (
    ArcBias,
    PositionEncoder,
    geometry_tables,
    pair_features,
    patch_centres,
    position_waves,
)
from lenshunt.models.conditions import OBSERVING_CONDITIONS, SKY_CONDITIONS

CPU = torch.device("cpu")


def moved_bias(layers: int = 2, heads: int = 3) -> ArcBias:
    torch.manual_seed(3)
    bias = ArcBias(layers, heads, 16)
    torch.nn.init.normal_(bias.out.weight)
    return bias


def enhanced(**changes) -> LensNetwork:
    torch.manual_seed(4)
    return build_model(small("enhanced_vit", **changes), conditioned()).eval()


def with_moved_weights(model: LensNetwork) -> LensNetwork:
    torch.nn.init.normal_(model.backbone.arc_bias.out.weight, std=0.5)
    torch.nn.init.normal_(model.context.weight, std=0.5)
    return model


@settings(max_examples=20, deadline=None)
@given(
    side=st.integers(2, 9),
    patch_arcsec=st.floats(0.2, 4.0),
    turns=st.integers(0, 3),
    mirrored=st.booleans(),
)
def test_the_bias_is_blind_to_quarter_turns_and_mirrors_of_both_patches(
    side, patch_arcsec, turns, mirrored
):
    _, pairs = geometry_tables(side, side, patch_arcsec, CPU)
    order = torch.rot90(torch.arange(side**2).view(side, side), turns)
    order = (order.flip(1) if mirrored else order).flatten()
    bias = moved_bias()(pairs)[:, :, 1:, 1:]
    moved = bias[:, :, order][:, :, :, order]
    assert bias.std() > 0.01
    torch.testing.assert_close(moved, bias, atol=1e-5, rtol=1e-5)


def test_geometry_is_that_of_any_rotation_about_the_centre():
    centres = patch_centres(6, 6, 0.7)
    cos, sin = np.cos(0.83), np.sin(0.83)
    turned = centres @ torch.tensor([[cos, sin], [-sin, cos]], dtype=centres.dtype)
    torch.testing.assert_close(pair_features(turned), pair_features(centres), atol=1e-6, rtol=0)


def test_geometry_tells_the_arc_from_what_is_as_far_away():
    circle = torch.tensor([[2.0, 0.0], [2 * np.cos(0.5), 2 * np.sin(0.5)]], dtype=torch.float64)
    chord = float((circle[1] - circle[0]).norm())
    points = torch.cat([circle, torch.tensor([[2.0 + chord, 0.0]], dtype=torch.float64)])
    query = pair_features(points)[0]
    # narrowest Gaussian in radius: 1 along the circle, less outwards; in tangent: the reverse
    torch.testing.assert_close(query[1, 0], torch.tensor(1.0, dtype=torch.float64))
    assert query[2, 0] < 0.2
    torch.testing.assert_close(query[2, 4], torch.tensor(1.0, dtype=torch.float64))
    # 2 arcsec x 0.5 radians along the arc, Gaussian of width 1 arcsec
    assert float(query[1, 4]) == pytest.approx(np.exp(-0.5), abs=1e-6)


def test_a_patch_at_the_centre_has_finite_geometry():
    pairs = pair_features(patch_centres(3, 3, 1.0))
    assert torch.isfinite(pairs).all()
    middle = pairs[4]
    for corner in (2, 6, 8):
        torch.testing.assert_close(middle[corner], middle[0])


def test_the_same_arcsec_have_the_same_geometry_whatever_the_pixels():
    fine, coarse = patch_centres(8, 8, 0.75), patch_centres(4, 4, 1.5)
    torch.testing.assert_close(fine.view(4, 2, 4, 2, 2).mean(dim=(1, 3)).view(16, 2), coarse)
    larger = patch_centres(8, 8, 1.5).view(8, 8, 2)[2:6, 2:6].reshape(16, 2)
    torch.testing.assert_close(larger, coarse)
    torch.testing.assert_close(position_waves(larger, 1.5), position_waves(coarse, 1.5))


def test_waves_are_means_over_a_patch():
    """What is finer than a patch fades: against means of waves over each patch, in x and y."""
    patch, rays = 1.5, 200
    offset = (torch.arange(rays, dtype=torch.float64) + 0.5) / rays * patch - patch / 2
    centre = patch_centres(2, 2, patch)[3:]
    fine = torch.stack([centre[0, 0] + offset, torch.full_like(offset, 9.0)], dim=1)
    mean = position_waves(fine, 0.0).mean(dim=0).view(3, -1)[0]
    torch.testing.assert_close(
        position_waves(centre, patch).view(3, -1)[0], mean, atol=1e-4, rtol=1e-4
    )


def test_it_starts_as_a_plain_vit():
    model = enhanced()
    plain = build_model(small("vit"), conditioned()).eval()
    vit = {
        name.replace("backbone.vit.", "backbone."): values
        for name, values in backbone_state(model).items()
        if name.startswith("backbone.vit.")
    }
    waves, _ = geometry_tables(4, 4, 8 * 0.168, CPU)
    places = model.backbone.positions(waves).detach()
    vit["backbone.embeddings.position_embeddings"] = torch.cat(
        [torch.zeros(1, places.shape[1]), places]
    )[None]
    heads = {k: v for k, v in model.state_dict().items() if k.startswith("heads.")}
    missing = plain.load_state_dict({**vit, **heads}, strict=False)
    assert not missing.unexpected_keys
    assert all(name.startswith("input.") for name in missing.missing_keys)
    batch = toy_batch()
    torch.testing.assert_close(model(batch).logit, plain(batch).logit, atol=1e-5, rtol=1e-5)
    with_moved_weights(model)
    assert not torch.allclose(model(batch).logit, plain(batch).logit, atol=1e-3)


def test_attention_follows_the_bias():
    """A bias that only patches of the same radius survive: others cannot change the token."""
    model = enhanced(backbone={"layers": 1})
    narrow = model.backbone.arc_bias
    with torch.no_grad():
        narrow.hidden.weight.zero_()
        narrow.hidden.bias.zero_()
        narrow.hidden.weight[0, 0] = 50.0
        narrow.hidden.bias[0] = -25.0
        narrow.out.weight[:, 0] = 100.0
    channels = torch.randn(1, model.input.channels, 32, 32)
    changed = channels.clone()
    changed[:, :, 8:16, 8:16] += 1.0  # one of the four inner patches
    before, after = (model.backbone(c, None)[0] for c in (channels, changed))
    moved = (after - before).abs().amax(dim=1).view(4, 4) > 1e-5
    inner = torch.zeros(4, 4, dtype=torch.bool)
    inner[1:3, 1:3] = True
    assert torch.equal(moved, inner)


def test_a_turned_image_without_positions_has_the_same_features():
    """Patches of one pixel have no up of their own, so what is left is the bias's symmetry."""
    model = with_moved_weights(enhanced(backbone={"patch_px": 1}))
    torch.nn.init.zeros_(model.backbone.positions.linear.weight)
    batch = toy_batch(2, 8)
    turned = {**batch, "image": torch.rot90(batch["image"], 1, (2, 3))}
    torch.testing.assert_close(model(turned).features, model(batch).features, atol=1e-4, rtol=1e-4)


def test_a_table_first_made_for_prediction_serves_a_training():
    geometry_tables.cache_clear()
    model = with_moved_weights(enhanced())
    with torch.inference_mode():
        model(toy_batch())
    made = geometry_tables.cache_info().misses
    model.train()(toy_batch()).logit.sum().backward()
    assert geometry_tables.cache_info().misses == made == 1
    assert model.backbone.arc_bias.hidden.weight.grad.abs().max() > 0
    assert model.backbone.positions.linear.weight.grad.abs().max() > 0


def test_bfloat16_agrees_with_float32():
    model = with_moved_weights(enhanced())
    exact = model(toy_batch()).logit
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(toy_batch()).logit
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, atol=0.05, rtol=0.05)


def test_images_of_another_size_must_still_be_filled_by_patches():
    with pytest.raises(ValueError, match=r"patch_px 8 does not divide the image size \(36, 36\)"):
        enhanced()(toy_batch(2, 36))


def changed_by(model: LensNetwork, names: tuple[str, ...]) -> bool:
    batch = toy_batch()
    other = {**batch, "metadata": batch["metadata"].clone()}
    other["metadata"][:, [CONDITIONS.index(name) for name in names]] += 1.0
    return not torch.equal(model(batch).logit, model(other).logit)


def test_the_place_on_the_sky_is_not_looked_at_unless_asked_for():
    assert not changed_by(with_moved_weights(enhanced(sky_position=False)), SKY_CONDITIONS)
    assert changed_by(with_moved_weights(enhanced(sky_position=True)), SKY_CONDITIONS)


def test_a_place_that_tells_the_label_stays_hidden_though_asked_for():
    torch.manual_seed(5)
    normalisation = conditioned(conditions_hidden=SKY_CONDITIONS)
    model = build_model(small("enhanced_vit", sky_position=True), normalisation).eval()
    assert not changed_by(with_moved_weights(model), SKY_CONDITIONS)


def test_only_how_an_image_was_taken_is_looked_at_not_what_is_on_it():
    model = with_moved_weights(enhanced(sky_position=False))
    others = tuple(n for n in CONDITIONS if n not in OBSERVING_CONDITIONS + SKY_CONDITIONS)
    assert not changed_by(model, others)
    assert changed_by(model, OBSERVING_CONDITIONS)


def test_film_does_not_see_the_sky_either():
    film = build_model(small("film_resnet"), conditioned()).eval()
    for layer in film.film.values():
        torch.nn.init.normal_(layer.linear.weight, std=0.1)
    assert not changed_by(film, SKY_CONDITIONS)
    assert changed_by(film, ("log_seeing",))


def test_without_conditions_it_needs_no_metadata():
    model = enhanced(observing_conditions=False, sky_position=False)
    batch = toy_batch()
    del batch["metadata"]
    assert model(batch).logit.shape == (6,)


def test_pretrained_weights_carry_positions_and_bias_over_to_another_grid():
    first = with_moved_weights(enhanced())
    grid = conditioned(size_px=64, pixel_scale_arcsec=0.1)
    second = build_model(small("enhanced_vit"), grid)
    load_backbone(second, backbone_state(first), "here.pt")
    for name in ("positions.linear.weight", "arc_bias.out.weight", "vit.embeddings.cls_token"):
        assert torch.equal(second.backbone.state_dict()[name], first.backbone.state_dict()[name])


@pytest.mark.slow
def test_its_bias_moves_as_it_learns():
    torch.manual_seed(6)
    labels = alternating(64)
    image, variance = (torch.from_numpy(a) for a in toy_images(labels))
    batch = {
        "image": image,
        "variance": variance,
        "band_flags": torch.tensor([[1.0, 1, 1, 1, 0]]).repeat(64, 1),
        "metadata": torch.full((64, len(CONDITIONS)), torch.nan),
    }
    assert image.shape[-1] == SIZE
    model = build_model(small("enhanced_vit"), conditioned())
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    target = torch.from_numpy(labels).float()
    for _ in range(25):
        optimizer.zero_grad()
        logit = model(batch).logit
        torch.nn.functional.binary_cross_entropy_with_logits(logit, target).backward()
        optimizer.step()
    assert model.backbone.arc_bias.out.weight.abs().max() > 0.01


def test_positions_start_as_small_as_learned_ones():
    torch.manual_seed(7)
    waves, _ = geometry_tables(14, 14, 1.3, CPU)
    spread = PositionEncoder(256)(waves).detach().std()
    assert 0.01 < float(spread) < 0.03
