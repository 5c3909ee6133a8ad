"""What a conditioned network makes of the seeing, and of all else, that the metadata state.

The images stay what they are; only the metadata tell another seeing, or nothing. FiLM (Perez et al.
2018, arXiv:1709.07871) starts as the identity, so an untrained network ignores them exactly. A
condition that tells lenses from non-lenses is hidden in training, and one that never varied there
taught nothing: then nothing changes either, which `seeing_visible` and `log_seeing_spread` tell.
Whether what changes is sensible is in `seeing.py`.
"""

from collections.abc import Callable

import numpy as np
import torch

from lenshunt.evaluation.diagnostics import seeing as seeings
from lenshunt.evaluation.diagnostics.areas import area_gain, with_interval
from lenshunt.evaluation.diagnostics.common import (
    Curves,
    Diagnostic,
    Panel,
    Trained,
    auroc_interval,
    class_counts,
    device_of,
    logits_of,
    mean_interval,
    test_batches,
)
from lenshunt.evaluation.diagnostics.seeing import CLASSES, FACTORS, SEEING, stating
from lenshunt.models import CONDITIONS, Batch, build_model, condition_table
from lenshunt.training.loading import Loader

SEEINGS_ARCSEC = (0.5, 0.7, 0.9, 1.2, 1.6, 2.0)
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
LEVELS = ("own metadata", "seeing of another", "no metadata", "baseline")
#: Test samples of each class: what a network is told changes its ROC area by a per cent or less.
PER_CLASS = 2000
#: Batches that an untrained network is shown.
FRESH_BATCHES = 2
SAMPLE = "random test samples under metadata that say other things"
BASELINE = True
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
    **seeings.PANELS,
}


def without(batch: Batch, family: str) -> Batch:
    """The same images, with a family of FAMILIES missing from their metadata."""
    missing = [name.startswith(FAMILIES[family]) for name in CONDITIONS]
    metadata = batch["metadata"].clone()
    metadata[:, torch.tensor(missing, device=metadata.device)] = torch.nan
    return {**batch, "metadata": metadata}


@torch.inference_mode()
def logits_by_metadata(subject: Trained, test: Loader, seed: int) -> dict[str, np.ndarray]:
    """`label`, `log_seeing` and logits with their `own` metadata and the seeing of an `other` [n].

    Further logits [k, n]: each of SEEINGS_ARCSEC `stated`, the own seeing times each of FACTORS
    (`misled`), and FAMILIES `missing`.
    """
    network = subject.network
    device = device_of(network)
    log_seeing = condition_table(test.table)[:, SEEING]
    label = test.table["label"].to_numpy()
    columns = {
        "other": torch.from_numpy(seeings.exchanged(log_seeing, label, seed)),
        "unmatched": torch.from_numpy(~test.table["psf_matched"].to_numpy(bool)),
    }
    found: dict[str, list[np.ndarray]] = {}
    for batch in test_batches(test, device):
        other, unmatched = (columns[c][batch["row"].cpu()].to(device) for c in columns)
        own = batch["metadata"][:, SEEING]
        batches = {
            "stated": [stating(batch, float(np.log10(s)), unmatched) for s in SEEINGS_ARCSEC],
            "misled": [stating(batch, own + float(np.log10(f)), unmatched) for f in FACTORS],
            "missing": [without(batch, family) for family in FAMILIES],
        }
        values = {"label": batch["label"], "log_seeing": own, "own": network(batch).logit}
        values["other"] = network(stating(batch, other, unmatched)).logit
        for name, others in batches.items():
            values[name] = torch.stack([network(told).logit for told in others])
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
        as_one_fact = torch.ones(len(batch["label"]), dtype=torch.bool, device=device)
        extremes = [float(np.log10(seeing)) for seeing in SEEINGS_ARCSEC[::5]]
        others = [without(batch, "all"), *(stating(batch, s, as_one_fact) for s in extremes)]
        own = fresh(batch).logit
        change = torch.stack([fresh(other).logit - own for other in others]).abs().max()
        largest = max(largest, float(change))
    return largest


def measure(subject: Trained, baseline: Trained | None, test: Loader, seed: int) -> Diagnostic:
    """Changes of the logit, and paired ones of the ROC area, when the metadata say other things.

    Numbers: ROC areas with own metadata and with none and their paired difference; what the own
    seeing is worth against that of another sample, and what one sharper or broader than true costs
    (cross-entropy, nats); the gain over the baseline in thirds of the true seeing; the largest
    change by a stated seeing, and by any metadata in an untrained network; whether the network
    sees the seeing, and the mean and the spread of log10 seeing (arcsec) over the test samples.
    """
    found = logits_by_metadata(subject, test, seed)
    label, own, log_seeing = found["label"], found["own"], found["log_seeing"]
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
    levels = [(subject.name, own), (subject.name, found["other"]), (subject.name, nothing)]
    numbers = seeings.exchange_numbers(label, own, found["other"], seed)
    misled = found["misled"]
    numbers |= seeings.add_misled(curves, subject.name, label, own, misled, log_seeing, seed)
    if baseline is not None:
        plain = logits_of(baseline, test)[1].astype(float)
        levels.append((baseline.name, plain))
        numbers |= seeings.add_thirds(curves, subject.name, label, own, plain, log_seeing, seed)
    for x, (name, logits) in enumerate(levels):
        curves.add("auroc", name, x, *auroc_interval(label, logits, seed), len(label))
    gain, interval, n = area_gain(label, own, nothing, seed)
    names = subject.normalisation.conditions
    hidden = subject.normalisation.conditions_hidden
    numbers |= {
        "auroc_own_metadata": auroc_interval(label, own, seed)[0],
        "auroc_no_metadata": auroc_interval(label, nothing, seed)[0],
        **with_interval("auroc_gain_of_metadata", gain, interval),
        "largest_change_by_seeing": float(np.abs(found["stated"] - own).max()),
        "largest_change_untrained": change_untrained(subject, test),
        "seeing_visible": float("log_seeing" in names and "log_seeing" not in hidden),
        "log_seeing_mean": _of_known(log_seeing, np.mean),
        "log_seeing_spread": _of_known(log_seeing, np.std),
        "samples": float(n),
    }
    return Diagnostic(curves.table(), numbers, class_counts(label))


def _of_known(values: np.ndarray, statistic: Callable[[np.ndarray], np.floating]) -> float:
    known = values[np.isfinite(values)].astype(float)
    return float(statistic(known)) if len(known) else float("nan")
