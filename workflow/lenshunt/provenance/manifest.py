"""Raw-file manifests: path, size and sha256, cached so that an unchanged file is not re-read."""

import csv
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from lenshunt.provenance.digests import file_sha256


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
        """Write as CSV with columns path, size_bytes, sha256."""
        with open(path, "w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["path", "size_bytes", "sha256"])
            for name in sorted(self.sha256):
                writer.writerow([name, self.size_bytes[name], self.sha256[name]])


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

    Raises FileNotFoundError naming the first path that does not exist.
    """
    cache_path = Path(cache_file)
    known: dict[str, list] = {}
    if cache_path.exists():
        known = json.loads(cache_path.read_text())
    names = sorted({str(path) for path in paths})
    stats = {name: os.stat(name) for name in names}
    stale = [n for n in names if known.get(n, [])[:2] != [stats[n].st_size, stats[n].st_mtime_ns]]
    for name in tqdm(stale, desc="hashing raw files", unit="file", disable=len(stale) < 50):
        known[name] = [stats[name].st_size, stats[name].st_mtime_ns, file_sha256(name)]
    if stale:
        cache_path.parent.mkdir(parents=True, exist_ok=True)
        partial = cache_path.with_name(f"{cache_path.name}.{os.getpid()}")
        partial.write_text(json.dumps(known))
        partial.replace(cache_path)
    return Manifest(
        {name: known[name][2] for name in names}, {name: known[name][0] for name in names}
    )
