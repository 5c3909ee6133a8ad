"""Rooms import only from rooms below them, and the library knows nothing of Snakemake."""

import ast

import pytest

from lenshunt import ROOMS
from lenshunt.core.digests import rooms_imported_by
from lenshunt.core.paths import LIBRARY


def test_every_folder_of_the_library_is_a_room():
    folders = {p.name for p in LIBRARY.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_from_rooms_below(room):
    above = set(ROOMS[ROOMS.index(room) :])
    assert not rooms_imported_by(room) & above


def test_the_library_does_not_import_snakemake():
    for path in LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not any(name.split(".")[0] == "snakemake" for name in names), path
