"""Files by glob patterns, as the configuration names them."""

import errno
import glob
from collections.abc import Iterable
from pathlib import Path


def resolve(patterns: Iterable[str]) -> list[str]:
    """Files that match the glob patterns, sorted and unique.

    Raises FileNotFoundError (with `filename`) for a pattern that matches nothing.
    """
    found: set[str] = set()
    for pattern in patterns:
        matches = glob.glob(pattern, recursive=True)
        if not matches:
            raise FileNotFoundError(errno.ENOENT, "no raw file matches the pattern", pattern)
        found.update(matches)
    return sorted(found)


def plain_names(patterns: Iterable[str]) -> list[str]:
    """Those of `patterns` that are plain file names."""
    return [name for name in patterns if not glob.has_magic(name) and "{" not in name]


def existing(paths: Iterable[str | None]) -> list[str]:
    """Those of `paths` that are files, in their order."""
    return [path for path in paths if path is not None and Path(path).is_file()]
