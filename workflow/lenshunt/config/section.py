"""Keys that every data set has, and what planning asks of its raw format."""

from typing import ClassVar, Literal

from pydantic import Field

from lenshunt.config.base import Strict

Role = Literal["pretrain", "labelled", "negatives", "search"]


class DatasetSection(Strict):
    """What is common to the sections of all data sets.

    Methods name files without opening one, so that planning needs no reader.
    """

    lenses_only: ClassVar[bool] = False
    """Whether every object is a lens: no host of another one, and in need of negatives."""
    headers_tell_survey: ClassVar[bool] = False
    """Whether `survey` may be auto: read from the header of each file, or taken from the hosts."""
    telescope: ClassVar[str | None] = None
    """Telescope of all files, where the format is that of one."""
    tables_name_files: ClassVar[bool] = False
    """Whether the key files name others: the reader's `named_files` lists them."""

    survey: str
    """Name of the survey in resources/surveys.yaml: zero points, PSF, saturation. Formats that say
    so above also take auto: the survey that the header of each file tells."""
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
