"""Sampling weights: each label source counts as configured, classes are equal within a source."""

import warnings

import numpy as np
import pandas as pd


def balance_groups(table: pd.DataFrame) -> pd.Series:
    """Name of the group within which each row's class is balanced.

    A label source with both classes is its own group. Sources of one class (CASTLES lenses,
    RELICS negatives) share a group per survey: balanced against each other, so that the survey
    does not tell the class. The hosts of injected lenses are negatives of these lenses.
    """
    source = _counted_source(table)
    labelled = table["label"] >= 0
    classes = table["label"][labelled].groupby(source[labelled]).nunique()
    alone = source.map(classes) > 1
    return source.where(alone, "survey:" + table["survey"])


def _counted_source(table: pd.DataFrame) -> pd.Series:
    """Label source of each row; hosts of injected lenses count as one source with these."""
    source = table["label_source"]
    injected = (source == "sim:injection").any()
    return source.replace("obs:matched", "sim:injection") if injected else source


def sampling_weights(table: pd.DataFrame, source_weights: dict[str, float]) -> np.ndarray:
    """Chance of each row in a balanced draw, [n], summing to 1.

    Each label source has its share `source_weights` (1 where not named; hosts of injected lenses
    have theirs in that of sim:injection); the sources of one group pool their shares, and within
    a group both classes are equally likely. Rows without a label are never drawn. A group of one
    class is warned of.
    Raises ValueError when no labelled row has any weight.
    """
    counted = _counted_source(table)
    shares = {source: source_weights.get(source, 1.0) for source in counted.unique()}
    group = balance_groups(table)
    weights = np.zeros(len(table))
    for name in sorted(group.unique()):
        inside = (group == name).to_numpy()
        sources = counted[inside].unique()
        share = sum(shares[source] for source in sources)
        labels = table["label"].to_numpy()
        present = [label for label in (0, 1) if (inside & (labels == label)).any()]
        if len(present) == 1:
            warnings.warn(
                f"training samples of {', '.join(sorted(sources))} ({name}) all have label "
                f"{present[0]}; add the other class from the same survey and depth, else a "
                "network can learn the survey instead of lenses",
                stacklevel=2,
            )
        for label in present:
            rows = inside & (labels == label)
            weights[rows] = share / len(present) / rows.sum()
    if not weights.sum() > 0:
        raise ValueError(
            f"source_weights {source_weights} leave no labelled training sample of "
            f"{', '.join(sorted(shares))}"
        )
    return weights / weights.sum()


def class_prior(
    table: pd.DataFrame, weights: np.ndarray, share: float = 0.0, lens_fraction: float = 0.0
) -> dict[str, float]:
    """Fraction of lenses in the training set, as it is (`natural`) and as drawn (`drawn`).

    share : of the draws that is made while training, lens_fraction : of lenses among these
    """
    lens, labelled = (table["label"] == 1).to_numpy(), (table["label"] >= 0).to_numpy()
    drawn = (1.0 - share) * float(weights[lens].sum()) + share * lens_fraction
    return {"natural": float(lens.sum() / labelled.sum()), "drawn": drawn}


def refuse_online_sources(table: pd.DataFrame, source_weights: dict[str, float]) -> None:
    """Raise ValueError where a weight is given to a source that only online samples have.

    table : of the samples of data sets; the share of online samples is the experiment's.
    """
    present = set(table["label_source"])
    for source in ("sim:injection", "obs:matched"):
        if source in source_weights and source not in present:
            raise ValueError(
                f"training.source_weights.{source}: no data set has samples of this source; the "
                "share of lenses made while training is the key online.share of the experiment"
            )
