"""Whether a network's logit stays where it is when the image is turned, mirrored or shifted.

A convolution equivariant under rotations by 90 degrees and mirror images (Cohen & Welling 2016,
arXiv:1602.07576) changes its logit by rounding alone; between them nothing is promised. Images are
moved as in training (bilinear, lost corners unusable), the same for subject and baseline.
"""

import math
from collections.abc import Iterable

import numpy as np
import torch

from lenshunt.evaluation.diagnostics.common import (
    Curves,
    Diagnostic,
    Panel,
    Trained,
    class_counts,
    device_of,
    mean_interval,
    share_interval,
    test_batches,
)
from lenshunt.models import Batch
from lenshunt.training.augment import carried_along, warp
from lenshunt.training.loading import Loader
from lenshunt.training.predict import dihedral_views

#: The views of `dihedral_views` but for the first, which is the image itself.
VIEWS = ("flip", "90°", "90° + flip", "180°", "180° + flip", "270°", "270° + flip")
ANGLES_DEG = (15.0, 30.0, 45.0, 60.0, 75.0)
SHIFTS_PX = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
_CHANGE = "mean |change| / spread of logit"
SAMPLE = "random test samples, turned, mirrored and shifted"
BASELINE = True
PANELS: dict[str, Panel] = {
    "exact": Panel("view without interpolation", _CHANGE, "points", log="y", ticks=VIEWS),
    "angle": Panel("rotation (degrees)", _CHANGE, "line", reference=0.0),
    "shift": Panel("shift along x and y (pixels)", _CHANGE, "line", reference=0.0),
}


def moved(batch: Batch, angle_deg: float, shift_px: float, half_side_arcsec: float) -> Batch:
    """All images of a batch turned by an angle and shifted by `shift_px` along x and along y."""
    image = batch["image"]
    turn, shift = math.radians(angle_deg), 2.0 * shift_px / image.shape[-1]
    rows = [[math.cos(turn), -math.sin(turn), shift], [math.sin(turn), math.cos(turn), shift]]
    affine = image.new_tensor(rows).expand(len(image), 2, 3)
    new_image, variance = warp(image, batch["variance"], affine)
    new: Batch = {**batch, "image": new_image, "variance": variance}
    if "segments" in batch:
        new["segments"] = carried_along(batch["segments"], affine, half_side_arcsec)
    return new


@torch.inference_mode()
def logits_of_views(subject: Trained, test: Loader) -> dict[str, np.ndarray]:
    """Logits of the images themselves [n], `exact` [7, n], `angle` and `shift` [k, n]; float64."""
    network, grid = subject.network, subject.normalisation
    half = 0.5 * grid.size_px * grid.pixel_scale_arcsec
    found: dict[str, list[np.ndarray]] = {name: [] for name in ("itself", *PANELS)}
    for batch in test_batches(test, device_of(network)):
        # made as they are asked for: of large images not all fit into memory
        views: dict[str, Iterable[Batch]] = {
            "exact": dihedral_views(batch)[1:],
            "angle": (moved(batch, angle, 0.0, half) for angle in ANGLES_DEG),
            "shift": (moved(batch, 0.0, shift, half) for shift in SHIFTS_PX),
        }
        found["itself"].append(network(batch).logit.double().cpu().numpy())
        for name, changed in views.items():
            logits = torch.stack([network(view).logit for view in changed])
            found[name].append(logits.double().cpu().numpy())
    return {name: np.concatenate(parts, axis=-1) for name, parts in found.items()}


def measure(subject: Trained, baseline: Trained | None, test: Loader, seed: int) -> Diagnostic:
    """Changes of the logit in units of its standard deviation over the test samples.

    So networks of steep and of flat logits compare. Numbers: the largest change by the seven
    exact views and the mean one at 45 degrees, in logits; the share of decisions at logit 0 that
    45 degrees and half a pixel change.
    """
    curves, numbers = Curves(), {}
    for trained in (subject, baseline):
        if trained is None:
            continue
        role = "subject" if trained is subject else "baseline"
        logits = logits_of_views(trained, test)
        own = logits["itself"]
        # without any spread there is no unit to tell changes in
        spread = float(own.std()) or float("nan")
        scales = {"exact": range(len(VIEWS)), "angle": ANGLES_DEG, "shift": SHIFTS_PX}
        for panel, xs in scales.items():
            for x, values in zip(xs, logits[panel], strict=True):
                change = np.abs(values - own) / spread
                curves.add(panel, trained.name, x, *mean_interval(change, seed))
        turned, shifted = (
            logits["angle"][ANGLES_DEG.index(45.0)],
            logits["shift"][SHIFTS_PX.index(0.5)],
        )
        numbers[f"{role}_logit_spread"] = spread
        numbers[f"{role}_exact_views_max_change"] = float(np.abs(logits["exact"] - own).max())
        numbers[f"{role}_45deg_mean_change"] = float(np.abs(turned - own).mean())
        for name, values in (("45deg", turned), ("half_pixel", shifted)):
            share, (low, high), n = share_interval((values > 0) != (own > 0))
            key = f"{role}_{name}_decisions_changed"
            numbers.update({key: share, f"{key}_low": low, f"{key}_high": high})
            numbers["samples"] = n
    counts = class_counts(test.table["label"].to_numpy())
    return Diagnostic(curves.table(), numbers, counts)
