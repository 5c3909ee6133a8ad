"""Section `datasets`: all of them, told apart by their key `reader`, and what they need."""

from collections.abc import Mapping
from pathlib import Path
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
from lenshunt.config.dataset_section import DatasetSection
from lenshunt.config.demo import Demo
from lenshunt.config.fields import FieldDataset, RelicsDataset
from lenshunt.config.grids import Grid
from lenshunt.config.injection import InjectionDataset
from lenshunt.schema import AUTO

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

#: The section of each reader.
SECTIONS: dict[str, type[DatasetSection]] = {
    get_args(section.model_fields["reader"].annotation)[0]: section
    for section in get_args(get_args(Dataset)[0])
}


def dataset_from(values: Mapping[str, Any]) -> Dataset:
    """A data-set section from the plain values that `model_dump` made of it.

    Jobs up to the records know no grid, so that a further grid does not re-run them; then the
    section that they get carries the placeholder `none`.
    """
    adapter: TypeAdapter[Dataset] = TypeAdapter(Dataset)
    return adapter.validate_python({"grids": ["none"], **values})


def check_datasets(
    datasets: Mapping[str, Dataset], grids: Mapping[str, Grid], demo: Demo
) -> list[str]:
    """What does not fit together, by key."""
    problems: list[str] = []
    for name, dataset in datasets.items():
        key = f"datasets.{name}"
        for grid in dataset.grids:
            problems += undefined(f"{key}.grids", grid, grids)
        if dataset.survey == AUTO and not dataset.tells_survey:
            readers = ", ".join(name for name, s in SECTIONS.items() if s.tells_survey)
            problems.append(
                f"{key}.survey: {AUTO} works with the readers {readers} only, whose "
                f"files have headers; name the survey of {dataset.reader}"
            )
        problems += dataset.problems(key, datasets)
    return [*problems, *_not_written(datasets, demo)]


def _not_written(datasets: Mapping[str, Dataset], demo: Demo) -> list[str]:
    """Data sets of the demo's second Bologna set where the demo does not write it."""
    folder = Path(demo.folder) / "bologna_test"
    return [
        f"datasets.{name}.labels: the demo writes {dataset.labels} only where demo.bologna_test "
        "says how many lenses and nonlenses; set it"
        for name, dataset in datasets.items()
        if isinstance(dataset, BolognaDataset)
        and dataset.made_by == "demo"
        and demo.bologna_test is None
        and folder in Path(dataset.labels).parents
    ]
