"""Public files: where each comes from, and its download, checked and never half under its name."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from lenshunt.core import RESOURCES, file_digest, write_json

if TYPE_CHECKING:
    from lenshunt.readers.transfer import Patience


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


def fetch(source: Source, out: Path | str, patience: "Patience | None" = None) -> None:
    """Download `source` to `out`, which appears whole and checked or not at all.

    A download that was cut, in this run or an earlier one, goes on from OUT.partial.
    Raises ValueError naming the file, the portal and the place where there is no direct address,
    or where the bytes do not match the checksum (they are removed then), and OSError naming the
    address and the portal where the server or the disk does not let it finish.
    """
    from lenshunt.readers.transfer import Patience, forget, transfer

    if not source.url:
        raise ValueError(
            f"{out}: this file has no direct address; get it from {source.portal} "
            f"({source.citation}) and put it there, then run again"
        )
    path = Path(out)
    recorded = path.with_name(path.name + ".sha256")
    partial = path.with_name(path.name + ".partial")
    checksum, stated_in = source.checksum, "resources/datasets.yaml"
    if not checksum and recorded.exists():
        checksum, stated_in = "sha256:" + json.loads(recorded.read_text())["sha256"], str(recorded)
    try:
        transfer(source.url, partial, patience or Patience(), checksum_known=bool(checksum))
    except OSError as error:
        raise OSError(
            error.errno, f"{out}: {error.strerror or error}. The file's page is {source.portal}"
        ) from error
    algorithm, _, expected = (checksum or "sha256:").partition(":")
    found = file_digest(partial, algorithm)
    if expected and found != expected.lower():
        size = partial.stat().st_size
        forget(partial)
        raise ValueError(
            f"{out}: {source.url} sent {size} bytes of {algorithm} {found}, but {stated_in} says "
            f"{expected}; they were removed. Run again; where that does not help, the file at "
            f"{source.portal} has changed: compare by hand, then correct the checksum"
        )
    if not expected:
        _record(recorded, source.url, found)
        print(f"{out}: no published checksum; recorded sha256 {found} (first download)")
    # Not by `whole_file`, which would remove what a cut download can go on from.
    partial.replace(path)
    forget(partial)


def _record(path: Path, url: str, sha256: str) -> None:
    """Note the checksum of a first download, for every later one."""
    write_json({"url": url, "sha256": sha256}, path, indent=None)
