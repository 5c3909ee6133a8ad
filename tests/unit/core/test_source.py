"""Facts read from the library's source are those that Python would find, and nothing is run."""

import inspect
import subprocess
import sys
from dataclasses import fields

import pytest

from lenshunt.config.architectures import Facts, architectures, facts_of, parameter_problems
from lenshunt.core import source
from lenshunt.models import REGISTRY, architecture_of

FILE = """
from other import Foreign
from lenshunt.below import Below
class Shape:
    width: int = 3
class Net(Foreign, Below):
    written: str = "here"
    computed = 2 * 3
    later: int
    def __init__(self, data, *, shape: Shape, rate: float = 0.1): ...
TABLE = {"a": ("b", 1)}
"""
BELOW = "class Below:\n    inherited = (1, 2)\n    written = 'below'\n    later = 5\n"


@pytest.fixture
def library(tmp_path, monkeypatch):
    folder = tmp_path / "lenshunt"
    folder.mkdir()
    (folder / "net.py").write_text(FILE)
    (folder / "below.py").write_text(BELOW)
    monkeypatch.setattr(source, "LIBRARY", folder)


@pytest.mark.slow
def test_what_is_read_of_an_architecture_is_what_its_class_has():
    assert architectures() == REGISTRY
    for name in REGISTRY:
        for field in fields(Facts):
            value = getattr(architecture_of(name), field.name)
            assert getattr(facts_of(name), field.name) == value, (name, field.name)


def test_arguments_read_of_an_architecture_are_those_of_its_signature():
    for name, where in REGISTRY.items():
        signature = inspect.signature(architecture_of(name).__init__)
        keywords = [p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
        assert list(source.arguments(where)) == keywords


@pytest.mark.slow
def test_planning_imports_no_torch():
    code = (
        "import sys; from lenshunt.config import *;"
        "from lenshunt.evaluation.diagnostics import kinds_of;"
        "m = ModelConfig(architecture='gat_lens', backbone='a'); kinds_of(m); m.facts;"
        "print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_a_module_and_a_class_say_what_is_written_in_them(library):
    assert source.module_value("lenshunt.net", "TABLE") == {"a": ("b", 1)}
    assert source.class_value("lenshunt.net.Net", "written") == "here"
    assert source.class_value("lenshunt.net.Net", "inherited") == (1, 2)
    # an annotation alone is no value
    assert source.class_value("lenshunt.net.Net", "later") == 5
    assert source.arguments("lenshunt.net.Net") == {"shape": {"width": {}}, "rate": {}}


def test_what_is_computed_or_missing_is_named_with_its_file(library):
    with pytest.raises(ValueError, match=r"net\.py:8: computed .*literal, not as 2 \* 3"):
        source.class_value("lenshunt.net.Net", "computed")
    with pytest.raises(ValueError, match=r"lenshunt\.net\.Net says nothing of reference"):
        source.class_value("lenshunt.net.Net", "reference")
    with pytest.raises(ValueError, match=r"net\.py: NOTHING has no value"):
        source.module_value("lenshunt.net", "NOTHING")
    with pytest.raises(ValueError, match=r"net\.py: no class Gone"):
        source.class_value("lenshunt.net.Gone", "written")
    with pytest.raises(ValueError, match=r"no module lenshunt\.gone in "):
        source.module_value("lenshunt.gone", "TABLE")


def test_an_unknown_parameter_is_named_with_the_known_ones():
    (problem,) = parameter_problems("vit", {"backbone": {"width": 8, "depth": 3}})
    assert problem.startswith("parameters.backbone.depth: vit has no such parameter; ")
    assert "layers" in problem
