"""From logits to probabilities: fits on a calibration set, and how good they are."""

import itertools
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
    function. Returns method, a, b, prior (see `calibration_prior`, kept for the prevalence shift),
    n, note, and for isotonic the knots. A set of one class or of fewer than 4 objects gives the
    identity, and says so in the note.
    """
    if method not in METHODS:
        raise ValueError(f"calibration method {method!r}; choose one of {', '.join(METHODS)}")
    labels, logits = np.asarray(labels), np.asarray(logits, dtype=float)
    n, prior = len(labels), calibration_prior(labels)
    base: dict[str, Any] = {
        "method": method,
        "a": 1.0,
        "b": 0.0,
        "prior": prior,
        "n": n,
        "note": "",
    }
    if not _can_be_fitted(labels):
        reason = f"{n} objects" if n < MIN_SAMPLES else f"{n} objects of one class"
        return base | {"method": "identity", "note": f"not calibrated: {reason} in val_calibrate"}
    if method == "isotonic":
        return base | _isotonic_knots(labels, logits)
    a, b = _fit_line(labels, logits, with_intercept=method == "logit")
    note = "slope at its lower bound: the score does not order this set" if a == MIN_SLOPE else ""
    return base | {"a": a, "b": b, "note": note}


def _can_be_fitted(labels: np.ndarray) -> bool:
    """Whether a calibration set has enough objects, and both classes."""
    return len(labels) >= MIN_SAMPLES and len(np.unique(labels)) == 2


def calibration_prior(labels: np.ndarray) -> float:
    """Lens fraction at which calibrated logits are probabilities, from val_calibrate's labels [n].

    0.5 where that set cannot be fitted to: logits are as trained, and training draws the classes
    alike.
    """
    return float(np.mean(labels == 1)) if _can_be_fitted(labels) else 0.5


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
    """Indices of the objects in each bin: about equally many, in order of probability.

    Bins end where the probability changes, so that objects of equal probability share a bin
    whatever their order in the file; many of equal probability make fewer bins.
    """
    if not len(probability):
        return []
    order = np.argsort(probability, kind="stable")
    ordered = probability[order]
    changes = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1], True])
    wanted = np.cumsum([len(part) for part in np.array_split(order, bins)])[:-1]
    after = np.searchsorted(changes, wanted)
    nearer = wanted - changes[after - 1] <= changes[after] - wanted
    edges = np.unique(np.r_[0, changes[after - nearer], len(order)])
    return [order[low:high] for low, high in itertools.pairwise(edges)]


def expected_calibration_error(
    labels: np.ndarray, probability: np.ndarray, bins: int = BINS, debiased: bool = False
) -> float:
    """Mean |predicted probability - lens fraction| over equal-mass bins; NaN without objects.

    labels [n] 0 or 1, probability [n] 0..1. The plain estimate counts noise as error: a perfect
    forecaster of 300 objects shows about 5 %. Debiased, every bin is relieved of what noise adds
    to the size of its error on average (`size_without_noise`): a perfect forecaster then shows
    about a quarter of the plain value, and an error well out of the noise stays as it is. Errors
    no larger than the noise come out low, by 0.6 points of 4 at 2,000 objects, 1.3 of 6 at 300.
    """
    labels, probability = np.asarray(labels, float), np.asarray(probability, float)
    if not len(labels):
        return float("nan")
    total = 0.0
    for part in equal_mass_bins(probability, bins):
        p = probability[part]
        error = abs(float(np.mean(p - labels[part])))
        if debiased:
            sigma = np.sqrt(np.sum(p * (1 - p))) / len(part)
            error = float(size_without_noise(np.asarray(error), sigma))
        total += error * len(part) / len(labels)
    return max(0.0, total)


def size_without_noise(error: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Size of errors without what noise of `sigma` adds to it on average; may fall below zero.

    error : absolute values. The mean of the folded normal distribution is taken off, less that of
    the error itself; Leone, Nelson & Nottingham 1961, Technometrics 3, 543.
    """
    # The square of a noisy error is too large by sigma^2.
    mean = np.sqrt(np.maximum(error**2 - sigma**2, 0.0))
    z = mean / np.where(sigma > 0, sigma, np.inf)
    peak = sigma * np.sqrt(2 / np.pi) * np.exp(-(z**2) / 2)
    return error - np.where(sigma > 0, peak - 2 * mean * ndtr(-z), 0.0)


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
