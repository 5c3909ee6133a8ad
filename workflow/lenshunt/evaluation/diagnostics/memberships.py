"""Memberships of `color_aware_lens` against the places of images: what is learned beyond a radius.

In a simulated lens a segment is an image or a stranger by its distance from the lens in true
Einstein radii (`image_truth`). A cut at one distance in arcsec finds most of them, since strangers
keep off the middle of a field; the network is worth what it knows beside that. So images are held
against strangers that lie as far away in arcsec, in other lenses, which takes knowledge of each
lens; and against segments of non-lenses where the images of another lens lie.
"""

from itertools import pairwise

import numpy as np
import torch

from lenshunt.core.ranking_metrics import auroc
from lenshunt.evaluation.bootstrap import bootstrap_interval
from lenshunt.evaluation.diagnostics.areas import add_histogram, area, with_interval
from lenshunt.evaluation.diagnostics.common import Curves, Panel, mean_interval
from lenshunt.models.grouping import image_truth
from lenshunt.training.loading import Loader

RADIUS_EDGES = np.linspace(0.0, 5.0, 21)
MEMBER_EDGES = np.linspace(0.0, 1.0, 26)
#: Distances within a bin of this many arcsec are the same.
EQUAL_ARCSEC = 0.2
#: Segments in a bin of radii at least.
BIN_MIN = 5
IMAGES, STRANGERS = "images", "strangers"

PANELS: dict[str, Panel] = {
    "grouping": Panel(
        "",
        "AUROC, higher for images",
        "points",
        reference=0.5,
        ticks=(
            "strangers", "dealt anew", "by nearness", "equal distance", "non-lenses",
        ),
    ),
    "membership": Panel("membership", "share of the segments", "steps"),
    "radius": Panel("distance from the middle / Einstein radius", "mean membership", "line"),
}  # fmt: skip


def image_places(found: dict[str, np.ndarray], theta_e: np.ndarray) -> np.ndarray:
    """1 at the places of images, 0 far from them, else NaN, [n, segment]; see `image_truth`.

    found : radius [n, segment] arcsec; theta_e : [n] of `einstein_radii`
    """
    return image_truth(torch.from_numpy(found["radius"]), torch.from_numpy(theta_e)).numpy()


def einstein_radii(found: dict[str, np.ndarray], test: Loader, seed: int) -> np.ndarray:
    """Einstein radii in arcsec [n]: true ones of lenses, those of random lenses for non-lenses.

    found : row, label [n]
    """
    truth = test.table["einstein_radius"].to_numpy(float)[found["row"]]
    lens = found["label"] == 1
    truth = np.where(lens & (truth > 0), truth, np.nan)
    known = truth[np.isfinite(truth)]
    if not len(known):
        return truth
    taken = np.random.default_rng(seed).choice(known, len(truth))
    return np.where(found["label"] == 0, taken, truth)


def measure_memberships(
    curves: Curves, found: dict[str, np.ndarray], theta_e: np.ndarray, seed: int
) -> dict[str, float]:
    """Numbers membership_* and n_*; AUROCs are the chance that an image has the higher membership.

    found : label [n]; member, random (memberships dealt anew), radius [n, segment]
    theta_e : [n] of `einstein_radii`
    """
    member, dealt, radius = found["member"], found["random"], found["radius"]
    truth = image_places(found, theta_e)
    lens = (found["label"] == 1)[:, None]
    image, stranger = lens & (truth == 1), lens & (truth == 0)
    numbers: dict[str, float] = {}
    for name, rows in ((IMAGES, image), (STRANGERS, stranger)):
        add_histogram(curves, "membership", name, member[rows], MEMBER_EDGES)
        mean, interval, n = mean_interval(member[rows], seed)
        numbers.update(with_interval(f"membership_{name}", mean, interval))
        numbers[f"n_{name}"] = float(n)
    alike = (found["label"] == 0)[:, None] & (truth == 1)
    add_histogram(curves, "membership", "non-lenses, equal place", member[alike], MEMBER_EDGES)
    areas = {
        "": area(member[image], member[stranger], seed),
        "_random": area(dealt[image], dealt[stranger], seed),
        "_nearness": area(-radius[image], -radius[stranger], seed),
        "_equal_distance": area_at_equal(
            member[image], radius[image], member[stranger], radius[stranger], seed
        ),
        "_non_lenses": area(member[image], member[alike], seed),
    }
    for place, (name, (value, interval, n)) in enumerate(areas.items()):
        curves.add("grouping", "memberships", place, value, interval, n)
        numbers.update(with_interval(f"membership_auroc{name}", value, interval))
    _by_radius(curves, found, theta_e, seed)
    return numbers


def area_at_equal(
    higher: np.ndarray, higher_at: np.ndarray, lower: np.ndarray, lower_at: np.ndarray, seed: int
) -> tuple[float, tuple[float, float], int]:
    """`area` of scores of which only those within one bin of EQUAL_ARCSEC are held together.

    higher_at, lower_at : arcsec, of each score
    The mean over the bins that have both, by their number of pairs; n counts the scores in them.
    """
    score = np.concatenate([higher, lower])
    place = np.floor(np.concatenate([higher_at, lower_at]) / EQUAL_ARCSEC)
    rows = np.stack([np.repeat([1.0, 0.0], [len(higher), len(lower)]), score, place], axis=1)
    rows = rows[np.isfinite(rows).all(axis=1)]
    both = np.intersect1d(rows[rows[:, 0] == 1, 2], rows[rows[:, 0] == 0, 2])
    rows = rows[np.isin(rows[:, 2], both)]
    interval = bootstrap_interval(rows, _pooled_area, seed, strata=rows[:, 2])
    return _pooled_area(rows), interval, len(rows)


def _pooled_area(rows: np.ndarray) -> float:
    """rows : [n, 3], whether it should be higher, score, bin. NaN where no bin has both."""
    wins = pairs = 0.0
    for place in np.unique(rows[:, 2]):
        label, score = rows[rows[:, 2] == place, :2].T
        count = label.sum() * (len(label) - label.sum())
        if count:
            wins += count * auroc(label, score)
            pairs += count
    return wins / pairs if pairs else float("nan")


def _by_radius(
    curves: Curves, found: dict[str, np.ndarray], theta_e: np.ndarray, seed: int
) -> None:
    """Mean membership by the distance in Einstein radii."""
    for label, series in ((1, "segments of lenses"), (0, "segments of non-lenses")):
        rows = found["label"] == label
        at, weight = found["radius"][rows] / theta_e[rows, None], found["member"][rows]
        for low, high in pairwise(RADIUS_EDGES):
            within = (at >= low) & (at < high)
            if within.sum() >= BIN_MIN:
                mean, interval, n = mean_interval(weight[within], seed)
                curves.add("radius", series, (low + high) / 2, mean, interval, n)
