"""Where shards lie: a local path, or a URL (http, https, s3, gs) that fsspec can open."""

import os
import posixpath
import shutil
from pathlib import Path

import fsspec

from lenshunt.core import file_sha256, whole_file


def is_remote(location: str) -> bool:
    """Whether `location` is a URL rather than a path on this machine."""
    return "://" in location and not location.startswith("file://")


def beside(index: str, relative: str) -> str:
    """Location of a file whose path is given relative to the folder of `index`."""
    if is_remote(index):
        scheme, rest = index.split("://", 1)
        return f"{scheme}://{posixpath.normpath(posixpath.join(posixpath.dirname(rest), relative))}"
    return os.path.normpath(os.path.join(os.path.dirname(index), relative))


def read_bytes(location: str) -> bytes:
    """All bytes of a local or remote file."""
    if is_remote(location):
        with fsspec.open(location, "rb") as stream:
            return stream.read()
    return Path(location).read_bytes()


def cached_copy(location: str, sha256: str, cache_dir: str) -> str:
    """Local copy of `location` in `cache_dir`, named by its sha256; copied once, then reused.

    Raises ValueError naming the location when the bytes that arrive have another sha256.
    """
    target = Path(cache_dir) / f"{sha256}.tar"
    if target.exists():
        return str(target)
    # Every process of a loader may want the same shard at the same time.
    with whole_file(target, shared=True) as partial:
        with fsspec.open(location, "rb") as source, open(partial, "wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 22)
        found = file_sha256(partial)
        if found != sha256:
            raise ValueError(corrupt(location, f"sha256 {found}, the index says {sha256}"))
    return str(target)


def corrupt(location: str, found: str) -> str:
    """The sentence that names a corrupt shard and the remedy."""
    return f"{location}: corrupt shard: {found}; delete it and its index and make both again"
