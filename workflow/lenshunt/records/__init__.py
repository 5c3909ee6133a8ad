"""Cutout and its metadata (schema v2.0), band slots and units: the one type that flows."""

from lenshunt.records.bands import SLOTS, Filter, filter_named, load_filters, slot_index
from lenshunt.records.cutout import WHOLE_FILE, Cutout, CutoutBatch, Rejected
from lenshunt.records.metadata import (
    COLUMNS,
    LABEL_SOURCES,
    SCHEMA_VERSION,
    Metadata,
    is_trainable_source,
)
from lenshunt.records.reference import (
    REFERENCE_BANDS,
    best_redshift,
    reference_band,
    reference_magnitude,
)
from lenshunt.records.schema import refuse_repeated_samples, validate_table
from lenshunt.records.store import RecordReader, RecordWriter
from lenshunt.records.tables import TableWriter, count_rows, metadata_batches, read_metadata
from lenshunt.records.units import AB_NJY, magnitude_from_njy, njy_from_magnitude, njy_per_count

__all__ = [
    "AB_NJY",
    "COLUMNS",
    "LABEL_SOURCES",
    "REFERENCE_BANDS",
    "SCHEMA_VERSION",
    "SLOTS",
    "WHOLE_FILE",
    "Cutout",
    "CutoutBatch",
    "Filter",
    "Metadata",
    "RecordReader",
    "RecordWriter",
    "Rejected",
    "TableWriter",
    "best_redshift",
    "count_rows",
    "filter_named",
    "is_trainable_source",
    "load_filters",
    "magnitude_from_njy",
    "metadata_batches",
    "njy_from_magnitude",
    "njy_per_count",
    "read_metadata",
    "reference_band",
    "reference_magnitude",
    "refuse_repeated_samples",
    "slot_index",
    "validate_table",
]
