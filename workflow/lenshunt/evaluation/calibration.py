"""From logits to probabilities: fits on a calibration set, and how good they are."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, logit, ndtr

Method = Literal["logit", "temperature", "isotonic"]
METHODS: tuple[Method, ...] = ("logit", "temperature", "isotonic")
#: Fewer objects than this, or one class, and the identity is kept.
MIN_SAMPLES = 4
#: Smallest slope: a calibration may flatten a score, never turn it round.
MIN_SLOPE = 1e-2
BINS = 15


def fit_calibration(
    labels: np.ndarray, logits: np.ndarray, method: Method = "logit"
) -> dict[str, Any]:
    """Parameters of a calibration, fitted by maximum likelihood.

    labels [n] 0 or 1, logits [n]. `logit`: a x logit + b (balanced training shifts the
    intercept, which a temperature alone cannot undo); `temperature`: b = 0; `isotonic`: a step
    function. Returns method, a, b, prior (lens fraction of the set, kept for the prevalence
    shift), n, note, and for isotonic the knots. A set of one class or of fewer than 4 objects
    gives the identity, prior 0.5 (training draws the classes alike), and says so in the note.
    """
    if method not in METHODS:
        raise ValueError(f"calibration method {method!r}; choose one of {', '.join(METHODS)}")
    labels, logits = np.asarray(labels), np.asarray(logits, dtype=float)
    n, n_lens = len(labels), int(np.sum(labels == 1))
    base: dict[str, Any] = {"method": method, "a": 1.0, "b": 0.0, "prior": 0.5, "n": n, "note": ""}
    if n < MIN_SAMPLES or n_lens in (0, n):
        reason = f"{n} objects" if n < MIN_SAMPLES else f"{n} objects of one class"
        return base | {"method": "identity", "note": f"not calibrated: {reason} in val_calibrate"}
    base["prior"] = n_lens / n
    if method == "isotonic":
        return base | _isotonic_knots(labels, logits)
    a, b = _fit_line(labels, logits, with_intercept=method == "logit")
    note = "slope at its lower bound: the score does not order this set" if a == MIN_SLOPE else ""
    return base | {"a": a, "b": b, "note": note}


def _fit_line(labels: np.ndarray, logits: np.ndarray, with_intercept: bool) -> tuple[float, float]:
    """Slope and intercept of the most likely line through the logits."""
    n_lens = int(np.sum(labels == 1))
    n_nonlens = len(labels) - n_lens
    # Smoothed targets (Platt 1999) keep the slope finite where the classes separate.
    target = np.where(labels == 1, (n_lens + 1) / (n_lens + 2), 1 / (n_nonlens + 2))
    scale = max(float(np.std(logits)), 1e-6)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Mean cross-entropy and its gradient; parameters (a x scale, b)."""
        x = logits / scale
        line = parameters[0] * x + parameters[1]
        value = np.mean(np.logaddexp(0, line) - target * line)
        slope = expit(line) - target
        return float(value), np.array([np.mean(slope * x), np.mean(slope) * with_intercept])

    result = minimize(
        loss,
        x0=np.array([scale, 0.0]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(MIN_SLOPE * scale, None), (None, None) if with_intercept else (0.0, 0.0)],
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000},
    )
    return max(float(result.x[0]) / scale, MIN_SLOPE), float(result.x[1])


def _isotonic_knots(labels: np.ndarray, logits: np.ndarray) -> dict[str, Any]:
    """Knots of the monotonic step function nearest the labels, as logits of probabilities."""
    # One knot per distinct logit, so that equal scores stay equal.
    x, place, count = np.unique(logits, return_inverse=True, return_counts=True)
    mean = np.bincount(place, weights=labels) / count
    steps = isotonic_regression(mean, weights=count).x
    # A step of 0 or 1 would be certainty from a finite set.
    bounded = np.clip(steps, 1 / (len(labels) + 2), 1 - 1 / (len(labels) + 2))
    return {"knots_logit": x.tolist(), "knots_calibrated": logit(bounded).tolist()}


def apply_parameters(parameters: Mapping[str, Any], logits: np.ndarray) -> np.ndarray:
    """Calibrated logits [n] of `logits` [n]."""
    logits = np.asarray(logits, dtype=float)
    if parameters["method"] == "isotonic":
        return np.interp(logits, parameters["knots_logit"], parameters["knots_calibrated"])
    return parameters["a"] * logits + parameters["b"]


def equal_mass_bins(probability: np.ndarray, bins: int = BINS) -> list[np.ndarray]:
    """Indices of the objects in each bin: equally many, in order of probability."""
    order = np.argsort(probability, kind="stable")
    return [part for part in np.array_split(order, bins) if len(part)]


def expected_calibration_error(
    labels: np.ndarray, probability: np.ndarray, bins: int = BINS, debiased: bool = False
) -> float:
    """Mean |predicted probability - lens fraction| over equal-mass bins; NaN without objects.

    labels [n] 0 or 1, probability [n] 0..1. The plain estimate counts noise as error: a perfect
    forecaster of 300 objects shows about 5 %. Debiased, every bin is relieved of what noise adds
    to the size of its error on average (`folded_excess`): a perfect forecaster then shows about
    a quarter of the plain value, and an error well out of the noise stays as it is. Errors no
    larger than the noise come out low, by 0.6 points of 4 at 2,000 objects, 1.3 of 6 at 300.
    """
    labels, probability = np.asarray(labels, float), np.asarray(probability, float)
    if not len(labels):
        return float("nan")
    total = 0.0
    for part in equal_mass_bins(probability, bins):
        p = probability[part]
        error = abs(float(np.mean(p - labels[part])))
        if debiased:
            sigma = float(np.sqrt(np.sum(p * (1 - p)))) / len(part)
            # The square of a noisy error is too large by sigma^2.
            error -= folded_excess(np.sqrt(max(0.0, error**2 - sigma**2)), sigma)
        total += error * len(part) / len(labels)
    return max(0.0, total)


def folded_excess(mean: float, sigma: float) -> float:
    """E|x| - mean of a normal x (mean >= 0): by how much noise lengthens an absolute value.

    Folded normal distribution; Leone, Nelson & Nottingham 1961, Technometrics 3, 543.
    """
    if sigma == 0:
        return 0.0
    z = mean / sigma
    peak = sigma * np.sqrt(2 / np.pi) * np.exp(-(z**2) / 2)
    return float(peak - 2 * mean * ndtr(-z))


def calibration_numbers(labels: np.ndarray, logits: np.ndarray) -> dict[str, float | int | None]:
    """n, ece, ece_debiased, brier and log_loss of calibrated logits [n]; None without objects."""
    labels, logits = np.asarray(labels, float), np.asarray(logits, float)
    if not len(labels):
        return {"n": 0} | dict.fromkeys(("ece", "ece_debiased", "brier", "log_loss"))
    probability = expit(logits)
    return {
        "n": len(labels),
        "ece": expected_calibration_error(labels, probability),
        "ece_debiased": expected_calibration_error(labels, probability, debiased=True),
        "brier": float(np.mean((probability - labels) ** 2)),
        "log_loss": float(np.mean(np.logaddexp(0, logits) - labels * logits)),
    }
