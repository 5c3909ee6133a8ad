"""The digest of a job's code follows what the job can reach, and no wording."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lenshunt.core import reached_code
from lenshunt.core.paths import LIBRARY, RESOURCES, ROOT
from lenshunt.core.reached_code import all_modules, code_digest, imported_modules, reachable

SCRIPTS = ROOT / "workflow/scripts"
TRAIN = SCRIPTS / "train.py"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of library and resources whose files a test may change."""
    for name, folder in {"LIBRARY": LIBRARY, "RESOURCES": RESOURCES}.items():
        shutil.copytree(
            folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("__pycache__")
        )
        monkeypatch.setattr(reached_code, name, tmp_path / folder.name)
    forget()
    yield tmp_path
    forget()


def forget():
    for remembered in (reached_code._digest, reached_code._read, reached_code._fact_files):
        remembered.cache_clear()


def moved(path: Path, old: str, new: str, *entries: tuple) -> list[bool]:
    """Whether the digest of each entry changes when `old` is `new` in a file."""
    forget()
    before = [code_digest(*entry) for entry in entries]
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    forget()
    return [code_digest(*entry) != digest for entry, digest in zip(entries, before, strict=True)]


def module(name: str) -> Path:
    return Path(*name.split(".")).with_suffix(".py")


def a_function_of(path: Path) -> ast.FunctionDef:
    tree = ast.parse(path.read_text())
    return next(node for node in tree.body if isinstance(node, ast.FunctionDef))


def test_comments_docstrings_and_formatting_change_no_digest(checkout):
    path = checkout / module("lenshunt.training.augment")
    first = a_function_of(path)
    line = path.read_text().splitlines()[first.lineno - 1]
    assert moved(path, line, f"# reworded\n\n\n{line}  # and here", (TRAIN,)) == [False]
    docstring = ast.get_docstring(first, clean=False)
    assert docstring
    assert moved(path, docstring, "Another sentence.", (TRAIN,)) == [False]


def test_a_statement_in_reach_changes_the_digest(checkout):
    path = checkout / module("lenshunt.training.augment")
    path.write_text(f"{path.read_text()}\nNEW = 1\n")
    assert moved(path, "NEW = 1", "NEW = 2", (TRAIN,)) == [True]


def test_a_statement_out_of_reach_leaves_the_digest(checkout):
    path = checkout / module("lenshunt.reporting.figures.style")
    path.write_text(f"{path.read_text()}\nNEW = 1\n")
    roc = (SCRIPTS / "evaluation_figure.py", ["roc"])
    assert moved(path, "NEW = 1", "NEW = 2", (TRAIN,), roc) == [False, True]


def test_one_model_file_is_reached_by_its_own_trainings_alone(checkout):
    path = checkout / module("lenshunt.models.gat_lens")
    path.write_text(f"{path.read_text()}\nNEW = 1\n")
    entries = [(TRAIN, [name]) for name in ("gat_lens", "resnet", "pinn_lens")]
    assert moved(path, "NEW = 1", "NEW = 2", *entries, (TRAIN,)) == [True, False, False, True]


def test_a_registry_entry_counts_only_where_it_is_reached(checkout):
    path = checkout / module("lenshunt.models.registry")
    vit = '"lenshunt.models.vit.ViT"'
    one, other = (TRAIN, ["resnet"]), (TRAIN, ["vit"])
    assert moved(path, '    "vit":', f'    "new": {vit},\n    "vit":', one, (TRAIN,)) == [
        False,
        True,
    ]
    assert moved(path, f'"vit": {vit}', '"vit": "lenshunt.models.vit"', one, other) == [False, True]


def test_one_writer_of_the_demo_is_reached_by_its_own_kind_alone(checkout):
    path = checkout / module("lenshunt.scenes.demo.castles")
    path.write_text(f"{path.read_text()}\nNEW = 1\n")
    entries = [(SCRIPTS / "demo.py", [kind]) for kind in ("castles", "relics", "sdss")]
    assert moved(path, "NEW = 1", "NEW = 2", *entries) == [True, False, False]


def test_one_figure_is_reached_by_its_own_name_alone(checkout):
    path = checkout / module("lenshunt.reporting.figures.roc")
    path.write_text(f"{path.read_text()}\nNEW = 1\n")
    entries = [(SCRIPTS / "evaluation_figure.py", [what]) for what in ("roc", "purity")]
    assert moved(path, "NEW = 1", "NEW = 2", *entries) == [True, False]


def test_fact_tables_count_as_code(checkout):
    table = checkout / "resources/filters.yaml"
    table.write_text(f"{table.read_text()}\n# 1\n")
    records, curves = (SCRIPTS / "records.py",), (SCRIPTS / "training_curves.py",)
    assert moved(table, "# 1", "# 2", records, curves) == [True, False]


def test_a_room_that_is_imported_itself_is_reached_whole(checkout, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import lenshunt.schema\n")
    by_room, _ = reachable(script)
    assert {"lenshunt.schema.cutout", "lenshunt.schema.bands"} <= by_room
    script.write_text("from lenshunt.schema import njy_per_count\n")
    forget()
    assert reachable(script)[0] == {"lenshunt.schema.units"}


def test_imports_for_type_checkers_alone_are_not_reached(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from lenshunt.training import train\n"
    )
    assert reachable(script) == (set(), set())


def test_an_import_that_leads_nowhere_names_script_and_module(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from lenshunt.cellar import wine\n")
    with pytest.raises(ValueError, match=r"script\.py: lenshunt\.cellar is no module"):
        code_digest(script)


@pytest.mark.slow
def test_what_a_training_imports_when_it_runs_is_in_reach():
    """Against Python itself: modules that are loaded are a subset of those found."""
    entry = "lenshunt.training.train"
    told = subprocess.run(
        [sys.executable, "-c", f"import sys, {entry}; print(*sorted(sys.modules))"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    # The faces of rooms are loaded too; what they load besides is not what was asked for.
    loaded = set(told) & set(all_modules())
    through_faces = {m for m in loaded if m.count(".") < 2} | _eager_exports(loaded)
    assert loaded - through_faces <= reachable(entry)[0] | {entry}


def _eager_exports(loaded: set[str]) -> set[str]:
    """What the faces of rooms import, and what that imports in turn."""
    faces = {name for name in loaded if name.count(".") < 2}
    waiting = [home for face in faces for home in reached_code._whole(face) if home in loaded]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(imported_modules(name) & loaded)
    return found


def test_no_name_of_a_module_is_put_together_from_pieces():
    """Such a name could not be followed."""
    for path in [*LIBRARY.rglob("*.py"), *SCRIPTS.glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                assert not str(node.values[0].value).startswith("lenshunt."), path
