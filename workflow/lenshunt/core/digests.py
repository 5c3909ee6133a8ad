"""Digests of files, and the commit of the checkout."""

import hashlib
import subprocess
from functools import cache
from pathlib import Path

from lenshunt.core.paths import ROOT


def file_digest(path: Path | str, algorithm: str) -> str:
    """Hex digest of a file's bytes, read in chunks; algorithm as hashlib names it (md5, sha256)."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def file_sha256(path: Path | str) -> str:
    """sha256 of a file's bytes, read in chunks."""
    return file_digest(path, "sha256")


@cache
def pipeline_commit() -> str:
    """Git commit of the checkout, with `+` when it has local changes; `unknown` outside git."""
    try:
        commit = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed else "")
