"""results/provenance: the data manifest, the resolved configuration, package versions."""

import importlib.metadata
import platform
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lenshunt.core.digests import pipeline_commit
from lenshunt.core.manifest import read_manifest
from lenshunt.core.paths import ROOT
from lenshunt.core.whole_file import write_rows, write_text


def package_versions() -> dict[str, str]:
    """Version of Python, of lenshunt (with its commit) and of every package that it requires."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = {
        "python": platform.python_version(),
        "lenshunt": f"{project['version']} ({pipeline_commit()})",
    }
    for requirement in project["dependencies"]:
        name = re.split(r"[^A-Za-z0-9_.-]", requirement)[0]
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            # A rule's conda environment holds only what the rule needs.
            versions[name] = "not in this environment"
    return versions


def write_provenance(
    *,
    manifests: Mapping[str, str],
    config: Mapping[str, Any],
    models: Mapping[str, Any],
    out_manifest: Path | str,
    out_config: Path | str,
    out_versions: Path | str,
) -> None:
    """Write what a run was made from.

    manifests : manifest CSV by data set
    config, models : the resolved configuration, as plain values
    out_manifest : CSV with columns dataset, path, size_bytes, sha256
    out_config : YAML with the configuration, its defaults filled in, and the model files
    out_versions : CSV with columns package, version
    """
    rows: list[tuple[str, str, int, str]] = []
    for dataset, path in manifests.items():
        manifest = read_manifest(path)
        names = sorted(manifest.sha256)
        rows += [(dataset, n, manifest.size_bytes[n], manifest.sha256[n]) for n in names]
    write_rows(["dataset", "path", "size_bytes", "sha256"], rows, out_manifest)
    resolved = {"config": dict(config), "models": dict(models)}
    write_text(yaml.safe_dump(resolved, sort_keys=False), out_config)
    write_rows(["package", "version"], package_versions().items(), out_versions)
