"""What all data sets have in common: their keys, and how other sections may use them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Literal

from pydantic import Field

from lenshunt.config.base import Strict, undefined

Role = Literal["pretrain", "labelled", "negatives", "search"]

#: Labels that a data set may have, by role.
LABELS: dict[Role, tuple[int, ...]] = {
    "negatives": (0,),
    "labelled": (0, 1),
    "search": (-1,),
    "pretrain": (-1,),
}
#: Roles with labels, to train or to test with.
LABELLED: tuple[Role, ...] = ("labelled", "negatives")


class DatasetSection(Strict):
    """What is common to the sections of all data sets.

    Methods name files without opening one, so that planning needs no reader.
    """

    lenses_only: ClassVar[bool] = False
    """Whether all that this reader reads is a lens."""
    tells_survey: ClassVar[bool] = False
    """Whether the survey may be auto: headers of the files, or the hosts, tell it."""
    tables_name_files: ClassVar[bool] = False
    """Whether the key files name others: the reader's `named_files` lists them."""

    survey: str
    """Name of the survey in resources/surveys.yaml: zero points, PSF, saturation. Readers whose
    files have headers that tell it also take auto: the survey of each file."""
    role: Role
    """pretrain (no labels), labelled, negatives (all label 0) or search (no labels, scored)."""
    grids: list[str] = Field(min_length=1)
    """Grids on which this data set is made; keys of `grids`."""
    chunks: int = Field(1, ge=1)
    """Number of parallel jobs per stage."""
    held_out: bool = False
    """Every object is for the test: nothing of it is trained on, selected with, or calibrated on.
    For roles labelled and negatives; list it under `evaluate` of experiments alone."""
    rejected_fraction_max: float = Field(0.01, ge=0, le=1)
    """The run stops when more than this fraction of the raw objects cannot be read."""
    made_by: Literal["demo", "fetch"] | None = None
    """The rule that makes or downloads the raw files; none for files that lie there already."""
    reader: str
    """The raw format."""

    @property
    def telescope(self) -> str:
        """hst of hst and hst_wfc3: surveys of one telescope share what is before the underscore."""
        return self.survey.split("_")[0]

    def key_files(self) -> list[str]:
        """Files that the section names one by one, whether they exist or not: inputs of the DAG."""
        return []

    def found_files(self) -> list[str]:
        """Files beyond the key files that lie where the section says.

        Raises FileNotFoundError (with `filename`) for a pattern that matches nothing.
        """
        return []

    def files_of_many(self) -> list[str]:
        """Key files that hold many objects each; none where objects have files of their own."""
        return []

    def problems(self, key: str, datasets: Mapping[str, "DatasetSection"]) -> Iterator[str]:
        """Sentences about what does not fit together in this section, or with other data sets.

        key : of this section, as in datasets.NAME; datasets : all of them, by name
        """
        if self.held_out and self.role not in LABELLED:
            yield (
                f"{key}.held_out: true, but role {self.role} has no labels to test with; "
                f"leave the key out, or give it role {' or '.join(LABELLED)}"
            )
        # with a catalogue, it tells the labels
        label = getattr(self, "label", None)
        if label is None or getattr(self, "catalogue", None) is not None:
            return
        if label not in LABELS[self.role]:
            allowed = " or ".join(map(str, LABELS[self.role]))
            yield f"{key}.label: {label}, but role {self.role} gives {allowed}"


def not_on_grid(
    key: str, names: Iterable[str], grid: str, datasets: Mapping[str, DatasetSection]
) -> list[str]:
    """Problems of data sets `names` of `key` that are not defined or not made on `grid`."""
    problems: list[str] = []
    for name in names:
        problems += undefined(key, name, datasets)
        if name in datasets and grid not in datasets[name].grids:
            problems.append(f"{key}: {name} is not made on grid {grid}; add it to its grids")
    return problems


def not_of_role(
    key: str, names: Iterable[str], roles: tuple[Role, ...], datasets: Mapping[str, DatasetSection]
) -> list[str]:
    """Problems of data sets `names` of `key` that have none of `roles`."""
    return [
        f"{key}: {name} has role {datasets[name].role}, expected {' or '.join(roles)}"
        for name in names
        if name in datasets and datasets[name].role not in roles
    ]


def held_out_for_the_test(
    key: str, names: Iterable[str], remedy: str, datasets: Mapping[str, DatasetSection]
) -> list[str]:
    """Problems of data sets `names` that reach a training by `key` and are held out."""
    return [
        f"{key}: {name} is held out for the test (datasets.{name}.held_out: true); {remedy}"
        for name in names
        if name in datasets and datasets[name].held_out
    ]
