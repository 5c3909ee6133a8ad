"""Painted arcs lie where they should, their controls off them, and attention is told as it is."""

import numpy as np
import pytest
import torch
from diagnostics_samples import toy_test, untrained
from small_models import conditioned
from training_toy import MemoryLoader, toy_table

from lenshunt.evaluation.diagnostics import arc_attention
from lenshunt.evaluation.diagnostics.arc_attention import (
    HOSTS,
    PANELS,
    QUERIES,
    host_batches,
    measure,
    measure_masses,
    ratio,
)
from lenshunt.evaluation.diagnostics.attention_maps import (
    attention_masses,
    attention_weights,
    transformer_of,
)
from lenshunt.evaluation.diagnostics.common import Trained
from lenshunt.evaluation.diagnostics.painted_arcs import (
    ARC_SNR,
    CONTROLS,
    OFF_ARC,
    ON_ARC,
    PatchGrid,
    draw_arcs,
    painted,
    pair_weights,
    psf_of,
    radius_range,
)
from lenshunt.models import build_model

#: A grid of 64 pixels, whose 8 x 8 patches are wide enough for arcs.
WIDE = conditioned(size_px=64)
PATCH_PX = 8


@pytest.fixture(scope="module")
def arcs() -> tuple[torch.Tensor, np.ndarray]:
    return draw_arcs(np.random.default_rng(0), 40, WIDE, PATCH_PX)


def wide(**changes) -> Trained:
    subject = untrained("enhanced_vit", **changes)
    torch.manual_seed(2)
    return Trained(build_model(subject.config, WIDE).eval(), WIDE, "enhanced_vit", subject.config)


def noise_batch(n: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "image": torch.randn(n, 5, 64, 64, generator=generator),
        "variance": torch.ones(n, 5, 64, 64),
        "band_flags": torch.tensor([[1.0, 1, 1, 1, 0]]).repeat(n, 1),
        "metadata": torch.full((n, len(WIDE.conditions)), torch.nan),
    }


def test_arcs_lie_at_their_einstein_radius(arcs):
    light, radius = arcs
    low, high = radius_range(WIDE, PATCH_PX)
    assert low <= radius.min()
    assert radius.max() <= high
    axis = (torch.arange(64) - 31.5) * WIDE.pixel_scale_arcsec
    distance = torch.hypot(axis[:, None], axis[None])
    mean = (light * distance).sum(dim=(1, 2)) / light.sum(dim=(1, 2))
    # images of a source at 0.2-0.4 radii behind a sphere lie that much outside or inside; masses
    # of ellipticity 0.1 add as much again
    assert (np.abs(mean.numpy() / radius - 1.15) < 0.3).all()
    brightest = distance.flatten()[light.flatten(1).argmax(dim=1)].numpy() / radius
    assert ((brightest > 0.5) & (brightest < 1.6)).all()


def test_a_painted_arc_has_the_signal_that_was_drawn(arcs):
    host = noise_batch(40)
    found = painted(np.random.default_rng(1), host, arcs[0])
    added = found["image"] - host["image"]
    assert (added[:, 4] == 0).all()  # a band that is not there stays empty
    snr = added.square().sum(dim=(1, 2, 3)).sqrt()
    assert snr.min() > 0.99 * ARC_SNR[0]
    assert snr.max() < 1.01 * ARC_SNR[1]
    torch.testing.assert_close(added[:, 0], added[:, 3], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("control", CONTROLS)
def test_pairs_are_on_the_arc_and_controls_off_it_at_the_same_place(arcs, control):
    grid = PatchGrid.of(WIDE, PATCH_PX)
    weights = pair_weights(np.random.default_rng(0), arcs[0], grid, control).numpy()
    centres = grid.centres()
    radius = np.hypot(*centres.T)
    light = torch.nn.functional.avg_pool2d(arcs[0][:, None], PATCH_PX).flatten(1).numpy()
    share = light / light.max(axis=1, keepdims=True)
    known = np.isfinite(weights).all(axis=(0, 2, 3))
    assert known.sum() > 10
    np.testing.assert_allclose(weights[:, known].sum(axis=(2, 3)), 1.0, rtol=1e-5)
    for lens in np.flatnonzero(known):
        on, off = (np.argwhere(side) for side in weights[:, lens])
        assert (share[lens][on] >= ON_ARC).all()
        assert (on[:, 0] != on[:, 1]).all()
        assert (share[lens][off[:, 0]] >= ON_ARC).all()
        assert (share[lens][off[:, 1]] < OFF_ARC).all()
        for query in np.unique(on[:, 0]):
            keys, others = (np.sort(p[p[:, 0] == query, 1]) for p in (on, off))
            assert len(keys) == len(others)
            gap = np.sort(radius[keys]) - np.sort(radius[others])
            assert np.abs(gap).max() < 0.5 * grid.patch_arcsec


def test_without_a_psf_no_arc_can_be_drawn():
    with pytest.raises(ValueError, match="holds no PSF"):
        psf_of(conditioned(psf_fwhm_arcsec=0.0))


def test_weights_are_those_that_the_layer_itself_uses():
    network = wide().network
    torch.nn.init.normal_(network.backbone.arc_bias.out.weight)
    layer = transformer_of(network).layers[0].attention
    seen = {}

    def keep(module, arguments, named, output):
        seen["hidden"] = arguments[0] if arguments else named["hidden_states"]
        seen["bias"] = arguments[1] if len(arguments) > 1 else named.get("attention_mask")
        seen["output"] = output[0]

    hook = layer.register_forward_hook(keep, with_kwargs=True)
    with torch.no_grad():
        network(noise_batch(2))
        hook.remove()
        hidden = seen["hidden"]
        weights = attention_weights(layer, hidden, seen["bias"])
        value = layer.v_proj(hidden).unflatten(-1, (-1, layer.head_dim)).transpose(1, 2)
        output = layer.o_proj((weights @ value).transpose(1, 2).flatten(2))
    assert seen["bias"].abs().max() > 0.1
    torch.testing.assert_close(output, seen["output"], atol=1e-4, rtol=1e-4)


def silent(network) -> None:
    """Takes the content out of attention: all that is left is the bias."""
    for layer in transformer_of(network).layers:
        torch.nn.init.zeros_(layer.attention.q_proj.weight)
        torch.nn.init.zeros_(layer.attention.q_proj.bias)


@torch.no_grad()
def planted(sign: float) -> Trained:
    """A network that attends to what is near along the circle, and to nothing else."""
    subject = wide()
    silent(subject.network)
    bias = subject.network.backbone.arc_bias
    bias.hidden.weight.zero_()
    bias.hidden.bias.zero_()
    bias.hidden.weight[0, 4 + 1] = 4.0  # Gaussian of 2 arcsec along the circle
    bias.out.weight.zero_()
    bias.out.weight[:, 0] = sign
    return subject


def test_attention_without_content_or_bias_is_even(arcs):
    subject = wide()
    silent(subject.network)
    grid = PatchGrid.of(WIDE, PATCH_PX)
    pairs = pair_weights(np.random.default_rng(0), arcs[0][:6], grid, CONTROLS[0])
    masses = attention_masses(subject.network, noise_batch(6), pairs)
    known = torch.isfinite(masses)
    assert masses.shape == (2, 2, 6, 2)
    expected = torch.tensor(64 / 65)  # the class token has its share
    torch.testing.assert_close(masses[known], expected.expand(int(known.sum())))


def test_a_planted_bias_along_the_circle_is_found_with_and_without_an_arc(arcs):
    grid, host = PatchGrid.of(WIDE, PATCH_PX), noise_batch(40)
    lens, subject = painted(np.random.default_rng(1), host, arcs[0]), planted(1.0)
    found = {}
    for control in CONTROLS:
        pairs = pair_weights(np.random.default_rng(0), arcs[0], grid, control)
        with_arc, without = (
            attention_masses(subject.network, batch, pairs).mean(dim=(1, 3))
            for batch in (lens, host)
        )
        known = torch.isfinite(with_arc).all(dim=0)
        # what knows nothing of the image attends alike whether there is an arc or not
        torch.testing.assert_close(with_arc[:, known], without[:, known])
        found[control] = ratio(with_arc[:, known].T.numpy())
    assert found[CONTROLS[0]] > 1.3
    # most of it is distance
    assert abs(found[CONTROLS[1]] - 1) < 0.5 * (found[CONTROLS[0]] - 1)


def test_only_non_lenses_are_painted_on():
    batches = list(host_batches(toy_test(20, 6), torch.device("cpu"), 0))
    assert sum(len(batch["label"]) for batch in batches) == 10
    assert all((batch["label"] == 0).all() for batch in batches)


def test_hosts_are_of_all_data_sets_not_of_the_first(monkeypatch):
    monkeypatch.setattr(arc_attention, "HOSTS", 20)
    batches = list(host_batches(toy_test(200, 50), torch.device("cpu"), 0))
    rows = torch.cat([batch["row"] for batch in batches])
    assert len(rows) == 20 < HOSTS
    assert 60 < rows.float().mean() < 140


class WideTest(MemoryLoader):
    """Noise of 64 pixels, all of it non-lenses."""

    def __init__(self, n: int) -> None:
        noise = noise_batch(n)
        table = toy_table(np.zeros(n), bands=("HSC_G", "HSC_R", "HSC_I", "HSC_Z", ""))
        super().__init__(table, (noise["image"].numpy(), noise["variance"].numpy()), 10)


@torch.no_grad()
def test_a_network_whose_patches_all_look_at_bright_ones_does_not_follow_arcs():
    """Keys are told by their brightness, queries by nothing: no patch cares where it is itself."""
    subject = wide()
    for layer in transformer_of(subject.network).layers:
        torch.nn.init.zeros_(layer.attention.q_proj.weight)
        torch.nn.init.normal_(layer.attention.q_proj.bias, std=3.0)
        torch.nn.init.normal_(layer.attention.k_proj.weight, std=0.3)
    found, _ = measure_masses(subject, subject.network, WideTest(40), 0)
    masses = found["trained", QUERIES].mean(axis=(1, 3))
    known = np.isfinite(masses).all(axis=0)
    assert known.sum() > 10
    keys = found["trained", CONTROLS[1]].mean(axis=(1, 3))
    assert abs(ratio(keys[:, known].T) - 1) > 0.05
    assert ratio(masses[:, known].T) == pytest.approx(1, abs=1e-3)


def test_measured_whole_on_a_small_network():
    subject = untrained("enhanced_vit", backbone={"patch_px": 4})
    found = measure(subject, None, toy_test(24), 0)
    assert set(found.curves["panel"]) == set(PANELS)
    bias = found.curves[found.curves["panel"].str.startswith("bias")]
    assert (bias["value"] == 0.0).all()  # it starts at zero
    assert found.numbers["bias_rms"] == 0.0
    again = measure(subject, None, toy_test(24), 0)
    trained = found.curves["series"] == "trained"
    assert found.curves[trained].equals(again.curves[trained])


def test_a_network_without_a_bias_has_no_curve_of_it():
    found = measure(
        untrained("enhanced_vit", backbone={"patch_px": 4}, arc_width=0), None, toy_test(24), 0
    )
    assert not found.curves["panel"].str.startswith("bias").any()
    assert np.isnan(found.numbers["bias_rms"])
