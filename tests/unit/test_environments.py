"""pyproject, the pip lock and the conda files name the same versions."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

from lenshunt.core import ROOT

CONDA_NAMES = {"pytorch": "torch"}
CONDA_FILES = sorted((ROOT / "envs").glob("*.yaml"))


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def lock() -> dict[str, str]:
    lines = (ROOT / "envs" / "lock.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonical(name): version for name, version in pins}


def conda_pins(path) -> dict[str, str]:
    pins = {}
    for entry in yaml.safe_load(path.read_text())["dependencies"]:
        lines = entry["pip"] if isinstance(entry, dict) else [entry]
        for line in lines:
            parts = re.split(r"==?", line)
            if len(parts) > 1:
                pins[canonical(CONDA_NAMES.get(parts[0], parts[0]))] = parts[1]
    return pins


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("requirement", requirements(), ids=lambda r: r.name)
def test_the_lock_satisfies_pyproject(requirement):
    assert requirement.specifier.contains(lock()[canonical(requirement.name)])


@pytest.mark.parametrize("path", CONDA_FILES, ids=lambda p: p.name)
def test_conda_files_agree_with_the_lock(path):
    pins = conda_pins(path)
    python = pins.pop("python")
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "requires-python"
    ].startswith(f">={python}")
    assert pins == {name: lock()[name] for name in pins}


def test_conda_files_use_conda_forge_alone():
    for path in CONDA_FILES:
        assert yaml.safe_load(path.read_text())["channels"] == ["conda-forge", "nodefaults"]


def test_the_training_environment_states_the_cuda_build():
    text = (ROOT / "envs" / "train-gpu.yaml").read_text()
    assert re.search(r"pytorch=[\d.]+=cuda", text)
