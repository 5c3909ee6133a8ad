"""What a conditioned network makes of the seeing, and of all else, that the metadata state.

The images stay what they are; only the metadata tell another seeing, or nothing. FiLM (Perez et al.
2018, arXiv:1709.07871) starts as the identity, so an untrained network ignores them exactly. A
condition that tells lenses from non-lenses is hidden in training, and one that never varied there
taught nothing: then nothing changes either, which `seeing_visible` and `log_seeing_spread` tell.
"""

from collections.abc import Callable

import numpy as np
import torch

from lenshunt.evidence.areas import area_gain
from lenshunt.evidence.common import (
    Curves,
    Evidence,
    Panel,
    Trained,
    auroc_interval,
    device_of,
    logits_of,
    mean_interval,
    test_batches,
)
from lenshunt.models import CONDITIONS, Batch, build_model, condition_table
from lenshunt.training.loading import Loader

SEEING = CONDITIONS.index("log_seeing")
SEEINGS_ARCSEC = (0.5, 0.7, 0.9, 1.2, 1.6, 2.0)
CLASSES = (("lenses", 1), ("non-lenses", 0))
#: Conditions that are left out together, by the beginnings of their names.
FAMILIES = {
    "seeing": ("log_seeing",),
    "PSF": ("log_psf_fwhm",),
    "pixel": ("log_pixel_scale",),
    "S/N": ("log_snr",),
    "z": ("log_1_plus_z",),
    "mag": ("magnitude_",),
    "filters": ("log_wavelength_",),
    "all": ("",),
}
LEVELS = ("own metadata", "no metadata", "baseline")
#: Samples that an untrained network is shown.
FRESH_BATCHES = 2
PANELS: dict[str, Panel] = {
    "change": Panel("stated seeing (arcsec)", "mean change of logit", "line", reference=0.0),
    "gain": Panel("stated seeing (arcsec)", "AUROC - that of own metadata", "line", reference=0.0),
    "missing": Panel(
        "metadata left out",
        "mean |change of logit|",
        "points",
        reference=0.0,
        ticks=tuple(FAMILIES),
    ),
    "auroc": Panel("", "AUROC", "points", ticks=LEVELS),
}


def stating(batch: Batch, seeing_arcsec: float) -> Batch:
    """The same images, each said to have been taken in this seeing."""
    metadata = batch["metadata"].clone()
    metadata[:, SEEING] = float(np.log10(seeing_arcsec))
    return {**batch, "metadata": metadata}


def without(batch: Batch, family: str) -> Batch:
    """The same images, with a family of FAMILIES missing from their metadata."""
    missing = [name.startswith(FAMILIES[family]) for name in CONDITIONS]
    metadata = batch["metadata"].clone()
    metadata[:, torch.tensor(missing, device=metadata.device)] = torch.nan
    return {**batch, "metadata": metadata}


@torch.inference_mode()
def logits_by_metadata(subject: Trained, test: Loader) -> dict[str, np.ndarray]:
    """`label` and logits with their `own` metadata [n], `stated` and `missing` [k, n]."""
    network = subject.network
    found: dict[str, list[np.ndarray]] = {}
    for batch in test_batches(test, device_of(network)):
        batches = {
            "stated": [stating(batch, seeing) for seeing in SEEINGS_ARCSEC],
            "missing": [without(batch, family) for family in FAMILIES],
        }
        values = {"label": batch["label"], "own": network(batch).logit}
        for name, others in batches.items():
            values[name] = torch.stack([network(other).logit for other in others])
        for name, part in values.items():
            found.setdefault(name, []).append(part.double().cpu().numpy())
    return {name: np.concatenate(parts, axis=-1) for name, parts in found.items()}


@torch.inference_mode()
def change_untrained(subject: Trained, test: Loader) -> float:
    """Largest change of the logit by any metadata in a fresh network of the same configuration."""
    device = device_of(subject.network)
    fresh = build_model(subject.config, subject.normalisation).to(device).eval()
    largest = 0.0
    for number, batch in enumerate(test_batches(test, device)):
        if number == FRESH_BATCHES:
            break
        others = [without(batch, "all"), *(stating(batch, s) for s in SEEINGS_ARCSEC[::5])]
        own = fresh(batch).logit
        change = torch.stack([fresh(other).logit - own for other in others]).abs().max()
        largest = max(largest, float(change))
    return largest


def measure(subject: Trained, baseline: Trained | None, test: Loader, seed: int) -> Evidence:
    """Changes of the logit, and paired ones of the ROC area, when the metadata say other things.

    Numbers: ROC areas with own metadata and with none and their paired difference; the largest
    change by a stated seeing, and by any metadata in an untrained network; whether the network
    sees the seeing, and the mean and the spread of log10 seeing (arcsec) over the test samples.
    """
    found = logits_by_metadata(subject, test)
    label, own = found["label"], found["own"]
    curves = Curves()
    for seeing, logits in zip(SEEINGS_ARCSEC, found["stated"], strict=True):
        curves.add("gain", subject.name, seeing, *area_gain(label, logits, own, seed))
        for name, value in CLASSES:
            curves.add("change", name, seeing, *mean_interval((logits - own)[label == value], seed))
    for x, logits in enumerate(found["missing"]):
        for name, value in CLASSES:
            change = np.abs(logits - own)[label == value]
            curves.add("missing", name, x, *mean_interval(change, seed))
    nothing = found["missing"][-1]
    levels = [(subject.name, own), (subject.name, nothing)]
    if baseline is not None:
        levels.append((baseline.name, logits_of(baseline, test)[1].astype(float)))
    for x, (name, logits) in enumerate(levels):
        curves.add("auroc", name, x, *auroc_interval(label, logits, seed), len(label))
    gain, (low, high), n = area_gain(label, own, nothing, seed)
    names = subject.normalisation.conditions
    hidden = subject.normalisation.conditions_hidden
    seeings = condition_table(test.table)[:, SEEING]
    numbers = {
        "auroc_own_metadata": auroc_interval(label, own, seed)[0],
        "auroc_no_metadata": auroc_interval(label, nothing, seed)[0],
        "auroc_gain_of_metadata": gain,
        "auroc_gain_of_metadata_low": low,
        "auroc_gain_of_metadata_high": high,
        "largest_change_by_seeing": float(np.abs(found["stated"] - own).max()),
        "largest_change_untrained": change_untrained(subject, test),
        "seeing_visible": float("log_seeing" in names and "log_seeing" not in hidden),
        "log_seeing_mean": _of_known(seeings, np.mean),
        "log_seeing_spread": _of_known(seeings, np.std),
        "samples": float(n),
    }
    return Evidence(curves.table(), numbers)


def _of_known(values: np.ndarray, statistic: Callable[[np.ndarray], np.floating]) -> float:
    known = values[np.isfinite(values)].astype(float)
    return float(statistic(known)) if len(known) else float("nan")
