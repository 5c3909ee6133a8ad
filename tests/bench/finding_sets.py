"""The labelled sets on which recipes are compared, as raw files, and the product run on one."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from second_survey import write_survey

from lenshunt.config import ClassCounts, Demo
from lenshunt.core import ROOT
from lenshunt.scenes.demo.bologna import write_bologna_ground, write_bologna_test

#: How the shipped configuration for one's own survey trains, and with which networks.
RECIPE = ROOT / "config" / "survey.yaml"
SETS = ("first", "second")
SEED = 41


@dataclass(frozen=True)
class LabelledSet:
    """Challenge images of a training and a test set. train, test : folders with table and images"""

    name: str
    train: Path
    test: Path

    def table(self, part: Path) -> pd.DataFrame:
        """The table of labels, by ID."""
        return pd.read_csv(part / "classifications.csv", index_col="ID")


def write_set(name: str, folder: Path, n_train: int, n_test: int, processes: int) -> LabelledSet:
    """The raw files of a set below `folder`; what is there already stays.

    first : the demo's simulator; second : `second_survey`, which shares no code with it
    """
    made = LabelledSet(name, folder / "train", folder / "test")
    for part, n, seed in ((made.train, n_train, SEED), (made.test, n_test, SEED + 1)):
        table = part / "classifications.csv"
        if table.exists() and len(table.read_text().splitlines()) == n + 1:
            continue
        if name == "second":
            write_survey(part, n, seed, processes=processes)
        elif part is made.train:
            write_bologna_ground(part, Demo(bologna_ground=n), seed)
        else:
            counts = ClassCounts(lenses=n // 2, nonlenses=n - n // 2)
            write_bologna_test(part, Demo(bologna_test=counts), seed)
    return made


def product_config(one: LabelledSet, results: Path) -> dict[str, Any]:
    """The default recipe on a set, the test set held out of everything but the scores."""
    recipe = yaml.safe_load(RECIPE.read_text())
    # as its comment says of a machine without a GPU
    width = "" if torch.cuda.is_available() else "_narrow"
    challenge = {
        "reader": "bologna",
        "role": "labelled",
        "survey": "bologna_ground",
        "grids": ["ground"],
        "chunks": 2,
        "variant": "ground",
        "label_source": "sim:demo",
    }
    experiment = recipe["experiments"]["ground"]
    return {
        "seed": recipe["seed"],
        "results": str(results),
        "grids": {"ground": recipe["grids"]["ground"]},
        "splits": {"train": 0.85, "val": 0.14},
        "datasets": {
            name: {
                **challenge,
                "labels": str(folder / "classifications.csv"),
                "images": str(folder / "Public"),
                "held_out": name == "unseen",
            }
            for name, folder in (("challenge", one.train), ("unseen", one.test))
        },
        "training": recipe["training"],
        "experiments": {
            "ground": {
                "grid": "ground",
                "train": ["challenge"],
                "evaluate": ["challenge", "unseen"],
                "models": [f"{name}{width}" for name in experiment["models"]],
                "seeds": experiment["seeds"],
            }
        },
    }


def run_product(one: LabelledSet, results: Path, cores: int) -> None:
    """Run the workflow on a set, raw files to fused scores. Raises CalledProcessError."""
    file = results.with_suffix(".yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(product_config(one, results), sort_keys=False))
    snakemake = Path(sys.executable).with_name("snakemake")
    command = [snakemake, "--cores", str(cores), "--resources", f"gpu={cores}"]
    command += ["--configfile", file, "--quiet", "rules", "--", results / "fused/ground.parquet"]
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True)
