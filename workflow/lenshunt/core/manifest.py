"""Raw-file manifests: path, size and sha256, cached so that an unchanged file is not re-read."""

import csv
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from lenshunt.core.digests import file_sha256
from lenshunt.core.whole_file import whole_file, write_rows

#: Stands in place of the sha256 of a file that is there and cannot be read.
UNHASHED = "unreadable"


@dataclass(frozen=True)
class Manifest:
    """Raw files of one data set: sha256 by path, in path order."""

    sha256: dict[str, str]
    size_bytes: dict[str, int]

    @property
    def digest(self) -> str:
        """One digest for the whole set of files, names included."""
        lines = "".join(f"{path}\t{self.sha256[path]}\n" for path in sorted(self.sha256))
        return hashlib.sha256(lines.encode()).hexdigest()

    def write(self, path: Path | str) -> None:
        """Write as CSV with columns path, size_bytes, sha256; it appears whole or not at all."""
        names = sorted(self.sha256)
        rows = ([name, self.size_bytes[name], self.sha256[name]] for name in names)
        write_rows(["path", "size_bytes", "sha256"], rows, path)


def read_manifest(path: Path | str) -> Manifest:
    """Read a manifest that `Manifest.write` wrote."""
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    return Manifest(
        {row["path"]: row["sha256"] for row in rows},
        {row["path"]: int(row["size_bytes"]) for row in rows},
    )


def raw_manifest(paths: Iterable[Path | str], cache_file: Path | str) -> Manifest:
    """Manifest of `paths`; a hash is taken again only where size or mtime_ns has changed.

    A file that cannot be read (no permission, a bad block, a dangling link, a folder under its
    name) stands as UNHASHED, with size 0 where not even that is known: it costs its objects,
    not the manifest. Raises FileNotFoundError naming the first path that does not exist.
    """
    cache_path = Path(cache_file)
    known = _read_cache(cache_path)
    names = sorted({str(path) for path in paths})
    times = {name: _size_and_time(name) for name in names}
    stale = [name for name in names if known.get(name, [])[:2] != times[name]]
    unreadable = set()
    for name in tqdm(stale, desc="hashing raw files", unit="file", disable=len(stale) < 50):
        try:
            known[name] = [*times[name], file_sha256(name)]
        except OSError:
            # Not kept in the cache: permissions change without size and time.
            unreadable.add(name)
            known.pop(name, None)
    if stale:
        with whole_file(cache_path, shared=True) as partial:
            partial.write_text(json.dumps(known))
    return Manifest(
        {name: UNHASHED if name in unreadable else known[name][2] for name in names},
        {name: times[name][0] for name in names},
    )


def _size_and_time(name: str) -> list[int]:
    """[size in bytes, mtime_ns]; zeros for a name that leads nowhere.

    Raises FileNotFoundError where there is not even the name.
    """
    try:
        found = os.stat(name)
    except OSError:
        if not os.path.lexists(name):
            raise
        return [0, 0]
    return [found.st_size, found.st_mtime_ns]


def _read_cache(path: Path) -> dict[str, list]:
    """Hashes by path of earlier runs; none where there is no cache or it is no longer whole."""
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError:
        print(f"{path}: not readable, so all raw files are hashed again")
        return {}
