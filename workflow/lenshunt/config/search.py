"""Section `search`: unlabelled data sets that are scored."""

from collections.abc import Mapping

from pydantic import Field

from lenshunt.config.base import Strict, undefined
from lenshunt.config.dataset_section import DatasetSection, not_of_role, not_on_grid
from lenshunt.config.experiments import Experiment


class Search(Strict):
    """Score unlabelled cutouts with the fused models of an experiment."""

    dataset: str
    """Data set of role search."""
    experiment: str
    """Key of `experiments`: its models and their fusion give the scores."""
    prevalence: float = Field(1e-3, gt=0, lt=1)
    """Fraction of lenses expected among the objects that are scored."""
    top: int = Field(24, ge=1)
    """Candidates shown in the gallery."""


def check_search(
    searches: Mapping[str, Search],
    experiments: Mapping[str, Experiment],
    datasets: Mapping[str, DatasetSection],
) -> list[str]:
    """What does not fit together, by key."""
    problems: list[str] = []
    for name, search in searches.items():
        key = f"search.{name}"
        problems += undefined(f"{key}.experiment", search.experiment, experiments)
        if search.experiment in experiments:
            grid = experiments[search.experiment].grid
            problems += not_on_grid(f"{key}.dataset", [search.dataset], grid, datasets)
        problems += not_of_role(f"{key}.dataset", [search.dataset], ("search",), datasets)
    return problems
