"""Systems of several deflectors, noise as observed, and attention between segments."""

import numpy as np
import pytest
import torch
from diagnostics_samples import WithSegments, toy_test, untrained
from segment_samples import padding, random_segments

from lenshunt.config import Grid, SegmentsConfig
from lenshunt.evaluation.diagnostics import deflectors as deflectors_module
from lenshunt.evaluation.diagnostics import simulated_batch
from lenshunt.evaluation.diagnostics.deflectors import (
    FRESH,
    PANELS,
    UNLENSED,
    _classed,
    edge_weights,
    measure,
)
from lenshunt.evaluation.diagnostics.observing import (
    Observing,
    correlation_width_px,
    observing_of,
    unit_noise,
)
from lenshunt.evaluation.diagnostics.several_deflectors import (
    draw_deflectors,
    draw_pairs,
    source_plane,
)
from lenshunt.evaluation.diagnostics.simulated_batch import simulated
from lenshunt.images.segments import GEOMETRY
from lenshunt.models import CONDITIONS

OBSERVING = Observing(
    grid=Grid(psf_fwhm_arcsec=0.8, pixel_scale_arcsec=0.2, size_px=48),
    bands=np.array([0, 1, 2]),
    filters=("HSC_G", "HSC_R", "HSC_I"),
    sigma_njy=np.array([3.0, 4.0, 5.0]),
    noise_corr=np.array([1.0, 4.0, 9.0]),
    photon_njy=np.array([0.1, 0.1, 0.1]),
    metadata=np.full(len(CONDITIONS), np.nan, np.float32),
)


def deflectors(number, seed=0):
    return draw_deflectors(np.random.default_rng(seed), number, (1.0, 2.0))


def test_several_deflectors_deflect_as_their_sum():
    three = deflectors(3)
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(-4, 4, 9), np.linspace(-3, 5, 7)))
    whole = np.stack([x, y]) - source_plane(x, y, three)
    # the shear is that of the first, and comes once
    apart = [np.stack([x, y]) - source_plane(x, y, [three[0]])]
    for one in three[1:]:
        both = np.stack([x, y]) - source_plane(x, y, [three[0], one])
        apart.append(both - apart[0])
    np.testing.assert_allclose(whole, np.sum(apart, axis=0), atol=2e-5)


def test_far_away_a_group_deflects_by_the_sum_of_its_einstein_radii():
    three = [one.__class__(**{**vars(one), "shear": (0.0, 0.0)}) for one in deflectors(3)]
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    x, y = 500 * np.cos(angle), 500 * np.sin(angle)
    size = np.hypot(*(np.stack([x, y]) - source_plane(x, y, three)))
    # an elliptical deflector is stronger along one axis: the mean is what is told
    assert size.mean() == pytest.approx(sum(one.theta_e for one in three), rel=0.05)


def test_a_pair_differs_in_what_lies_behind_alone():
    for pair in draw_pairs(np.random.default_rng(1), OBSERVING, 2, 3):
        assert len(pair.deflectors) == 2
        assert pair.deflectors[0].z_lens == pair.deflectors[1].z_lens
        assert pair.deflectors[1].theta_e < pair.deflectors[0].theta_e
        assert pair.galaxy.shape == pair.arcs.shape == (3, 48, 48)
        # the flux of both in i but for what lies beside the cutout
        ratio = pair.arcs[2].sum() / pair.unlensed[2].sum()
        assert 0.5 < ratio < 2
        assert np.isfinite(pair.beside).all()


def test_noise_is_as_wide_and_as_correlated_as_observed():
    rng = np.random.default_rng(0)
    for wanted in (1.0, 4.0, 17.0, 44.0):
        width = correlation_width_px(wanted)
        noise = np.stack([unit_noise(rng.normal(size=(128, 128)), width) for _ in range(40)])
        assert noise.var() == pytest.approx(1, rel=0.1)
        boxes = noise.reshape(40, 2, 64, 2, 64).sum(axis=(2, 4))
        assert boxes.var() / 64**2 == pytest.approx(wanted, rel=0.35)


def test_segments_of_lenses_are_images_and_those_of_non_lenses_are_not():
    rng = np.random.default_rng(2)
    pairs = list(draw_pairs(rng, OBSERVING, 1, 5))
    found = simulated(rng, OBSERVING, SegmentsConfig(), pairs)
    assert found.batch["label"].tolist() == [1.0] * 5 + [0.0] * 5
    assert found.image[:5].any()
    assert not found.image[5:].any()
    assert found.unlensed[5:].any()
    assert not found.unlensed[:5].any()
    there = found.batch["segments"][:, :, -3].numpy() > 0
    assert there[found.image | found.unlensed].all()
    assert torch.isinf(found.batch["variance"][:, 3:]).all()
    z = found.batch["metadata"][:, CONDITIONS.index("log_1_plus_z")]
    assert (z > 0).all()


def test_simulated_segments_are_found_as_those_that_were_trained_on():
    pairs = list(draw_pairs(np.random.default_rng(2), OBSERVING, 1, 5))

    def segments(**keys) -> torch.Tensor:
        rng = np.random.default_rng(3)
        return simulated(rng, OBSERVING, SegmentsConfig(**keys), pairs).batch["segments"]

    usual = segments()
    assert usual.shape[:2] == (10, 8)
    assert segments(n_max=3).shape[1] == 3
    assert not torch.equal(segments(method="isophotes"), usual)
    column = GEOMETRY.index("snr") - len(GEOMETRY)
    snr = segments(snr_min=60.0)[..., column]
    assert snr[snr > 0].min() >= 60.0
    assert (usual[..., column] > 0).sum() > (snr > 0).sum() > 0


def test_the_graphs_of_the_diagnostics_are_made_by_the_segmentation_of_the_test_set(monkeypatch):
    test = WithSegments(toy_test(), random_segments(24))
    test.segmentation = SegmentsConfig(method="isophotes", snr_min=9.0)
    asked = []

    def find_segments(image, variance, correlation, grid, config):
        asked.append(config)
        return found(image, variance, correlation, grid, config)

    found = simulated_batch.find_segments
    monkeypatch.setattr(simulated_batch, "find_segments", find_segments)
    measure(untrained("gat_lens"), None, test, 1, pairs=2)
    assert asked == [test.segmentation] * 3


def test_how_the_test_images_were_taken_is_found_again():
    found = observing_of(untrained("gat_lens"), toy_test())
    assert found.filters == ("HSC_G", "HSC_R", "HSC_I", "HSC_Z")
    assert found.bands.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(found.sigma_njy, 1)
    np.testing.assert_allclose(found.photon_njy, 0, atol=1e-6)
    assert (
        np.isfinite(found.metadata[CONDITIONS.index("log_seeing")])
        == np.isfinite(toy_test().table["seeing"]).any()
    )
    assert np.isnan(found.metadata[CONDITIONS.index("magnitude_i")])


def graph_batch(rows=4):
    batch = next(iter(toy_test(8, 8)))
    batch["metadata"] = torch.full((8, len(CONDITIONS)), torch.nan)
    return {**batch, "segments": random_segments(8, rows)}


def even(network):
    """Attention that prefers nothing: every score is 0."""
    for layer in network.graph.attention:
        torch.nn.init.zeros_(layer.att)
    return network


def test_attention_without_a_preference_is_an_even_spread():
    network = even(untrained("gat_lens").network)
    image = np.tile([True, True, False, False], (8, 1))
    weights = edge_weights(network, graph_batch(), image)
    assert weights.shape[1:] == (2, 2)
    assert len(weights) > 0
    np.testing.assert_allclose(weights, 1, rtol=1e-5)


def test_padding_takes_no_part():
    network = untrained("gat_lens").network
    batch, image = graph_batch(), np.tile([True, True, False, False], (8, 1))
    padded = {**batch, "segments": torch.cat([batch["segments"], padding(8, 3)], dim=1)}
    # were padding looked at, calling it images would change what is found
    wider = np.concatenate([image, np.ones((8, 3), bool)], axis=1)
    weights = edge_weights(network, batch, image)
    np.testing.assert_allclose(edge_weights(network, padded, wider), weights, rtol=1e-5)
    assert not np.allclose(weights, 1, rtol=1e-3)


def test_systems_in_several_passes_are_those_of_one(monkeypatch):
    network = untrained("gat_lens").network
    image = np.tile([True, True, False, False], (8, 1))
    whole = edge_weights(network, graph_batch(), image)
    monkeypatch.setattr(deflectors_module, "AT_ONCE", 3)
    np.testing.assert_allclose(edge_weights(network, graph_batch(), image), whole, rtol=1e-4)


def test_edges_are_told_apart_by_where_they_come_from():
    # one system: the galaxy, two images (nodes 1, 2), one other (3); edges into node 1
    edges = np.array([[0, 1, 2, 3], [1, 1, 1, 1]])
    weight = np.array([0.1, 0.2, 0.6, 0.1])
    node = np.arange(4)
    lensed = np.array([False, True, True, False])
    found = _classed(edges, weight, np.zeros(4, int), node, lensed)
    np.testing.assert_allclose(found, [[0.6 * 4, 0.1 * 4]])


def test_an_untrained_network_tells_nothing_and_others_are_refused():
    test = WithSegments(toy_test(), random_segments(24))
    found = measure(untrained("gat_lens"), untrained("resnet"), test, 1, pairs=4)
    assert set(found.curves["panel"]) <= set(PANELS)
    areas = found.curves[found.curves["panel"] == "auroc"]
    assert sorted(areas["series"].unique()) == ["gat_lens", "resnet"]
    assert (areas["n"] == 8).all()
    told = found.curves[found.curves["panel"] == "preference"]["series"]
    assert set(told) == {"gat_lens", UNLENSED, FRESH}
    with pytest.raises(ValueError, match="has no graph"):
        measure(untrained("resnet"), None, test, 1, pairs=2)
