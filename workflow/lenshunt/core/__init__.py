"""What a result was made from (hashes, code digests, manifests), and shared formulas."""

from lenshunt.core.digests import code_digest, file_digest, file_sha256, pipeline_commit
from lenshunt.core.logs import logged_to
from lenshunt.core.manifest import UNHASHED, Manifest, raw_manifest, read_manifest
from lenshunt.core.paths import LIBRARY, RESOURCES, ROOT
from lenshunt.core.products import package_versions, write_provenance
from lenshunt.core.stale_lock import note_run, remove_stale_lock
from lenshunt.core.whole_file import whole_file

__all__ = [
    "LIBRARY",
    "RESOURCES",
    "ROOT",
    "UNHASHED",
    "Manifest",
    "code_digest",
    "file_digest",
    "file_sha256",
    "logged_to",
    "note_run",
    "package_versions",
    "pipeline_commit",
    "raw_manifest",
    "read_manifest",
    "remove_stale_lock",
    "whole_file",
    "write_provenance",
]
