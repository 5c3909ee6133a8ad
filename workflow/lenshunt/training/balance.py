"""Sampling weights: each label source counts as configured, classes are equal within surveys."""

import warnings

import numpy as np
import pandas as pd

#: Ends the name of a group of samples whose survey has no sample of the other class.
LONELY = " without counterpart"


def balance_groups(table: pd.DataFrame) -> pd.Series:
    """Name of the group within which each row's class is balanced.

    A label source in one survey is a group where it has both classes there. What is left in a
    survey (CASTLES lenses, RELICS negatives; lenses of a source whose negatives are of other
    surveys) is one group, balanced against each other, so that the survey does not tell the class;
    where it has one class only, it is balanced against all of its survey. Where the whole survey
    has one class only, it tells the class whatever is drawn: such samples of a source are a group
    over all surveys. The hosts of injected lenses are negatives of these lenses.
    """
    label = table["label"].where(table["label"] >= 0)
    source, survey = _counted_source(table), "survey:" + table["survey"]

    def has_both(names: pd.Series) -> pd.Series:
        return label.groupby(names).transform("nunique") > 1

    cell = _cells(table)
    group = cell.where(has_both(cell), survey)
    left = label.notna() & ~has_both(group)
    group = group.where(~left.groupby(survey).transform("any"), survey)
    return group.where(has_both(group), source + LONELY)


def _cells(table: pd.DataFrame) -> pd.Series:
    """Name of label source and survey of each row."""
    return _counted_source(table) + " in survey:" + table["survey"]


def _counted_source(table: pd.DataFrame) -> pd.Series:
    """Label source of each row; hosts of injected lenses count as one source with these."""
    source = table["label_source"]
    injected = (source == "sim:injection").any()
    return source.replace("obs:matched", "sim:injection") if injected else source


def sampling_weights(table: pd.DataFrame, source_weights: dict[str, float]) -> np.ndarray:
    """Chance of each row in a balanced draw, [n], summing to 1.

    Each label source has its share `source_weights` (1 where not named; hosts of injected lenses
    have theirs in that of sim:injection), which its surveys get by their numbers of rows. Both
    classes are equally likely in every group of `balance_groups`; the sources of one group pool
    their shares, and those of one class in it count as their shares are.
    Rows without a label are never drawn. A survey of one class is warned of.
    Raises ValueError when no labelled row has any weight.
    """
    source = _counted_source(table)
    share = source.map(lambda name: source_weights.get(name, 1.0)).astype(float)
    drawn = (table["label"] >= 0) & (share > 0)
    if not drawn.any():
        raise ValueError(
            f"source_weights {source_weights} leave no labelled training sample of "
            f"{', '.join(sorted(source.unique()))}"
        )
    rows, share = table[drawn], share[drawn]
    group = balance_groups(rows)
    _warn_of_lonely(rows, group)
    chance = share / share.groupby(source[drawn]).transform("size")
    for names in (_cells(rows), group):
        chance = _of_equal_classes(chance, names, rows["label"])
    weights = pd.Series(0.0, table.index)
    weights[drawn] = chance / chance.sum()
    return weights.to_numpy()


def _of_equal_classes(chance: pd.Series, group: pd.Series, label: pd.Series) -> pd.Series:
    """`chance` of each row with the classes that a group has made equal, its sum kept."""
    each = chance.groupby(group).transform("sum") / label.groupby(group).transform("nunique")
    return chance * each / chance.groupby([group, label]).transform("sum")


def _warn_of_lonely(table: pd.DataFrame, group: pd.Series) -> None:
    """Warn of each survey whose samples all have one label. group : of each row of `table`"""
    for survey, rows in table[group.str.endswith(LONELY)].groupby("survey"):
        warnings.warn(
            f"training samples of {', '.join(sorted(rows['label_source'].unique()))} "
            f"(survey:{survey}) all have label {rows['label'].iloc[0]}; add the other class from "
            "the same survey and depth, else a network can learn the survey instead of lenses",
            stacklevel=3,
        )


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
