"""`pinn_lens` measures lenses: its Einstein radii against the truth, and what its fits gain.

The rival is a constant: the mean of the true radii themselves, so that no other constant, that
of the training population among them, has a smaller rms.
"""

import numpy as np
import torch

from lenshunt.evaluation.bootstrap import bootstrap_interval
from lenshunt.evaluation.diagnostics.areas import add_histogram, area, with_interval
from lenshunt.evaluation.diagnostics.common import (
    Curves,
    Diagnostic,
    Panel,
    Trained,
    class_counts,
    device_of,
    test_batches,
)
from lenshunt.training.loading import Loader
from lenshunt.training.predict import mean_scores

#: Lenses per bin at least, and bins at most.
BIN_MIN, BINS_MAX = 12, 6
#: Of log10(1 + chi2 gain).
GAIN_EDGES = np.linspace(0.0, 6.0, 31)
CONSTANT = "constant"

SAMPLE = "random test samples; radii of lenses whose radius is known"
BASELINE = False
PANELS: dict[str, Panel] = {
    "theta_e": Panel(
        "true Einstein radius (arcsec)",
        "predicted - true (arcsec), median and 16-84 %",
        "line",
        reference=0.0,
    ),
    "arc_snr": Panel(
        "S/N of the arcs",
        "predicted - true (arcsec), median and 16-84 %",
        "line",
        reference=0.0,
    ),
    "rms": Panel("S/N of the arcs", "rms of predicted - true (arcsec)", "line"),
    "chi2_gain": Panel("log10(1 + chi2 gain)", "share of the samples", "steps"),
}


def measure(subject: Trained, baseline: Trained | None, test: Loader, seed: int) -> Diagnostic:
    """Radii are means over eight views, as in the predictions; the baseline plays no part.

    Raises ValueError for a subject that predicts no Einstein radius, and where the truth is known
    of fewer than two lenses.
    """
    _check(subject, "theta_e")
    curves, numbers = Curves(), {}
    found = _scores(subject, test)
    table = test.table.iloc[found["row"]]
    label = table["label"].to_numpy()
    truth, snr = table["einstein_radius"].to_numpy(float), table["arc_snr"].to_numpy(float)
    known = (label == 1) & np.isfinite(truth) & np.isfinite(found["theta_e"])
    if known.sum() < 2:
        raise ValueError(
            f"{subject.name}: the test set has {known.sum()} lenses of known Einstein radius; "
            "take a simulated data set into `evaluate` of the experiment"
        )
    truth, snr = truth[known], snr[known]
    own, constant = found["theta_e"][known], np.full_like(truth, truth.mean())
    predicted = {subject.name: own, CONSTANT: constant}
    for name, value in predicted.items():
        _add_errors(curves, name, value - truth, truth, snr, seed)
    numbers.update(_numbers(own, truth, seed))
    numbers.update(_gains(curves, found["chi2_gain"], label, seed))
    counts = {"lenses of known radius": len(truth), **class_counts(label)}
    return Diagnostic(curves.table(), numbers, counts)


def _check(subject: Trained, score: str) -> None:
    if score not in subject.network.scores:
        raise ValueError(
            f"{subject.name} ({subject.config.architecture}) predicts no {score}; this "
            "diagnostic is for pinn_lens"
        )


def _scores(trained: Trained, test: Loader) -> dict[str, np.ndarray]:
    """`row` and the scores [n] of the test samples, in the order of the table."""
    parts: list[dict[str, torch.Tensor]] = [
        {"row": batch["row"], **mean_scores(trained.network, batch)}
        for batch in test_batches(test, device_of(trained.network))
    ]
    order = np.argsort(torch.cat([part["row"] for part in parts]).cpu().numpy())
    return {
        name: torch.cat([part[name] for part in parts]).cpu().numpy()[order] for name in parts[0]
    }


def equal_bins(values: np.ndarray) -> list[np.ndarray]:
    """Rows of bins of equal numbers along `values`; few bins where there are few values."""
    rows = np.argsort(np.where(np.isfinite(values), values, np.inf), kind="stable")
    rows = rows[: np.isfinite(values).sum()]
    count = min(BINS_MAX, len(rows) // BIN_MIN)
    return np.array_split(rows, count) if count else []


def _add_errors(
    curves: Curves, name: str, error: np.ndarray, truth: np.ndarray, snr: np.ndarray, seed: int
) -> None:
    """Median and 16-84 % by truth and by S/N, and the rms by S/N with its 95 % interval."""
    for panel, axis in (("theta_e", truth), ("arc_snr", snr)):
        for rows in equal_bins(axis):
            low, middle, high = np.quantile(error[rows], (0.16, 0.5, 0.84))
            curves.add(panel, name, np.median(axis[rows]), middle, (low, high), len(rows))
    for rows in equal_bins(snr):
        interval = bootstrap_interval(error[rows], _rms, seed)
        curves.add("rms", name, np.median(snr[rows]), _rms(error[rows]), interval, len(rows))


def _rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(error**2)))


def _correlation(pairs: np.ndarray) -> float:
    """Pearson's, of the columns of [n, 2]; NaN where one of them does not vary."""
    if (np.ptp(pairs, axis=0) == 0).any():
        return float("nan")
    return float(np.corrcoef(pairs.T)[0, 1])


def _numbers(predicted: np.ndarray, truth: np.ndarray, seed: int) -> dict[str, float]:
    """rms of the network and of the constant, their ratio, correlation; with intervals."""
    pairs = np.stack([predicted, truth], axis=1)

    def rms(rows: np.ndarray) -> float:
        return _rms(rows[:, 0] - rows[:, 1])

    def ratio(rows: np.ndarray) -> float:
        return rms(rows) / float(rows[:, 1].std()) if np.ptp(rows[:, 1]) > 0 else float("nan")

    error = predicted - truth
    low, middle, high = np.quantile(error, (0.16, 0.5, 0.84))
    numbers = {"n_lenses": float(len(truth)), "constant_rms_arcsec": float(truth.std())}
    for name, statistic in (
        ("rms_arcsec", rms), ("rms_over_constant", ratio), ("correlation", _correlation),
    ):  # fmt: skip
        numbers.update(
            with_interval(name, statistic(pairs), bootstrap_interval(pairs, statistic, seed))
        )
    return numbers | {"median_error_arcsec": middle, "half_68_percent_arcsec": (high - low) / 2}


def _gains(curves: Curves, gain: np.ndarray, label: np.ndarray, seed: int) -> dict[str, float]:
    """Distributions of the chi2 gain, and how well it alone tells lenses from non-lenses."""
    for name, own in (("lenses", 1), ("non-lenses", 0)):
        add_histogram(curves, "chi2_gain", name, np.log10(1 + gain[label == own]), GAIN_EDGES)
    value, interval, _ = area(gain[label == 1], gain[label == 0], seed)
    return with_interval("chi2_gain_auroc", value, interval) | {
        "failed_fits": float((~np.isfinite(gain)).sum())
    }
