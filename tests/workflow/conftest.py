"""A copy of the checkout in which tests run Snakemake, change files and run it again."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lenshunt.core import ROOT

NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv*", ".snakemake", "results", "data", "*cache*", "__pycache__", "*.egg-info"
)


@dataclass(frozen=True)
class DryRun:
    """What `snakemake -n` would do: jobs per rule (without `all`) and their messages."""

    jobs: dict[str, int]
    messages: list[str]
    text: str


@dataclass(frozen=True)
class Checkout:
    """A working copy with its own results; its library, not the installed one, is imported."""

    root: Path

    def snakemake(self, *arguments: str) -> str:
        """Output of `snakemake ARGUMENTS`; fails the test with that output where it fails."""
        environment = {**os.environ, "PYTHONPATH": str(self.root / "workflow")}
        run = subprocess.run(
            [sys.executable, "-m", "snakemake", "--nocolor", *arguments],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        output = run.stdout + run.stderr
        assert run.returncode == 0, output[-6000:]
        return output

    def dry_run(self, *arguments: str) -> DryRun:
        """What would run now, and why."""
        text = self.snakemake("-n", *arguments)
        stats = re.search(r"^job +count\n-+ +-+\n((?:\S+ +\d+\n)+)", text, re.MULTILINE)
        lines = stats.group(1).splitlines() if stats else []
        jobs = {line.split()[0]: int(line.split()[1]) for line in lines}
        for name in ("all", "total"):
            jobs.pop(name, None)
        return DryRun(jobs, re.findall(r"^Job \d+: (.*)$", text, re.MULTILINE), text)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory) -> Checkout:
    """A fresh copy of the repository, with the sample data (where there are any) beside it."""
    folder = tmp_path_factory.mktemp("workflow")
    shutil.copytree(ROOT, folder / "lenshunt", symlinks=True, ignore=NOT_COPIED)
    shared = ROOT.parent / "shared"
    if shared.is_dir():
        (folder / "shared").symlink_to(shared)
    return Checkout(folder / "lenshunt")


def tiny_config(values: dict) -> dict:
    """The demo with few objects, one narrow network, and no field to search."""
    values["demo"] |= {
        "galaxiesml": 60,
        "bologna_ground": 80,
        "sdss": 20,
        "castles_systems": 8,
        "relics_fields": 1,
    }
    values["datasets"]["injected"]["hosts_max"] = 40
    fields = values["datasets"]["relics"]["fields"]
    values["datasets"]["relics"]["fields"] = dict(list(fields.items())[:1])
    del values["datasets"]["smacs0723"]
    values["search"] = {}
    cluster = values["clusters"]["smacs0723"]
    for key in ("dataset", "field", "search"):
        cluster.pop(key, None)
    values["training"] |= {"epochs": 2, "batch_size": 16}
    values["pretraining"]["galaxies"]["training"] |= {"epochs": 1}
    for experiment in values["experiments"].values():
        experiment["models"] = ["tiny"]
    values["bootstraps"] = 100
    return values


@pytest.fixture(scope="session")
def tiny_run(checkout) -> Checkout:
    """The checkout after a whole run of the tiny demo, with its report."""
    demo = yaml.safe_load((checkout.root / "config" / "config.yaml").read_text())
    (checkout.root / "tiny.yaml").write_text(yaml.safe_dump(tiny_config(demo)))
    model = yaml.safe_load((checkout.root / "config/models/resnet18.yaml").read_text())
    shape = {"widths": [4, 4, 8, 8], "depths": [1, 1, 1, 1]}
    model |= {"backbone": "tiny", "parameters": {"backbone": shape}, "variants": {}}
    (checkout.root / "config/models/tiny.yaml").write_text(yaml.safe_dump(model))
    checkout.snakemake(
        "--configfile", "tiny.yaml", "--cores", "2", "--resources", "gpu=1",
        "--report", "results/report.html", "--report-after-run",
    )  # fmt: skip
    return checkout
