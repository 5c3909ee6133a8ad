"""CONTRIBUTING.md and the map of README.md: the examples work, the paths are those of the code."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lenshunt import ROOMS
from lenshunt.core.paths import ROOT
from lenshunt.core.reached_code import reachable

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
#: A path before a colon at the end of a line, and the block below it.
EXAMPLE = re.compile(r"`([\w/]+\.(?:py|yaml))`:\n\n```(\w+)\n(.*?)```", re.DOTALL)

USE = """
import json, sys
from pathlib import Path

import torch

from lenshunt.config import dataset_from, load_model_config
from lenshunt.core import code_digest, raw_manifest
from lenshunt.models import Normalisation, build_model
from lenshunt.readers import raw_files, read_chunk
from lenshunt.schema import detect_survey, filter_named

root, folder = map(Path, sys.argv[1:])
survey = detect_survey({"TELESCOP": "ROMAN"}, "a.fits")
dataset = dataset_from({
    "reader": "npy", "survey": "roman", "role": "search",
    "images": [f"{folder}/*.npy"], "bands": ["ROMAN_F106"],
})
manifest = raw_manifest(raw_files(dataset), folder / "hashes.json")
read, rejected = read_chunk("set", dataset, 0, 1, manifest).objects

torch.manual_seed(0)
model = build_model(
    load_model_config(root / "config/models/small_cnn.yaml"), Normalisation((1.0,) * 5, 32, 0.168)
)
batch = {
    "image": torch.randn(4, 5, 32, 32),
    "variance": torch.ones(4, 5, 32, 32),
    "band_flags": torch.ones(4, 5),
}
logit = model(batch).logit
logit.square().sum().backward()
print(json.dumps({
    "survey": survey.name,
    "slot": filter_named("roman_f106").slot,
    "sample": read.metadata.sample_id,
    "bands": read.metadata.bands,
    "flux": float(read.image[3].sum()),
    "rejected": rejected.reason,
    "logits": list(logit.shape),
    "learns": all(bool(p.grad.any()) for p in model.parameters()),
}))
"""


def applied(path: str, kind: str, block: str, root: Path) -> None:
    """Make the change of one block: a new file, or the hunks of a diff, each at its one place."""
    file = root / path
    if kind != "diff":
        assert not file.exists(), path
        file.write_text(block)
        return
    for hunk in block.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] == " ")
        after = "".join(line[1:] for line in lines)
        text = file.read_text()
        assert text.count(before) == 1, f"{path}: {before}"
        file.write_text(text.replace(before, after))


def examples() -> list[tuple[str, str, str]]:
    """(path, kind, block) of every example of the page, in its order."""
    return EXAMPLE.findall(PAGE)


@pytest.fixture(scope="module")
def changed(tmp_path_factory) -> Path:
    """A copy of library, configuration and tables with all examples in it."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("workflow/lenshunt", "workflow/scripts", "config", "resources"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for example in examples():
        applied(*example, root)
    return root


def told(root: Path, *arguments: str) -> str:
    """What Python prints with the library of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(root / "workflow")}
    run = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_every_block_that_changes_a_file_is_an_example():
    blocks = re.findall(r"^```(\w+)$", PAGE, re.MULTILINE)
    assert [kind for _, kind, _ in examples()] == blocks


def test_the_examples_of_the_page_work(changed, tmp_path):
    np.save(tmp_path / "a.npy", np.ones((1, 20, 20)))
    np.save(tmp_path / "b.npy", np.ones((2, 20, 20)))
    found = json.loads(told(changed, "-c", USE, str(changed), str(tmp_path)).splitlines()[-1])
    assert found["flux"] == pytest.approx(400 * 1000.0, rel=1e-3)  # 23.9 mag is one microjansky
    assert "expected [band, y, x] with 1 bands" in found["rejected"]
    assert found | {"flux": None, "rejected": None} == {
        "survey": "roman",
        "slot": "z",
        "sample": "set-a",
        "bands": ["", "", "", "ROMAN_F106", ""],
        "flux": None,
        "rejected": None,
        "logits": [4],
        "learns": True,
    }


def test_the_new_keys_get_their_documentation(changed, tmp_path):
    (tmp_path / "schemas").mkdir()
    told(changed, "-m", "lenshunt", "schemas", "--folder", str(tmp_path))
    assert "`datasets.NAME` with `reader: npy`" in (tmp_path / "README.md").read_text()
    assert '"small_cnn"' in (tmp_path / "schemas/model.schema.json").read_text()


MAP = (ROOT / "README.md").read_text().partition("## Finding one's way")[2]


def test_the_map_names_the_rooms_in_their_order():
    rooms = MAP.partition("| room |")[2].partition("\n\n")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", rooms, re.MULTILINE)) == ROOMS


def test_on_the_map_each_rule_reaches_the_files_that_stand_beside_it():
    rows = re.findall(r"^\| (?:`(\w+\.smk): (\w+)`)? \| ([^|]*) \|", MAP, re.MULTILINE)
    assert len(rows) > 10
    known: set[str] = set()
    for rules, rule, files in rows:
        if rule:
            text = (ROOT / "workflow/rules" / rules).read_text()
            assert re.search(rf"^rule {rule}:", text, re.MULTILINE), rule
            known = reachable(ROOT / f"workflow/scripts/{rule}.py")[0]
        for file in re.findall(r"`([\w/]+)\.py`", files):
            assert f"lenshunt.{file.replace('/', '.')}" in known, (rule, file)
