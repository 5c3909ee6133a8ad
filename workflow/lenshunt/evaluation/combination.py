"""Combine the calibrated log odds of several classifiers: mean, Bayes' theorem, stacking.

All three are lines through the members' calibrated log odds, so that parameters are one weight
per member and an intercept. They differ in where the weights come from.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.linalg import solve_triangular
from scipy.optimize import nnls
from scipy.special import logit as log_odds
from sklearn.linear_model import LogisticRegression

#: Physical objects of each class that a fit of weights needs.
MIN_SYSTEMS = 10
FOLDS = 5
#: Objects that the equal correlation of all members is worth against the measured ones.
PRIOR_OBJECTS = 30.0
#: Part of a member's variance that is its own: members with equal scores share their weight.
OWN_NOISE = 1e-3
#: Inverse strengths of the l2 penalty that stacking tries; the first of equals wins.
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclass(frozen=True)
class Combination:
    """Fused log odds = intercept + weights . members' calibrated log odds.

    weights : [k]; details : numbers of the fit worth telling
    """

    weights: np.ndarray
    intercept: float
    details: dict[str, float] = field(default_factory=dict)

    def logits(self, members: np.ndarray) -> np.ndarray:
        """Fused log odds [n] of the members' calibrated log odds [n, k]."""
        return members @ self.weights + self.intercept


Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], Combination]


def mean(members: np.ndarray, labels: np.ndarray, systems: np.ndarray) -> Combination:
    """Plain mean of the log odds; nothing is fitted."""
    k = members.shape[1]
    return Combination(np.full(k, 1 / k), 0.0)


def bayes(members: np.ndarray, labels: np.ndarray, systems: np.ndarray) -> Combination:
    """Posterior log odds of the class, given what all members say (supra-Bayesian combination).

    members [n, k] calibrated log odds, labels [n] 0 or 1. Given the class, the members' log odds
    are taken as normal with one covariance S for both classes; then Bayes' theorem gives
    prior log odds + w . (x - midpoint) with w = S^-1 (mean of lenses - mean of non-lenses);
    reviewed by Jacobs 1995, Neural Computation 7, 867. Independent calibrated members get
    w = 1 each: their log odds add, less (k - 1) prior log odds. Members that say the same share
    a sum of 1. The sum of the weights is so the number of independent members that they are
    worth (`members_effective`). One damping common to all would rank as the mean does.
    S is drawn towards equal correlations, as if PRIOR_OBJECTS more objects showed those (mean of
    an inverse-Wishart posterior). Weights are not negative: evidence of a calibrated member for
    a lens never counts against it.
    """
    lens = labels == 1
    centres = np.stack([members[~lens].mean(axis=0), members[lens].mean(axis=0)])
    covariance = shrunk_covariance(members - centres[lens.astype(int)])
    # Maximum of w.d - w.S.w / 2 over w >= 0, as least squares with S = L L^T.
    lower = np.linalg.cholesky(covariance)
    weights, _ = nnls(lower.T, solve_triangular(lower, centres[1] - centres[0], lower=True))
    prior = float(log_odds(lens.mean()))
    intercept = prior - float(weights @ centres.mean(axis=0))
    return Combination(weights, intercept, {"members_effective": float(weights.sum())})


def shrunk_covariance(residuals: np.ndarray) -> np.ndarray:
    """Covariance [k, k] of residuals [n, k] from two class means, drawn to equal correlations.

    The target is that of Ledoit & Wolf 2004 (J. Portfolio Management 30, 110): own variances,
    one correlation, the mean of all pairs.
    """
    n, k = residuals.shape
    sample = residuals.T @ residuals / (n - 2)
    sigma = np.sqrt(np.diag(sample))
    scale = np.outer(sigma, sigma)
    common = ((sample / scale).sum() - k) / max(1, k * (k - 1))
    target = scale * np.where(np.eye(k, dtype=bool), 1.0, common)
    shrunk = (n * sample + PRIOR_OBJECTS * target) / (n + PRIOR_OBJECTS)
    return shrunk + OWN_NOISE * np.diag(sigma**2)


def stacking(members: np.ndarray, labels: np.ndarray, systems: np.ndarray) -> Combination:
    """Logistic regression with an l2 penalty on the weights; Wolpert 1992, Ting & Witten 1999.

    members [n, k] calibrated log odds, labels [n] 0 or 1, systems [n] physical objects. The
    strength of the penalty is the one of least log loss on held-out systems.
    """
    losses = [_held_out_loss(strength, members, labels, systems) for strength in STRENGTHS]
    strength = STRENGTHS[int(np.argmin(losses))]
    return _logistic(strength, members, labels)


def _logistic(strength: float, members: np.ndarray, labels: np.ndarray) -> Combination:
    """One logistic regression; `strength` divides the penalty (scikit-learn's C)."""
    # Newton's method: a line search in single steps stalls where members say nearly the same.
    fit = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-8, max_iter=200)
    fit.fit(members, labels)
    return Combination(fit.coef_[0].astype(float), float(fit.intercept_[0]), {"c": strength})


def _held_out_loss(
    strength: float, members: np.ndarray, labels: np.ndarray, systems: np.ndarray
) -> float:
    """Mean log loss of held-out systems."""
    logits = cross_fitted(lambda x, y, _: _logistic(strength, x, y), members, labels, systems)
    return float(np.mean(np.logaddexp(0, logits) - labels * logits))


#: Ways to combine, in the order in which a tie is decided.
FITS: dict[str, Fit] = {"mean": mean, "bayes": bayes, "stacking": stacking}


def system_folds(systems: np.ndarray, labels: np.ndarray, folds: int = FOLDS) -> np.ndarray:
    """Fold 0..folds - 1 of each object, [n]: no system in two, lenses in every one.

    systems [n] names, labels [n] 0 or 1. Systems with and without a lens are dealt out apart,
    in an order that depends on their names alone. Raises ValueError where there are fewer of
    either than folds.
    """
    has_lens = pd.Series(labels).groupby(pd.Series(systems)).max()
    fold_of: dict[str, int] = {}
    for value in (0, 1):
        names = [str(name) for name in has_lens.index[has_lens == value]]
        if len(names) < folds:
            raise ValueError(f"{len(names)} systems of label {value} cannot fill {folds} folds")
        names.sort(key=lambda name: (zlib.crc32(name.encode()), name))
        fold_of |= {name: position % folds for position, name in enumerate(names)}
    return np.array([fold_of[str(name)] for name in systems])


def cross_fitted(
    fit: Fit, members: np.ndarray, labels: np.ndarray, systems: np.ndarray
) -> np.ndarray:
    """Fused log odds [n], each from a fit that saw no object of the same system.

    members [n, k], labels [n] 0 or 1, systems [n]
    """
    fused = np.empty(len(labels))
    for held in _held_out(system_folds(systems, labels)):
        fitted = fit(members[~held], labels[~held], systems[~held])
        fused[held] = fitted.logits(members[held])
    return fused


def _held_out(folds: np.ndarray) -> Iterator[np.ndarray]:
    """Members of each fold, bool [n]."""
    return (folds == fold for fold in np.unique(folds))


def why_not_fitted(
    members: np.ndarray, labels: np.ndarray, systems: np.ndarray, names: list[str]
) -> str:
    """Reason for which no weights can be fitted to these objects; empty where they can.

    members [n, k], labels [n], systems [n]; names [k] of the members
    """
    if len(names) == 1:
        return f"{names[0]} is the only member"
    has_lens = pd.Series(labels, dtype=int).groupby(pd.Series(systems, dtype=str)).max()
    counts = {"lens": int((has_lens == 1).sum()), "non-lens": int((has_lens == 0).sum())}
    few = [f"{n} {kind} systems" for kind, n in counts.items() if n < MIN_SYSTEMS]
    if few:
        return f"{' and '.join(few)} in val_calibrate, fewer than {MIN_SYSTEMS}"
    for name, scores in zip(names, members.T, strict=True):
        if any(np.ptp(scores[labels == value]) == 0 for value in (0, 1)):
            return f"{name} gives all objects of a class in val_calibrate the same score"
    return ""
