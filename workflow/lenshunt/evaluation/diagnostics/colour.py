"""`color_aware_lens` finds the segments of one source: memberships, and the colours they agree in.

Colours are compared up to dust of the lens (`colour_prior`). What the learned groups are worth is
held against others. Random memberships are the learned ones of all test samples, dealt out anew:
the same numbers, without a thought for the segment. The group of all segments is what a network
that groups nothing has; that of the members, more than a half, is as hard as it. The true group,
of the segments at the places of images, is what grouping aims at; in a non-lens, what lies where
the images of a random test lens would.

Errors of colours hold beyond 1.5 FWHM of the galaxy. Nearer, its light model takes light of the
images themselves: g - r of simulated images is 2.3 sigma off in the median there, 0.7 farther out.
A true group of such images is no group of one colour.
"""

import numpy as np
import torch

from lenshunt.evaluation.diagnostics import memberships
from lenshunt.evaluation.diagnostics.areas import add_histogram, area, with_interval
from lenshunt.evaluation.diagnostics.common import (
    Curves,
    Diagnostic,
    Panel,
    Trained,
    class_counts,
    device_of,
    mean_interval,
    test_batches,
)
from lenshunt.lensing import colour_consistency_loss, group_distance
from lenshunt.models.color_aware_lens import ColorAwareLens
from lenshunt.models.segment_graph import unpack_segments
from lenshunt.training.loading import Loader

LOSS_EDGES = np.linspace(0.0, 10.0, 26)
LEARNED, RANDOM = "learned", "random"

SAMPLE = "segments of random test samples"
BASELINE = False
PANELS: dict[str, Panel] = {
    "loss": Panel("colour loss per segment of a system", "share of the systems", "steps"),
    "auroc": Panel(
        "",
        "AUROC, lower in lenses (images)",
        "points",
        reference=0.5,
        ticks=(
            "loss, learned", "loss, random", "distance, learned",
            "distance, members", "distance, all", "distance, true", "images, true",
        ),
    ),
    **memberships.PANELS,
}  # fmt: skip


def measure(subject: Trained, baseline: Trained | None, test: Loader, seed: int) -> Diagnostic:
    """A baseline has no memberships.

    Raises ValueError for a subject that is no color_aware_lens.
    """
    if not isinstance(subject.network, ColorAwareLens):
        raise ValueError(
            f"{subject.name} ({subject.config.architecture}) has no memberships; this "
            "diagnostic is for color_aware_lens"
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
    theta_e = memberships.einstein_radii(found, test, seed)
    truth = memberships.image_places(found, theta_e)
    groups = {
        "": found["distance"],
        "_members": hard_distance(found, found["member"] > 0.5),
        "_all": hard_distance(found, np.isfinite(found["member"])),
        "_images": hard_distance(found, truth == 1),
    }
    for place, (name, distance) in enumerate(groups.items(), start=2):
        value, interval, n = area(distance[other], distance[lens], seed)
        curves.add("auroc", subject.name, place, value, interval, n)
        numbers.update(with_interval(f"distance_auroc{name}", value, interval))
        for kind, rows in (("lenses", lens), ("non_lenses", other)):
            numbers[f"n_distance{name}_{kind}"] = float(np.isfinite(distance[rows]).sum())
    near, far = offsets_from_images(found, np.where(lens[:, None], truth, np.nan))
    value, interval, n = area(far, near, seed)
    curves.add("auroc", subject.name, 2 + len(groups), value, interval, n)
    numbers.update(with_interval("colour_auroc_strangers", value, interval))
    numbers.update(memberships.measure_memberships(curves, found, theta_e, seed))
    segments = int(np.isfinite(found["member"]).sum())
    return Diagnostic(
        curves.table(), numbers, class_counts(found["label"]) | {"segments": segments}
    )


@torch.inference_mode()
def _found(
    subject: Trained, network: ColorAwareLens, test: Loader, seed: int
) -> dict[str, np.ndarray]:
    """row, label, distance, loss_learned, loss_random [n]; member, random, radius (arcsec)
    [n, segment]; flux, variance [n, segment, band]; reddening [n, band].

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
    whole["random"] = dealt_anew(whole["member"], seed)
    for name, member in ((LEARNED, whole["member"]), (RANDOM, whole["random"])):
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


def hard_distance(found: dict[str, np.ndarray], group: np.ndarray) -> np.ndarray:
    """Mean distance in sigma of the members of given groups from the others, [n].

    group : bool [n, segment]. NaN with fewer than two members of known colours.
    """
    q = np.where(group, _distances(found, group, alone=True), np.nan)
    known = np.isfinite(q)
    total = np.where(known, np.sqrt(q), 0.0).sum(axis=1)
    count = known.sum(axis=1)
    return np.where(count >= 2, total / np.maximum(count, 1), np.nan)


def offsets_from_images(
    found: dict[str, np.ndarray], truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distances in sigma of images from the other images [k], and of strangers from them [m].

    truth : [n, segment] of `image_places`. Of systems with two images of known colours or more:
    what colours say of which segments are images, whatever finds the group.
    """
    q = _distances(found, truth == 1, alone=False)
    known = np.isfinite(q)
    several = (known & (truth == 1)).sum(axis=1, keepdims=True) >= 2
    near, far = (np.sqrt(q[known & several & (truth == value)]) for value in (1.0, 0.0))
    return near, far


def _distances(found: dict[str, np.ndarray], group: np.ndarray, alone: bool) -> np.ndarray:
    """q of `group_distance` for bool groups [n, segment]; `alone`: of the members only."""
    flux, variance, reddening = (
        torch.from_numpy(found[name]) for name in ("flux", "variance", "reddening")
    )
    member = torch.from_numpy(group)
    if alone:
        variance = variance.masked_fill(~member[..., None], torch.inf)
    return group_distance(flux, variance, member.float(), reddening).clamp(min=0).numpy()
