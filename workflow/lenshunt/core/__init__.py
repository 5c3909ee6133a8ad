"""The ground floor: files written whole, digests, logs, statistics and shared formulas."""

from lenshunt.core.digests import file_digest, file_sha256, pipeline_commit
from lenshunt.core.job_inputs import by_chunk_counts, optional_file
from lenshunt.core.latex import latex_interval, latex_table, tex_text
from lenshunt.core.logs import logged_to
from lenshunt.core.manifest import UNHASHED, Manifest, raw_manifest, read_manifest
from lenshunt.core.paths import LIBRARY, RESOURCES, ROOT
from lenshunt.core.provenance import package_versions, write_provenance
from lenshunt.core.reached_code import code_digest
from lenshunt.core.stale_lock import note_run, remove_stale_lock
from lenshunt.core.whole_file import (
    whole_file,
    whole_files,
    write_bytes,
    write_csv,
    write_ecsv,
    write_json,
    write_parquet,
    write_rows,
    write_text,
)

__all__ = [
    "LIBRARY",
    "RESOURCES",
    "ROOT",
    "UNHASHED",
    "Manifest",
    "by_chunk_counts",
    "code_digest",
    "file_digest",
    "file_sha256",
    "latex_interval",
    "latex_table",
    "logged_to",
    "note_run",
    "optional_file",
    "package_versions",
    "pipeline_commit",
    "raw_manifest",
    "read_manifest",
    "remove_stale_lock",
    "tex_text",
    "whole_file",
    "whole_files",
    "write_bytes",
    "write_csv",
    "write_ecsv",
    "write_json",
    "write_parquet",
    "write_provenance",
    "write_rows",
    "write_text",
]
