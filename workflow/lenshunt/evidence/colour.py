"""`color_aware_lens` finds the segments of one source: memberships, and the colours they agree in.

Colours are compared up to dust of the lens (`colour_prior`). Random memberships are the learned
ones of all test samples, dealt out anew: the same numbers, without a thought for the segment.
"""

from itertools import pairwise

import numpy as np
import torch

from lenshunt.evidence.areas import add_histogram, area, with_interval
from lenshunt.evidence.common import (
    Curves,
    Evidence,
    Panel,
    Trained,
    device_of,
    mean_interval,
    test_batches,
)
from lenshunt.lensing import colour_consistency_loss, group_distance
from lenshunt.models.color_aware_lens import ColorAwareLens
from lenshunt.models.segment_tensors import unpack_segments
from lenshunt.training.loading import Loader

#: Images of a source lie about the Einstein radius, within this part of it: those of an isothermal
#: sphere at 1 + and 1 - the offset of the source, up to which there are two of some brightness.
ARC_WITHIN = 0.7
RADIUS_EDGES = np.linspace(0.0, 3.0, 13)
LOSS_EDGES = np.linspace(0.0, 10.0, 26)
MEMBER_EDGES = np.linspace(0.0, 1.0, 26)
#: Segments in a bin of radii at least.
BIN_MIN = 5
LEARNED, RANDOM = "learned", "random"

PANELS: dict[str, Panel] = {
    "loss": Panel("colour loss per segment of a system", "share of the systems", "steps"),
    "auroc": Panel(
        "",
        "AUROC, lenses of less colour loss or distance",
        "points",
        reference=0.5,
        ticks=("loss, learned", "loss, random", "distance"),
    ),
    "membership": Panel("membership", "share of the segments", "steps"),
    "radius": Panel("distance from the middle / Einstein radius", "mean membership", "line"),
}


def measure(subject: Trained, baseline: Trained | None, test: Loader, seed: int) -> Evidence:
    """A baseline has no memberships: it is not asked.

    Raises ValueError for a subject that is no color_aware_lens.
    """
    if not isinstance(subject.network, ColorAwareLens):
        raise ValueError(
            f"{subject.name} ({subject.config.architecture}) has no memberships; this kind of "
            "evidence is for color_aware_lens"
        )
    found = _found(subject, subject.network, test, seed)
    lens, other = found["label"] == 1, found["label"] == 0
    curves, numbers = Curves(), {}
    for place, name in enumerate((LEARNED, RANDOM)):
        loss = found[f"loss_{name}"]
        for kind, rows in (("lenses", lens), ("non-lenses", other)):
            add_histogram(curves, "loss", f"{kind}, {name}", loss[rows], LOSS_EDGES)
            key = f"loss_{kind.replace('-', '_')}_{name}"
            mean, interval, _ = mean_interval(loss[rows], seed)
            numbers.update(with_interval(key, mean, interval))
        value, interval, n = area(loss[other], loss[lens], seed)
        curves.add("auroc", subject.name, place, value, interval, n)
        numbers.update(with_interval(f"loss_auroc_{name}", value, interval))
    distance = found["distance"]
    value, interval, n = area(distance[other], distance[lens], seed)
    curves.add("auroc", subject.name, 2, value, interval, n)
    numbers.update(with_interval("distance_auroc", value, interval))
    numbers["n_systems_with_colours"] = float(np.isfinite(distance).sum())
    numbers.update(_memberships(curves, found, test, seed))
    return Evidence(curves.table(), numbers)


@torch.inference_mode()
def _found(
    subject: Trained, network: ColorAwareLens, test: Loader, seed: int
) -> dict[str, np.ndarray]:
    """row, label, distance, loss_learned, loss_random [n]; member, radius (arcsec) [n, segment].

    NaN where a system has fewer than two segments of known colour, and in the padding.
    """
    parts: list[dict[str, torch.Tensor]] = []
    for batch in test_batches(test, device_of(network)):
        prediction = network(batch)
        segments = unpack_segments(batch["segments"].float())
        missing = ~segments.there
        x, y = segments.position.unbind(-1)
        part = {
            "row": batch["row"],
            "label": batch["label"],
            "distance": prediction.auxiliary["colour_distance"],
            "member": prediction.internals["membership"].masked_fill(missing, torch.nan),
            "radius": torch.hypot(x, y).masked_fill(missing, torch.nan),
            "flux": prediction.internals["flux"],
            "variance": prediction.internals["variance"],
            "reddening": network.dust(batch),
        }
        parts.append({name: values.cpu() for name, values in part.items()})
    whole = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    for name, member in (
        (LEARNED, whole["member"]), (RANDOM, dealt_anew(whole["member"], seed)),
    ):  # fmt: skip
        whole[f"loss_{name}"] = loss_per_segment(
            whole["flux"], whole["variance"], member, whole["reddening"]
        )
    return {name: values.numpy() for name, values in whole.items()}


def dealt_anew(member: torch.Tensor, seed: int) -> torch.Tensor:
    """The memberships [n, segment] of all segments in another order; NaN, the padding, stays."""
    there = torch.isfinite(member)
    own = member[there]
    order = torch.randperm(len(own), generator=torch.Generator().manual_seed(seed))
    dealt = member.clone()
    dealt[there] = own[order]
    return dealt


def loss_per_segment(
    flux: torch.Tensor, variance: torch.Tensor, member: torch.Tensor, reddening: torch.Tensor
) -> torch.Tensor:
    """`colour_consistency_loss` over the usable segments of each system, [n]; NaN without any.

    Per segment, since lenses have more of them: their number shall not tell.
    """
    member = member.nan_to_num(0.0)
    usable = torch.isfinite(group_distance(flux, variance, member, reddening)).sum(dim=1)
    loss = colour_consistency_loss(flux, variance, member, reddening)
    return torch.where(usable > 0, loss / usable.clamp(min=1), torch.nan)


def _memberships(
    curves: Curves, found: dict[str, np.ndarray], test: Loader, seed: int
) -> dict[str, float]:
    """Of segments near the true Einstein radius of their lens against its others; by radius.

    And against segments of non-lenses as near to the radius of a random lens: what the place of a
    segment gives, of whatever colour.
    """
    truth = test.table["einstein_radius"].to_numpy(float)[found["row"]]
    truth = np.where((found["label"] == 1) & (truth > 0), truth, np.nan)
    member, relative = _by_radius(found, truth)
    known = truth[np.isfinite(truth)]
    rng = np.random.default_rng(seed)
    taken = rng.choice(known, len(truth)) if len(known) else np.full(len(truth), np.nan)
    alike = _by_radius(found, np.where(found["label"] == 0, taken, np.nan))
    near = np.abs(relative - 1.0) < ARC_WITHIN
    numbers: dict[str, float] = {}
    for name, series, rows in (("arcs", "near the Einstein radius", near),
                               ("others", "others of lenses", ~near)):  # fmt: skip
        add_histogram(curves, "membership", series, member[rows], MEMBER_EDGES)
        mean, interval, n = mean_interval(member[rows], seed)
        numbers.update(with_interval(f"membership_{name}", mean, interval))
        numbers[f"n_{name}"] = float(n)
    value, interval, _ = area(member[near], member[~near], seed)
    numbers.update(with_interval("membership_auroc", value, interval))
    same_place = alike[0][np.abs(alike[1] - 1.0) < ARC_WITHIN]
    value, interval, _ = area(member[near], same_place, seed)
    numbers.update(with_interval("membership_auroc_non_lenses", value, interval))
    for series, (weight, at) in (
        ("segments of lenses", (member, relative)), ("segments of non-lenses", alike),
    ):  # fmt: skip
        for low, high in pairwise(RADIUS_EDGES):
            rows = (at >= low) & (at < high)
            if rows.sum() >= BIN_MIN:
                mean, interval, n = mean_interval(weight[rows], seed)
                curves.add("radius", series, (low + high) / 2, mean, interval, n)
    return numbers


def _by_radius(found: dict[str, np.ndarray], unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Memberships and radii of all segments [k] of systems [n], each in units of its `unit`."""
    relative = found["radius"] / unit[:, None]
    known = np.isfinite(relative)
    return found["member"][known], relative[known]
