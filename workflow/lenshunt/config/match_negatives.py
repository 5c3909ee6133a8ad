"""Matched negatives, those most like lens hosts: key `match_negatives` of an experiment."""

from collections.abc import Mapping

from pydantic import Field

from lenshunt.config.base import Strict
from lenshunt.config.dataset_section import DatasetSection


class Calipers(Strict):
    """Largest difference of a negative from its lens host; none leaves a covariate out."""

    magnitude: float = Field(0.5, gt=0)
    """AB magnitudes, in the first of i, r, z, g, y that both know."""
    half_light_radius: float | None = Field(0.2, gt=0)
    """dex (difference of log10)."""
    redshift: float | None = Field(0.1, gt=0)
    """Difference of redshift; spectroscopic before photometric."""
    colour: float | None = Field(0.2, gt=0)
    """AB magnitudes, for every colour of neighbouring bands that both know."""


class MatchNegatives(Strict):
    """Negatives chosen to look like lens hosts, so that no network learns the host instead of
    the lens.

    Each is matched to a host of its own split; those without a host are left out of training and
    of the metrics. What one of a pair does not know is not compared; the magnitude always is. The
    magnitude of a lens includes the light of its arcs.
    """

    negatives: list[str] = Field(min_length=1)
    """Data sets whose label-0 objects are matched."""
    hosts: list[str] = Field(min_length=1)
    """Data sets whose lenses they are matched to."""
    calipers: Calipers = Calipers()
    per_lens: int = Field(5, ge=1)
    """Negatives per lens, at most; each negative is used once."""


def check_match_negatives(
    key: str, match: MatchNegatives, used: set[str], datasets: Mapping[str, DatasetSection]
) -> list[str]:
    """What does not fit together. key : of this section; used : data sets of its experiment"""
    problems: list[str] = []
    for part, names in (("negatives", match.negatives), ("hosts", match.hosts)):
        problems += [
            f"{key}.{part}: {dataset} is not among the data sets of this experiment "
            f"({', '.join(sorted(used))})"
            for dataset in names
            if dataset not in used
        ]
    problems += [
        f"{key}.negatives: {dataset} holds lenses only"
        for dataset in match.negatives
        if dataset in datasets and datasets[dataset].lenses_only
    ]
    problems += [
        f"{key}.hosts: {dataset} has role negatives, no lenses"
        for dataset in match.hosts
        if dataset in datasets and datasets[dataset].role == "negatives"
    ]
    return problems
