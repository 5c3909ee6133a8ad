"""`gat_lens` puts images of one source together, about one deflector as about several.

Simulated systems: nobody has labelled test samples by the number of their deflectors. In the
matching non-lenses the unlensed galaxies, in the place of the arcs, tell how much of a preference
is for blue light at that radius, whatever it comes from; an untrained network what the start gives.
"""

from collections.abc import Iterator
from typing import cast

import numpy as np
import torch

from lenshunt.config import SegmentsConfig
from lenshunt.evaluation.bootstrap import bootstrap_interval
from lenshunt.evaluation.diagnostics.areas import area, with_interval
from lenshunt.evaluation.diagnostics.common import (
    Curves,
    Diagnostic,
    Panel,
    Trained,
    device_of,
    mean_interval,
)
from lenshunt.evaluation.diagnostics.observing import Observing, observing_of
from lenshunt.evaluation.diagnostics.sample import Sample
from lenshunt.evaluation.diagnostics.several_deflectors import draw_pairs
from lenshunt.evaluation.diagnostics.simulated_batch import Simulated, simulated
from lenshunt.models import Batch, build_model
from lenshunt.models.gat_lens import GatLens, GraphLayers
from lenshunt.models.segment_graph import Graph
from lenshunt.training.loading import on_device

NUMBERS = (1, 2, 3)
#: Lenses, and non-lenses, of each number of deflectors.
PAIRS = 120
#: Systems in one pass of a network.
AT_ONCE = 50
SAME, OTHER = "images of one source", "an image and another segment"
UNLENSED, FRESH = "unlensed galaxies instead", "untrained"

SAMPLE = "pairs of systems simulated as the test images were taken"
BASELINE = True
PANELS: dict[str, Panel] = {
    "auroc": Panel(
        "number of deflectors",
        "AUROC on simulated systems",
        "points",
        reference=0.5,
        ticks=tuple(map(str, NUMBERS)),
    ),
    "attention": Panel("layer", "attention weight of an edge / even spread", "line", reference=1.0),
    "preference": Panel(
        "number of deflectors",
        "attention to one another / to other segments",
        "points",
        reference=1.0,
        ticks=tuple(map(str, NUMBERS)),
    ),
}


def measure(
    subject: Trained,
    baseline: Trained | None,
    test: Sample,
    seed: int,
    pairs: int = PAIRS,
) -> Diagnostic:
    """pairs : per number of deflectors; their segments are found as those of the test samples

    An attention weight is averaged over the heads, and compared with 1 / (edges that end in the
    same node): 1 is no preference. Only lenses with two images and another segment or more count,
    and of the non-lenses those with as many unlensed galaxies.
    Raises ValueError for a subject that is no gat_lens.
    """
    if not isinstance(subject.network, GatLens):
        raise ValueError(
            f"{subject.name} ({subject.config.architecture}) has no graph; this diagnostic "
            "is for gat_lens"
        )
    observing = observing_of(subject, test)
    curves, numbers = Curves(), {}
    fresh = cast(GatLens, build_model(subject.config, subject.normalisation))
    fresh = fresh.to(device_of(subject.network)).eval()
    weights = []
    controls: dict[str, list[np.ndarray]] = {UNLENSED: [], FRESH: []}
    for place, number in enumerate(NUMBERS):
        drawn = _drawn(observing, test.segmentation, number, pairs, seed)
        numbers.update(_areas(curves, subject, baseline, drawn, place, seed))
        own = edge_weights(subject.network, drawn.batch, drawn.image)
        weights.append(own)
        others = {
            UNLENSED: edge_weights(subject.network, drawn.batch, drawn.unlensed),
            FRESH: edge_weights(fresh, drawn.batch, drawn.image),
        }
        for name, found in {subject.name: own, **others}.items():
            ratio, interval = _preference(found.mean(axis=1), seed)
            curves.add("preference", name, place, ratio, interval, len(found))
        for name, found in others.items():
            controls[name].append(found)
    every = np.concatenate(weights)
    for layer in range(every.shape[1]):
        for kind, series in enumerate((SAME, OTHER)):
            mean, interval, n = mean_interval(every[:, layer, kind], seed)
            curves.add("attention", series, layer + 1, mean, interval, n)
    numbers["n_lenses_with_attention"] = float(len(every))
    numbers.update(with_interval("attention_ratio", *_preference(every.mean(axis=1), seed)))
    for name, key in ((UNLENSED, "unlensed"), (FRESH, "untrained")):
        found = np.concatenate(controls[name]).mean(axis=1)
        numbers.update(with_interval(f"attention_ratio_{key}", *_preference(found, seed)))
    counts = dict.fromkeys(("simulated lenses", "simulated non-lenses"), pairs * len(NUMBERS))
    return Diagnostic(curves.table(), numbers, counts)


def _drawn(
    observing: Observing, segmentation: SegmentsConfig, number: int, pairs: int, seed: int
) -> Simulated:
    rng = np.random.default_rng([seed, number])
    drawn = list(draw_pairs(rng, observing, number, pairs))
    return simulated(rng, observing, segmentation, drawn)


@torch.inference_mode()
def _areas(
    curves: Curves,
    subject: Trained,
    baseline: Trained | None,
    drawn: Simulated,
    place: int,
    seed: int,
) -> dict[str, float]:
    """AUROC at tick `place` of the panel, and as numbers."""
    numbers = {}
    label = drawn.batch["label"].numpy()
    for role, trained in (("subject", subject), ("baseline", baseline)):
        if trained is None:
            continue
        logits = [
            trained.network(on_device(part, device_of(trained.network))).logit.float().cpu()
            for _, part in _parts(drawn.batch)
        ]
        logit = torch.cat(logits).numpy()
        value, interval, n = area(logit[label == 1], logit[label == 0], seed)
        curves.add("auroc", trained.name, place, value, interval, n)
        numbers.update(with_interval(f"auroc_{role}_{NUMBERS[place]}", value, interval))
    return numbers


def _parts(batch: Batch) -> Iterator[tuple[slice, Batch]]:
    """AT_ONCE systems of a batch at a time, and which those are."""
    for start in range(0, len(batch["image"]), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        yield rows, {name: values[rows] for name, values in batch.items()}  # type: ignore


def _preference(weights: np.ndarray, seed: int) -> tuple[float, tuple[float, float]]:
    """Mean weight between images over that to others, of [n, 2]; bootstrap over systems."""

    def ratio(rows: np.ndarray) -> float:
        own, other = rows.mean(axis=0)
        return float(own / other)

    if not len(weights):
        return float("nan"), (float("nan"), float("nan"))
    return ratio(weights), bootstrap_interval(weights, ratio, seed)


@torch.inference_mode()
def edge_weights(network: GatLens, batch: Batch, image: np.ndarray) -> np.ndarray:
    """Mean weight of an edge, in units of an even spread, float [n, layer, 2], of n systems.

    Last axis: edges that end in an image of the source and come from another one; from another
    segment that is none. The galaxy and edges of a node to itself are neither; padding has no
    node. Systems that lack one of the two are left out.
    image : bool [b, segment], which are images of one source
    """
    parts = [_edge_weights(network, part, image[rows]) for rows, part in _parts(batch)]
    return np.concatenate(parts)


def _edge_weights(network: GatLens, batch: Batch, image: np.ndarray) -> np.ndarray:
    told: list[tuple[torch.Tensor, Graph]] = []
    hook = network.graph.register_forward_pre_hook(lambda _, given: told.append(given))
    try:
        network(on_device(batch, device_of(network)))
    finally:
        hook.remove()
    hidden, graph = told[0]
    sample, node = graph.sample.cpu().numpy(), graph.node.cpu().numpy()
    # node 0 is the galaxy, segment k is node k + 1
    lensed = (node > 0) & image[sample, np.maximum(node - 1, 0)]
    layers = [
        _classed(edges.cpu().numpy(), weight.mean(dim=1).cpu().numpy(), sample, node, lensed)
        for edges, weight in attention_layers(network.graph, hidden, graph)
    ]
    found = np.stack(layers, axis=1)
    return found[np.isfinite(found).all(axis=(1, 2))]


def attention_layers(
    layers: GraphLayers, hidden: torch.Tensor, graph: Graph
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Edges [2, e] and attention weights [e, head] of every layer, as its forward has them."""
    for norm, attention, mixing in zip(layers.norms, layers.attention, layers.mixing, strict=True):
        seen, (edges, weight) = attention(
            norm(hidden), graph.edges, graph.between, return_attention_weights=True
        )
        yield edges, weight
        hidden = hidden + seen
        hidden = hidden + mixing(hidden)


def _classed(
    edges: np.ndarray, weight: np.ndarray, sample: np.ndarray, node: np.ndarray, lensed: np.ndarray
) -> np.ndarray:
    """Mean weight x edges into the same node, of both kinds of edge, [b, 2]; NaN without any."""
    start, end = edges
    relative = weight * np.bincount(end, minlength=len(node))[end]
    between_segments = (node[start] > 0) & (start != end) & lensed[end]
    means = []
    for kind in (lensed[start], ~lensed[start]):
        chosen = between_segments & kind
        size = sample.max() + 1
        total = np.bincount(sample[end[chosen]], relative[chosen], size)
        count = np.bincount(sample[end[chosen]], minlength=size)
        means.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
    return np.stack(means, axis=1)
