"""Plans: every shipped configuration dry-runs, the linter is content, errors name the key."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from small_survey import write_objects

from lenshunt.core import ROOT

sys.path.insert(0, str(ROOT / "workflow" / "scripts"))
from draw_dag import LEFT_OUT


@pytest.mark.parametrize("name", ["config/config.yaml", "config/paper.yaml"])
def test_a_shipped_configuration_is_planned_from_nothing(checkout, name):
    plan = checkout.dry_run("--configfile", name)
    assert {"records", "homogenise", "shards", "train", "fuse", "metrics"} <= set(plan.jobs)


@pytest.mark.parametrize(
    ("name", "experiment"), [("config/study.yaml", "study"), ("config/seeing.yaml", "seeing")]
)
def test_a_shipped_study_is_planned_with_its_comparisons_and_diagnostics(
    checkout, name, experiment
):
    values = yaml.safe_load((checkout.root / name).read_text())["experiments"][experiment]
    plan = checkout.dry_run("--configfile", name)
    assert plan.jobs["train"] == len(values["models"]) * len(values["seeds"])
    assert {"comparisons", "study_table", "diagnostics", "diagnostics_figure"} <= set(plan.jobs)


def test_the_survey_to_copy_is_planned_from_cutouts_to_candidates(checkout):
    values = yaml.safe_load((checkout.root / "config/survey.yaml").read_text())
    # a folder of its own, for the files that a user has
    for name in ("my_galaxies", "my_survey"):
        pattern = f"data/plans/{name}/*.fits"
        values["datasets"][name]["images"] = [pattern]
        write_objects(checkout.root / Path(pattern).parent, 12, 0)
    (checkout.root / "survey.yaml").write_text(yaml.safe_dump(values))
    plan = checkout.dry_run("--configfile", "survey.yaml")
    ground = values["experiments"]["ground"]
    assert plan.jobs["train"] == len(ground["models"]) * len(ground["seeds"])
    assert {"inject", "predict_search", "candidates", "metrics"} <= set(plan.jobs)


def test_the_paper_is_planned_for_the_cluster_with_one_gpu_job_per_model_and_seed(checkout):
    plan = checkout.dry_run("--profile", "gpu-cluster", "--configfile", "config/paper.yaml")
    values = yaml.safe_load((checkout.root / "config/paper.yaml").read_text())
    runs = [len(e["models"]) * len(e["seeds"]) for e in values["experiments"].values()]
    assert plan.jobs["train"] == sum(runs)
    assert "slurm" in (checkout.root / "gpu-cluster/config.yaml").read_text()


def test_snakemake_lint_is_content(checkout):
    assert "Congratulations" in checkout.snakemake("--lint")


def test_a_bad_configuration_stops_before_any_job(checkout):
    values = yaml.safe_load((checkout.root / "config/config.yaml").read_text())
    values["experiments"]["ground"]["grid"] = "moon"
    (checkout.root / "bad.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(AssertionError, match=r"experiments\.ground\.grid: 'moon' is not defined"):
        checkout.dry_run("--configfile", "bad.yaml")


def test_a_missing_raw_file_is_named(checkout):
    values = yaml.safe_load((checkout.root / "config/config.yaml").read_text())
    # a folder of its own: results of before would do without the raw file
    values["results"] = "results/absent"
    values["datasets"]["sdss"] |= {"catalogue": "data/absent.csv", "made_by": None}
    (checkout.root / "absent.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(AssertionError, match=r"data/absent\.csv"):
        checkout.dry_run("--configfile", "absent.yaml")


def test_the_command_line_tells_a_newcomer_how_to_go_on():
    run = subprocess.run(
        [sys.executable, "-m", "lenshunt", "--help"], capture_output=True, text=True, check=True
    )
    assert "make run" in run.stdout
    assert "--profile gpu-cluster" in run.stdout


def test_the_readme_names_the_two_commands_and_shows_the_current_dag():
    readme = (ROOT / "README.md").read_text()
    assert "make run" in readme
    assert "make test" in readme
    picture = (ROOT / "workflow" / "dag.svg").read_text()
    assert "workflow/dag.svg" in readme
    drawn = set(re.findall(r"<title>([a-z_0-9]+)</title>", picture)) - {"lenshunt"}
    rules = set()
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        rules |= set(re.findall(r"^rule (\w+):", path.read_text(), re.MULTILINE))
        rules |= set(re.findall(r"^use rule \w+ as (\w+) with", path.read_text(), re.MULTILINE))
    assert drawn == {name for name in rules - {"fetch"} if not LEFT_OUT.fullmatch(name)}
