"""Digests of files and of library code, and the commit of the checkout."""

import ast
import hashlib
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from lenshunt.core.paths import LIBRARY, RESOURCES, ROOT

#: Fact tables that a room reads wherever it is used: they count as its code.
FACTS = {"records": ["filters.yaml"], "surveys": ["surveys.yaml"]}


def file_digest(path: Path | str, algorithm: str) -> str:
    """Hex digest of a file's bytes, read in chunks; algorithm as hashlib names it (md5, sha256)."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def file_sha256(path: Path | str) -> str:
    """sha256 of a file's bytes, read in chunks."""
    return file_digest(path, "sha256")


@cache
def rooms_imported_by(room: str) -> frozenset[str]:
    """Rooms of the library that `room` imports directly, read from its source."""
    found: set[str] = set()
    for path in sorted((LIBRARY / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
            modules: list[str] = []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
                if node.module == "lenshunt":
                    modules = [f"lenshunt.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            for module in modules:
                parts = module.split(".")
                if parts[0] == "lenshunt" and len(parts) > 1 and (LIBRARY / parts[1]).is_dir():
                    found.add(parts[1])
    return frozenset(found - {room})


@cache
def _room_digest(room: str) -> str:
    digest = hashlib.sha256()
    for path in sorted((LIBRARY / room).rglob("*.py")):
        digest.update(path.relative_to(LIBRARY).as_posix().encode())
        digest.update(path.read_bytes())
    for name in FACTS.get(room, []):
        digest.update((RESOURCES / name).read_bytes())
    return digest.hexdigest()


def code_digest(rooms: Iterable[str]) -> str:
    """Digest of the given rooms of the library and of every room that they import.

    Snakemake does not see library code; a rule that carries this digest among its `params`
    runs again when, and only when, code that it can reach has changed.
    """
    reached: set[str] = set()
    waiting = list(rooms)
    while waiting:
        room = waiting.pop()
        if not (LIBRARY / room).is_dir():
            raise ValueError(f"no room {room!r} in {LIBRARY}")
        if room not in reached:
            reached.add(room)
            waiting.extend(rooms_imported_by(room))
    digest = hashlib.sha256()
    for room in sorted(reached):
        digest.update(f"{room}:{_room_digest(room)}".encode())
    return digest.hexdigest()[:16]


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
