"""Cutout and its metadata (schema v2.0), bands, units and surveys: what flows, and its words."""

from lenshunt.schema.bands import SLOTS, Filter, filter_named, load_filters, slot_index
from lenshunt.schema.cutout import WHOLE_FILE, Cutout, CutoutBatch, Rejected
from lenshunt.schema.detect_survey import AUTO, detect_survey, survey_of, surveys_matching
from lenshunt.schema.metadata import (
    COLUMNS,
    LABEL_SOURCES,
    SCHEMA_VERSION,
    Metadata,
    is_trainable_source,
)
from lenshunt.schema.reference import (
    REFERENCE_BANDS,
    best_redshift,
    reference_band,
    reference_magnitude,
)
from lenshunt.schema.store import RecordReader, RecordWriter
from lenshunt.schema.survey_psf import survey_psf
from lenshunt.schema.surveys import Survey, load_surveys, survey_named
from lenshunt.schema.table_schema import (
    refuse_repeated_samples,
    refuse_untrainable_labels,
    validate_table,
)
from lenshunt.schema.tables import TableWriter, count_rows, metadata_batches, read_metadata
from lenshunt.schema.units import AB_NJY, magnitude_from_njy, njy_from_magnitude, njy_per_count

__all__ = [
    "AB_NJY",
    "AUTO",
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
    "Survey",
    "TableWriter",
    "best_redshift",
    "count_rows",
    "detect_survey",
    "filter_named",
    "is_trainable_source",
    "load_filters",
    "load_surveys",
    "magnitude_from_njy",
    "metadata_batches",
    "njy_from_magnitude",
    "njy_per_count",
    "read_metadata",
    "reference_band",
    "reference_magnitude",
    "refuse_repeated_samples",
    "refuse_untrainable_labels",
    "slot_index",
    "survey_named",
    "survey_of",
    "survey_psf",
    "surveys_matching",
    "validate_table",
]
