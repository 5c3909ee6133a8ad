"""What a training on several GPUs asks a cluster for: one task on one node, with all of them."""

import re
from types import SimpleNamespace

import pytest
import yaml
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string

#: What the executor adds by itself.
OF_THE_RUN = ("run_uuid", "slurm_logfile", "comment_str", "account", "partition", "workdir")


#: Jobs are printed with threads and resources only where their rule has no message.
WITHOUT_MESSAGES = """include: "Snakefile"


for one in workflow.rules:
    one.message = None
"""


@pytest.fixture(scope="module")
def plan(checkout) -> str:
    """The demo planned for the cluster with two devices, two cores and three loaders for each."""
    values = yaml.safe_load((checkout.root / "config/config.yaml").read_text())
    values["training"] |= {"devices": 2, "threads": 2, "workers": 3}
    (checkout.root / "devices.yaml").write_text(yaml.safe_dump(values))
    (checkout.root / "unworded.smk").write_text(WITHOUT_MESSAGES)
    # A dry run has the cores of this machine, a cluster as many as a job wants.
    options = ("--snakefile", "unworded.smk", "--profile", "gpu-cluster", "--cores", "64")
    return checkout.dry_run("all", *options, "--configfile", "devices.yaml").text


class Resources(dict):
    """Resources of a job as the executor asks for them: by name or as attributes."""

    __getattr__ = dict.__getitem__


def submitted(plan: str, rule: str) -> str:
    """The command by which the first job of a rule is given to Slurm."""
    job = re.search(rf"^rule {rule}:\n((?: +.*\n)+)", plan, re.MULTILINE).group(1)
    text = re.search(r"resources: (.*)", job).group(1)
    resources = dict(item.split("=") for item in text.split(", "))
    numbers = {name: int(value) for name, value in resources.items() if value.isdigit()}
    threads = re.search(r"threads: (\d+)", job)
    asked = SimpleNamespace(
        threads=int(threads.group(1)) if threads else 1, resources=Resources(numbers)
    )
    return get_submit_command(asked, dict.fromkeys(OF_THE_RUN, "")) + set_gres_string(asked)


@pytest.mark.parametrize("rule", ["pretrain", "train"])
def test_a_training_on_two_gpus_is_one_task_with_the_cores_of_both(plan, rule):
    command = submitted(plan, rule)
    assert "--gpus=2" in command
    assert "--nodes=1" in command
    assert "--cpus-per-task=10" in command
    assert "--mem 12000" in command
    # cores for more tasks than the one that runs
    assert "--ntasks" not in command


def test_a_prediction_takes_one_gpu_and_its_own_cores(plan):
    command = submitted(plan, "predict")
    assert "--gpus=1" in command
    assert "--cpus-per-task=5" in command
