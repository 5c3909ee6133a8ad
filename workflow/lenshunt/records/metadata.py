"""Metadata schema v2.0: one definition for a record, a table row and a shard's JSON."""

import math
from functools import cache
from typing import Annotated, Any, Literal, get_args

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lenshunt.records.bands import SLOTS

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
    or the nearest band.
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


def _column(annotation: Any, metadata: list[Any]) -> pa.Column:
    """Pandera column for one field of `Metadata`: its dtype and its bounds."""
    checks: list[pa.Check] = []
    args = get_args(annotation)
    kind: Any = annotation
    if args and all(isinstance(arg, (str, int)) for arg in args):
        checks.append(pa.Check.isin(list(args)))
        kind = type(args[0])
    for item in metadata:
        for attribute, check in (("ge", pa.Check.ge), ("gt", pa.Check.gt), ("le", pa.Check.le)):
            bound = getattr(item, attribute, None)
            if bound is not None:
                checks.append(check(bound))
        if getattr(item, "min_length", None):
            checks.append(pa.Check.str_length(min_value=item.min_length))
        pattern = getattr(item, "pattern", None)
        if pattern:
            checks.append(pa.Check.str_matches(pattern))
    dtype = {str: str, int: "int64", float: "float64", bool: "bool"}[kind]
    return pa.Column(dtype, checks, nullable=kind is float)


@cache
def table_schema() -> pa.DataFrameSchema:
    """The table form of `Metadata`, derived from it."""
    columns: dict[str, pa.Column] = {}
    for name, field in Metadata.model_fields.items():
        if name in PER_BAND:
            kind = get_args(field.annotation)[0]
            columns.update({f"{name}_{slot}": _column(kind, []) for slot in SLOTS})
        else:
            columns[name] = _column(field.annotation, list(field.metadata))
    return pa.DataFrameSchema(columns, strict=True, ordered=True, unique=["sample_id"])


def validate_table(table: pd.DataFrame, where: str = "metadata table") -> pd.DataFrame:
    """Check a metadata table against schema v2.0; returns it with the schema's column order.

    Raises ValueError naming `where`, the column and the first offending sample.
    """
    if "schema_version" not in table:
        raise ValueError(f"{where}: no column schema_version; is this a lenshunt metadata table?")
    versions = set(table["schema_version"].unique()) - {SCHEMA_VERSION}
    if versions:
        raise ValueError(
            f"{where}: schema {', '.join(sorted(map(str, versions)))} found, "
            f"{SCHEMA_VERSION} wanted; make the records again"
        )
    missing = [name for name in COLUMNS if name not in table]
    extra = [name for name in table.columns if name not in COLUMNS]
    if missing or extra:
        raise ValueError(f"{where}: missing columns {missing}, unknown columns {extra}")
    table = table[list(COLUMNS)]
    try:
        table_schema().validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        first = error.failure_cases.iloc[0]
        sample = ""
        if not pd.isna(first["index"]):
            sample = f" (sample {table['sample_id'].iloc[int(first['index'])]})"
        raise ValueError(
            f"{where}: {len(error.failure_cases)} bad values; first: column {first['column']}, "
            f"check {first['check']}, value {first['failure_case']!r}{sample}"
        ) from None
    no_label = ~table["label_source"].map(is_trainable_source).astype(bool)
    bad = no_label & (table["label"] != -1)
    if bad.any():
        raise ValueError(
            f"{where}: sample {table.loc[bad, 'sample_id'].iloc[0]} has a label although its "
            "source carries none"
        )
    lensing = table[["einstein_radius", "flux_ratio", "arc_snr"]].notna().any(axis=1)
    bad = (table["label"] == 0) & lensing
    if bad.any():
        raise ValueError(
            f"{where}: sample {table.loc[bad, 'sample_id'].iloc[0]} has label 0 and lensing values"
        )
    return table


def table_from_records(records: list[Metadata]) -> pd.DataFrame:
    """Metadata table of `records`, typed even when empty or when all values are missing."""
    rows = [record.to_row() for record in records]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    dtypes = {name: column.dtype.type for name, column in table_schema().columns.items()}
    for name, dtype in dtypes.items():
        table[name] = table[name].astype("str" if dtype == np.dtype("O") else dtype)
    return table
