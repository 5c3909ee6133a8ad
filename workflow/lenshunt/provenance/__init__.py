"""Hashes, code digests, versions and manifests: what a result was made from."""

from lenshunt.provenance.digests import code_digest, file_sha256, pipeline_commit
from lenshunt.provenance.logs import logged_to
from lenshunt.provenance.manifest import Manifest, raw_manifest, read_manifest
from lenshunt.provenance.paths import LIBRARY, RESOURCES, ROOT
from lenshunt.provenance.products import package_versions, write_provenance

__all__ = [
    "LIBRARY",
    "RESOURCES",
    "ROOT",
    "Manifest",
    "code_digest",
    "file_sha256",
    "logged_to",
    "package_versions",
    "pipeline_commit",
    "raw_manifest",
    "read_manifest",
    "write_provenance",
]
