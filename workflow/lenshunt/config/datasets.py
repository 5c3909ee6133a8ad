"""Section `datasets`: all of them, told apart by their key `reader`, and what they need."""

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter

from lenshunt.config.base import undefined
from lenshunt.config.cutouts import (
    Bologna2Dataset,
    BolognaDataset,
    CastlesDataset,
    CutoutsDataset,
    GalaxiesMLDataset,
    GalaxyZooDataset,
    HstGalaxiesDataset,
    HstLensesDataset,
    StampsDataset,
)
from lenshunt.config.fields import FieldDataset, RelicsDataset
from lenshunt.config.grids import Grid
from lenshunt.config.injection import InjectionDataset
from lenshunt.surveys import AUTO

Dataset = Annotated[
    CutoutsDataset
    | CastlesDataset
    | FieldDataset
    | GalaxyZooDataset
    | GalaxiesMLDataset
    | StampsDataset
    | HstLensesDataset
    | HstGalaxiesDataset
    | BolognaDataset
    | Bologna2Dataset
    | RelicsDataset
    | InjectionDataset,
    Field(discriminator="reader"),
]


def dataset_from(values: Mapping[str, Any]) -> Dataset:
    """A data-set section from the plain values that `model_dump` made of it.

    Jobs up to the records know no grid, so that a further grid does not re-run them; then the
    section that they get carries the placeholder `none`.
    """
    adapter: TypeAdapter[Dataset] = TypeAdapter(Dataset)
    return adapter.validate_python({"grids": ["none"], **values})


def _readers_of_auto() -> list[str]:
    """Readers whose data sets may have `survey: auto`."""
    sections = get_args(get_args(Dataset)[0])
    return [get_args(s.model_fields["reader"].annotation)[0] for s in sections if s.tells_survey]


def check_datasets(datasets: Mapping[str, Dataset], grids: Mapping[str, Grid]) -> list[str]:
    """What does not fit together, by key."""
    problems: list[str] = []
    for name, dataset in datasets.items():
        key = f"datasets.{name}"
        for grid in dataset.grids:
            problems += undefined(f"{key}.grids", grid, grids)
        if dataset.survey == AUTO and not dataset.tells_survey:
            readers = ", ".join(_readers_of_auto())
            problems.append(
                f"{key}.survey: {AUTO} works with the readers {readers} only, whose "
                f"files have headers; name the survey of {dataset.reader}"
            )
        problems += dataset.problems(key, datasets)
    return problems
