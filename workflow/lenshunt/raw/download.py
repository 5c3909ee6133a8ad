"""Download public files: checksum, retries, progress, never a partial file under a final name."""

import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from lenshunt.provenance import RESOURCES, file_sha256


@dataclass(frozen=True)
class Source:
    """One public file of resources/datasets.yaml.

    path : where the workflow expects it, below the working folder
    url : address of the file; "" where there is only a portal
    portal : page from which a person gets it
    checksum : "md5:..." or "sha256:..." as published; "" where none is, then the first download
        records its sha256 in PATH.sha256 (trust on first use)
    """

    path: str
    url: str
    portal: str
    checksum: str
    licence: str
    citation: str


def load_sources() -> list[Source]:
    """All public files that the workflow knows how to get."""
    table = yaml.safe_load((RESOURCES / "datasets.yaml").read_text())
    return [
        Source(
            path=f"{entry['folder']}/{name}",
            url=entry["url"].format(name=name) if entry.get("url") else "",
            portal=entry["portal"],
            checksum=(entry.get("checksums") or {}).get(name, ""),
            licence=entry["licence"],
            citation=entry["citation"],
        )
        for entry in table["sources"]
        for name in entry["files"]
    ]


def source_of(path: Path | str) -> Source:
    """The source of the file that the workflow expects at `path`."""
    for source in load_sources():
        if source.path == str(path):
            return source
    raise KeyError(f"{path}: not among the public files of resources/datasets.yaml")


def fetch(source: Source, out: Path | str) -> None:
    """Download `source` to `out`.

    Raises ValueError naming the file, the portal and the place where there is no direct address,
    or where the bytes do not match the checksum.
    """
    import pooch

    if not source.url:
        raise ValueError(
            f"{out}: this file has no direct address; get it from {source.portal} "
            f"({source.citation}) and put it there, then run again"
        )
    path = Path(out)
    recorded = path.with_name(path.name + ".sha256")
    checksum = source.checksum
    if not checksum and recorded.exists():
        checksum = "sha256:" + json.loads(recorded.read_text())["sha256"]
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    pooch.retrieve(
        source.url,
        known_hash=checksum or None,
        fname=partial.name,
        path=partial.parent,
        downloader=pooch.HTTPDownloader(progressbar=True, timeout=60),
    )
    if not checksum:
        digest = file_sha256(partial)
        recorded.write_text(json.dumps({"url": source.url, "sha256": digest}) + "\n")
        print(f"{out}: no published checksum; recorded {digest} (first download)")
    partial.replace(path)
