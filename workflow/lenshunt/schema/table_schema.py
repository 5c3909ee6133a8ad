"""Schema v2.0 of metadata tables, derived from `Metadata`: every table is checked against it."""

from collections.abc import Sequence
from functools import cache
from typing import Any, get_args

import pandas as pd
import pandera.pandas as pa

from lenshunt.schema.bands import SLOTS
from lenshunt.schema.metadata import (
    COLUMNS,
    LABEL_SOURCES,
    PER_BAND,
    SCHEMA_VERSION,
    Metadata,
    is_trainable_source,
    kind_of,
)

#: Sources whose samples carry no label.
_UNLABELLED = [source for source in LABEL_SOURCES if not is_trainable_source(source)]
_LENSING = ["einstein_radius", "flux_ratio", "arc_snr"]


def _column(annotation: Any, metadata: list[Any]) -> pa.Column:
    """Pandera column for one field of `Metadata`: its dtype and its bounds."""
    checks: list[pa.Check] = []
    args = get_args(annotation)
    kind = kind_of(annotation)
    if args and all(isinstance(arg, (str, int)) for arg in args):
        checks.append(pa.Check.isin(list(args)))
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
def table_schema(columns: tuple[str, ...] = COLUMNS) -> pa.DataFrameSchema:
    """The table form of `Metadata`, or of some of its columns."""
    known: dict[str, pa.Column] = {}
    for name, field in Metadata.model_fields.items():
        if name in PER_BAND:
            kind = get_args(field.annotation)[0]
            known.update({f"{name}_{slot}": _column(kind, []) for slot in SLOTS})
        else:
            known[name] = _column(field.annotation, list(field.metadata))
    wanted = {name: known[name] for name in columns}
    return pa.DataFrameSchema(wanted, strict=True, ordered=True)


#: What to do where raw files or their catalogue show one object twice.
NAME_ONCE = "give every raw object a name of its own, and make the records again"


def refuse_repeated_samples(sample_id: pd.Series, where: str, remedy: str = NAME_ONCE) -> None:
    """Raise ValueError naming `where`, the first sample that occurs twice, and the remedy."""
    twice = sample_id.duplicated()
    if twice.any():
        raise ValueError(
            f"{where}: sample {sample_id[twice].iloc[0]} occurs twice, but each sample_id must be "
            f"unique; {remedy}"
        )


def refuse_untrainable_labels(table: pd.DataFrame) -> None:
    """Refuse samples whose label may not reach a classification loss.

    table : columns sample_id, label, label_source
    Raises ValueError naming the first sample that is pretrain:*, weak:*, unlabelled or of label -1.
    """
    trainable = table["label_source"].map(is_trainable_source).astype(bool)
    refused = table[~trainable | ~table["label"].isin([0, 1])]
    if len(refused):
        first = refused.iloc[0]
        raise ValueError(
            f"{first['sample_id']}: label {first['label']} of source {first['label_source']!r} may "
            f"not reach a classification loss or a test metric ({len(refused)} such samples); "
            "take its data set out of this experiment's `train` and `evaluate`, or use it in "
            "`pretraining`"
        )


def validate_table(
    table: pd.DataFrame, where: str = "metadata table", columns: Sequence[str] = COLUMNS
) -> pd.DataFrame:
    """Check a metadata table against schema v2.0; returns it with the schema's column order.

    columns : those that the table holds (besides schema_version); all where none are named
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
    missing = [name for name in columns if name not in table]
    extra = [name for name in table.columns if name not in (*columns, "schema_version")]
    if missing or extra:
        raise ValueError(f"{where}: missing columns {missing}, unknown columns {extra}")
    table = table[list(columns)]
    try:
        table_schema(tuple(columns)).validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        first = error.failure_cases.iloc[0]
        sample = ""
        if not pd.isna(first["index"]):
            sample = f" (sample {_sample(table, int(first['index']))})"
        raise ValueError(
            f"{where}: {len(error.failure_cases)} bad values; first: column {first['column']}, "
            f"check {first['check']}, value {first['failure_case']!r}{sample}"
        ) from None
    if "sample_id" in table:
        refuse_repeated_samples(table["sample_id"], where)
    _check_labels(table, where)
    return table


def _sample(table: pd.DataFrame, row: int) -> str:
    return str(table["sample_id"].iloc[row]) if "sample_id" in table else f"in row {row}"


def _check_labels(table: pd.DataFrame, where: str) -> None:
    """The rules between columns, as far as the table has them."""
    if "label" not in table:
        return
    if "label_source" in table:
        bad = (table["label_source"].isin(_UNLABELLED) & (table["label"] != -1)).to_numpy()
        if bad.any():
            raise ValueError(
                f"{where}: sample {_sample(table, int(bad.argmax()))} has a label although its "
                "source carries none"
            )
    if set(_LENSING) <= set(table.columns):
        known = table[_LENSING].notna().any(axis=1)
        bad = ((table["label"] == 0) & known).to_numpy()
        if bad.any():
            raise ValueError(
                f"{where}: sample {_sample(table, int(bad.argmax()))} has label 0 and lensing "
                "values"
            )
