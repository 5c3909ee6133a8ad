"""Strata of a test set: by flux ratio, Einstein radius, arc S/N, magnitude, redshift, source."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lenshunt.schema import best_redshift, reference_magnitude

#: Quantities that only lenses have: lenses of the bin against all non-lenses of the set.
LENS_BINS: dict[str, dict[str, tuple[float, float]]] = {
    "flux_ratio": {"low": (-np.inf, 0.1), "medium": (0.1, 0.3), "high": (0.3, np.inf)},
    "einstein_radius": {"<1": (-np.inf, 1.0), "1-2": (1.0, 2.0), ">2": (2.0, np.inf)},
    "arc_snr": {"<10": (-np.inf, 10.0), "10-50": (10.0, 50.0), ">50": (50.0, np.inf)},
}
#: Quantities that both classes have: both are cut to the bin.
COMMON_BINS: dict[str, dict[str, tuple[float, float]]] = {
    "magnitude": {
        "<18": (-np.inf, 18.0),
        "18-20": (18.0, 20.0),
        "20-22": (20.0, 22.0),
        ">22": (22.0, np.inf),
    },
    "redshift": {
        "<0.2": (-np.inf, 0.2),
        "0.2-0.4": (0.2, 0.4),
        "0.4-0.6": (0.4, 0.6),
        "0.6-0.8": (0.6, 0.8),
        ">0.8": (0.8, np.inf),
    },
}


#: Name of the set in which all data sets of an experiment are taken together.
POOLED = "all"


@dataclass(frozen=True)
class Stratum:
    """One part of a test set.

    name : `all`, or QUANTITY=BIN; rows : bool [n]; note : how the classes were brought together
    """

    name: str
    rows: np.ndarray
    note: str = ""


def has_flag(table: pd.DataFrame, flag: str) -> np.ndarray:
    """Whether `flag` is among each row's flags, bool [n]."""
    pattern = rf"(?:^|[^\w]){flag}(?:$|[^\w])"
    return table["flags"].astype(str).str.contains(pattern, regex=True).to_numpy(bool)


def strata(table: pd.DataFrame) -> Iterator[Stratum]:
    """All strata of a labelled table that hold an object; the three flux-ratio bins always.

    table : metadata columns, label 0 or 1. Bins include their lower edge.
    """
    lens = table["label"].to_numpy() == 1
    everything = np.ones(len(table), bool)
    yield Stratum("all", everything)
    undetectable = has_flag(table, "undetectable")
    if undetectable.any():
        note = f"{int((undetectable & lens).sum())} undetectable lenses left out"
        yield Stratum("detectable", ~undetectable, note)
    for quantity, bins in LENS_BINS.items():
        values = table[quantity].to_numpy(float)
        for name, (low, high) in bins.items():
            chosen = lens & (values >= low) & (values < high)
            if chosen.any() or quantity == "flux_ratio":
                yield Stratum(f"{quantity}={name}", chosen | ~lens, "against all non-lenses")
    common = {
        "magnitude": reference_magnitude(table),
        "redshift": best_redshift(table["z_spec"], table["z_phot"]),
    }
    for quantity, values in common.items():
        for name, (low, high) in COMMON_BINS[quantity].items():
            chosen = (values >= low) & (values < high)
            if chosen.any():
                yield Stratum(f"{quantity}={name}", chosen)
    yield from _by_survey_and_source(table, lens)


def _by_survey_and_source(table: pd.DataFrame, lens: np.ndarray) -> Iterator[Stratum]:
    """Strata by survey and by label source.

    A source of one class alone (confirmed lenses, cluster-core negatives) is set against the
    other class of the same surveys, since it has none of its own.
    """
    survey = table["survey"].to_numpy(str)
    for name in np.unique(survey):
        yield Stratum(f"survey={name}", survey == name)
    source = table["label_source"].to_numpy(str)
    for name in np.unique(source):
        own = source == name
        note = ""
        if lens[own].all() or not lens[own].any():
            other = "non-lenses" if lens[own].all() else "lenses"
            note = f"against the {other} of the same survey"
            partners = np.isin(survey, survey[own]) & (lens != lens[own][0])
            own = own | partners
        yield Stratum(f"label_source={name}", own, note)


def sets_apart(names: Iterable[str]) -> list[str]:
    """Test sets to look at one by one: not the whole, nor one-class sets that are joined.

    names : of `test_sets`. The whole is a mixture of lens fractions that nothing was sampled from.
    """
    found = [name for name in dict.fromkeys(names) if name != POOLED]
    joined = {part for name in found if " + " in name for part in name.split(" + ")}
    return [name for name in found if name not in joined]


def test_sets(test: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Labelled test rows by set: each data set, one-class sets of a survey joined, and all.

    Confirmed lenses and the non-lenses of their survey come as two data sets of one class each;
    together, as "castles + relics", they are a test set, apart they are not. The whole comes
    last, named POOLED, where there is more than one data set (or nothing at all).
    """
    sets = {
        str(name): rows.reset_index(drop=True) for name, rows in test.groupby("dataset", sort=True)
    }
    one_class = {name: rows for name, rows in sets.items() if rows["label"].nunique() == 1}
    surveys = sorted({survey for rows in one_class.values() for survey in rows["survey"].unique()})
    for survey in surveys:
        parts = {n: rows for n, rows in one_class.items() if (rows["survey"] == survey).any()}
        joined = pd.concat(list(parts.values()), ignore_index=True)
        if joined["label"].nunique() == 2:
            sets[" + ".join(parts)] = joined
    return sets if len(sets) == 1 else sets | {POOLED: test}
