"""What scores mean where lenses are rare: prior shift, purity and completeness."""

import numpy as np
import pandas as pd
from scipy.special import logit as log_odds

from lenshunt.core.ranking_metrics import cumulative_counts
from lenshunt.evaluation.predictions import check_labels_scores


def prevalence_shift(logits: np.ndarray, prior: float, prevalence: float) -> np.ndarray:
    """Calibrated logits moved from one lens fraction to another, by Bayes' theorem.

    logits [n], calibrated at lens fraction `prior`; `prevalence` : lens fraction among the
    objects that are scored. Both within (0, 1).
    """
    for name, value in (("prior", prior), ("prevalence", prevalence)):
        if not 0 < value < 1:
            raise ValueError(f"{name} is {value}; a lens fraction lies between 0 and 1")
    return np.asarray(logits, float) + log_odds(prevalence) - log_odds(prior)


def at_own_fraction(labels: np.ndarray, logits: np.ndarray, prior: float) -> np.ndarray:
    """Logits [n] of one test set moved to its own lens fraction, where its calibration is judged.

    labels [n] 0 or 1, both among them; prior : lens fraction of the calibration
    A test set is not made as the calibration set is: one with 7 % lenses would show an error of
    20 % and more that says nothing of the scores. How many lenses there are is therefore taken as
    known (prior shift; Saerens, Latinne & Decaestecker 2002, Neural Computation 14, 21), as a
    search has to be told its prevalence; what is left is the error of the scores themselves.
    """
    return prevalence_shift(logits, prior, float(np.mean(np.asarray(labels) == 1)))


def purity_table(labels: np.ndarray, scores: np.ndarray, prevalence: float) -> pd.DataFrame:
    """Purity and completeness at every threshold, were lenses as rare as `prevalence`.

    labels [n] 0 or 1, scores [n]. Purity = pi TPR / (pi TPR + (1 - pi) FPR). Where a threshold
    lets no false positive through, the purity is 1 only for want of non-lenses: `resolved` is
    False there. `selected` is the fraction of the sky's objects above the threshold: times the
    surface density of objects it gives candidates per square degree.
    Returns columns threshold (falling), completeness, purity, selected, resolved.
    """
    labels, scores = check_labels_scores(labels, scores)
    if labels.all() or not labels.any():
        raise ValueError("purity needs lenses and non-lenses; this set has one class")
    tp, fp, threshold = cumulative_counts(labels, scores)
    tpr, fpr = tp / tp[-1], fp / fp[-1]
    selected = prevalence * tpr + (1 - prevalence) * fpr
    return pd.DataFrame(
        {
            "threshold": threshold,
            "completeness": tpr,
            "purity": prevalence * tpr / selected,
            "selected": selected,
            "resolved": fp > 0,
        }
    )


def threshold_for_purity(table: pd.DataFrame, purity: float) -> float:
    """Lowest threshold of a purity table that still reaches `purity`; NaN where none is known to.

    A threshold without a false positive has a purity that the non-lenses do not resolve.
    """
    reached = table.loc[table["resolved"] & (table["purity"] >= purity), "threshold"]
    return float(reached.min()) if len(reached) else float("nan")
