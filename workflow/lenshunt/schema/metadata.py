"""Metadata schema v2.0: one definition for a record, a table row and a shard's JSON."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args

import pandas as pd
import pyarrow
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from lenshunt.schema.bands import SLOTS

SCHEMA_VERSION: Literal["2.0"] = "2.0"

LabelSource = Literal[
    "sim:bologna",
    "sim:injection",
    "sim:demo",
    "obs:castles",
    "obs:lens",
    "obs:relics",
    "obs:matched",
    "weak:gzoo",
    "pretrain:galaxiesml",
    "unlabelled",
]
LABEL_SOURCES: tuple[str, ...] = get_args(LabelSource)

NaN = float("nan")
Unknown = -1.0

Text = Annotated[str, Field(min_length=1)]
FiveStrings = tuple[str, str, str, str, str]
FiveFlags = tuple[int, int, int, int, int]
FiveFloats = tuple[float, float, float, float, float]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


@dataclass(frozen=True)
class _TableBounds:
    """Bounds of a table column; pydantic's own would refuse the NaN of a missing value."""

    ge: float
    le: float


def _fraction_or_missing(value: float) -> float:
    if not (math.isnan(value) or 0.0 <= value <= 1.0):
        raise ValueError(f"{value} is no fraction: 0 to 1, or NaN where missing")
    return value


FractionOrNaN = Annotated[float, AfterValidator(_fraction_or_missing), _TableBounds(0.0, 1.0)]
NO_BANDS: FiveStrings = ("", "", "", "", "")
FIVE_NAN: FiveFloats = (NaN, NaN, NaN, NaN, NaN)

#: Fields with one value per band slot; in a table they become NAME_g .. NAME_y.
PER_BAND = ("bands", "band_flags", "magnitude", "flux", "noise_corr")


def is_trainable_source(label_source: str) -> bool:
    """Whether labels of this source may reach a classification loss or a test metric."""
    return not label_source.startswith(("pretrain:", "weak:")) and label_source != "unlabelled"


class Metadata(BaseModel):
    """What is known of one cutout. Missing: -1 for redshifts, NaN for other numbers, "" for text.

    `ra`, `dec` are ICRS degrees; `seeing`, `psf_fwhm`, `half_light_radius` (major axis),
    `einstein_radius` arcsec; `pixel_scale` arcsec per pixel; `position_angle` degrees East of
    North; `flux` nJy and `magnitude` AB per band slot; `flux_ratio` lensed / total flux in i
    or the nearest band. `featured_fraction`, `spiral_fraction` and `ring_fraction` are fractions
    of Galaxy Zoo's votes for features or a disk, spiral arms and a ring.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    # identity
    sample_id: Text
    system_id: Text
    dataset: Text
    raw_file: Text
    raw_index: Annotated[int, Field(ge=0)]
    raw_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    official_split: str = ""
    # label
    label: Literal[-1, 0, 1]
    label_source: LabelSource
    label_confidence: Fraction
    # redshift
    z_phot: Annotated[float, Field(ge=-1.0)] = Unknown
    z_spec: Annotated[float, Field(ge=-1.0)] = Unknown
    z_err: Annotated[float, Field(ge=-1.0)] = Unknown
    z_source: str = ""
    # observation
    seeing: float = NaN
    psf_fwhm: float = NaN
    psf_source: str = ""
    pixel_scale: Annotated[float, Field(gt=0.0)]
    instrument: Text
    survey: Text
    bands: FiveStrings = NO_BANDS
    band_flags: FiveFlags = (0, 0, 0, 0, 0)
    # astrometry
    ra: float = NaN
    dec: float = NaN
    # photometry
    magnitude: FiveFloats = FIVE_NAN
    flux: FiveFloats = FIVE_NAN
    snr: float = NaN
    noise_corr: FiveFloats = (1.0, 1.0, 1.0, 1.0, 1.0)
    # shape
    sersic_index: float = NaN
    half_light_radius: float = NaN
    axis_ratio: float = NaN
    position_angle: float = NaN
    featured_fraction: FractionOrNaN = NaN
    spiral_fraction: FractionOrNaN = NaN
    ring_fraction: FractionOrNaN = NaN
    # lensing
    einstein_radius: float = NaN
    flux_ratio: float = NaN
    arc_snr: float = NaN
    # quality
    variance_available: bool = False
    psf_matched: bool = False
    target_psf_fwhm: float = NaN
    psf_residual: float = NaN
    quality: Fraction = 1.0
    flags: str = ""
    # version
    schema_version: Literal["2.0"] = SCHEMA_VERSION
    pipeline_commit: Text = "unknown"

    @model_validator(mode="after")
    def _label_rules(self) -> "Metadata":
        if not is_trainable_source(self.label_source) and self.label != -1:
            raise ValueError(
                f"{self.sample_id}: label {self.label} with label_source {self.label_source}; "
                "sources that carry no lens label have label -1"
            )
        lensing = (self.einstein_radius, self.flux_ratio, self.arc_snr)
        if self.label == 0 and not all(math.isnan(value) for value in lensing):
            raise ValueError(f"{self.sample_id}: lensing fields must be NaN for label 0")
        return self

    def to_row(self) -> dict[str, Any]:
        """Flat dict, one entry per table column (per-band fields as NAME_g .. NAME_y)."""
        row: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name in PER_BAND:
                row.update({f"{name}_{slot}": v for slot, v in zip(SLOTS, value, strict=True)})
            else:
                row[name] = value
        return row

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Metadata":
        """Inverse of `to_row`. A row of another schema version is refused with both versions."""
        found = row.get("schema_version", "none")
        if found != SCHEMA_VERSION:
            raise ValueError(
                f"metadata schema {found} found, {SCHEMA_VERSION} wanted; make the records again"
            )
        values: dict[str, Any] = {}
        for name in cls.model_fields:
            if name in PER_BAND:
                values[name] = tuple(row[f"{name}_{slot}"] for slot in SLOTS)
            else:
                values[name] = row[name]
        return cls(**values)


def _columns() -> list[str]:
    names: list[str] = []
    for name in Metadata.model_fields:
        names.extend([f"{name}_{slot}" for slot in SLOTS] if name in PER_BAND else [name])
    return names


#: Column order of every metadata table.
COLUMNS: tuple[str, ...] = tuple(_columns())


def kind_of(annotation: Any) -> type:
    """str, int, float or bool: the type of one value of a field."""
    args = get_args(annotation)
    if args and all(isinstance(arg, (str, int)) for arg in args):
        return type(args[0])
    return {str: str, int: int, float: float, bool: bool}[annotation]


@cache
def arrow_schema() -> pyarrow.Schema:
    """The schema of a metadata table on disk, typed even where all values are missing."""
    types = {
        str: pyarrow.large_string(),
        int: pyarrow.int64(),
        float: pyarrow.float64(),
        bool: pyarrow.bool_(),
    }
    fields: list[tuple[str, pyarrow.DataType]] = []
    for name, field in Metadata.model_fields.items():
        if name in PER_BAND:
            kind = types[kind_of(get_args(field.annotation)[0])]
            fields.extend((f"{name}_{slot}", kind) for slot in SLOTS)
        else:
            fields.append((name, types[kind_of(field.annotation)]))
    return pyarrow.schema(fields)


def arrow_from_records(records: Sequence[Metadata]) -> pyarrow.Table:
    """`records` as a table in memory, typed even when empty."""
    columns: list[list[Any]] = []
    for name in Metadata.model_fields:
        values = [getattr(record, name) for record in records]
        if name in PER_BAND:
            columns.extend([value[band] for value in values] for band in range(len(SLOTS)))
        else:
            columns.append(values)
    schema = arrow_schema()
    arrays = [pyarrow.array(*pair) for pair in zip(columns, schema.types, strict=True)]
    return pyarrow.Table.from_arrays(arrays, schema=schema)


def table_from_records(records: Sequence[Metadata]) -> pd.DataFrame:
    """Metadata table of `records`, typed even when empty or when all values are missing."""
    return arrow_from_records(records).to_pandas()


def records_from_table(table: pd.DataFrame) -> list[Metadata]:
    """Inverse of `table_from_records`, for a table of any columns beside the metadata's."""
    columns = [table[name].tolist() for name in COLUMNS]
    return [
        Metadata.from_row(dict(zip(COLUMNS, values, strict=True)))
        for values in zip(*columns, strict=True)
    ]
