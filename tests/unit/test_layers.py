"""Rooms import only from rooms below them, and the library knows nothing of Snakemake."""

import ast

import pytest

from lenshunt import ROOMS
from lenshunt.core.paths import LIBRARY
from lenshunt.core.reached_code import all_modules, imported_modules


def room_of(module: str) -> str | None:
    """The room that a module is in; None for the library's own face."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (LIBRARY / parts[1]).is_dir() else None


def test_every_folder_of_the_library_is_a_room():
    folders = {p.name for p in LIBRARY.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_from_rooms_below(room):
    above = set(ROOMS[ROOMS.index(room) + 1 :])
    for module in all_modules():
        if room_of(module) == room:
            upward = {name for name in imported_modules(module) if room_of(name) in above}
            assert not upward, module


@pytest.mark.slow
def test_the_library_does_not_import_snakemake():
    for path in LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not any(name.split(".")[0] == "snakemake" for name in names), path
