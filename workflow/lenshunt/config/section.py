"""Keys that every data set has."""

from typing import Literal

from pydantic import Field

from lenshunt.config.base import Strict

Role = Literal["pretrain", "labelled", "negatives", "search"]


class DatasetSection(Strict):
    """What is common to the sections of all data sets."""

    survey: str
    """Name of the survey in resources/surveys.yaml: zero points, PSF, saturation. Readers of FITS
    files (cutouts, castles, field, galaxy_zoo) also take auto: the survey of each file's header."""
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
