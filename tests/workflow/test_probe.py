"""Batch sizes left to the machine: probed per model before its trainings, never a re-training."""

import json

import torch
import yaml
from small_survey import Survey

MODEL = "resnet18_narrow"
CHECKPOINT = f"results/training/small/{MODEL}-1.ckpt"


def test_a_probe_is_planned_for_each_model_whose_batch_size_is_auto(checkout):
    values = yaml.safe_load((checkout.root / "config/config.yaml").read_text())
    values["training"] |= {"batch_size": "auto", "effective_batch": 64}
    (checkout.root / "auto.yaml").write_text(yaml.safe_dump(values))
    plan = checkout.dry_run("--configfile", "auto.yaml")
    # The models of both experiments and no other; pretraining names a number of its own.
    used = {name for one in values["experiments"].values() for name in one["models"]}
    probed = [line for line in plan.messages if line.startswith("Probing")]
    assert sorted(probed) == sorted(f"Probing the batch size of {name}" for name in used)
    values["pretraining"]["galaxies"]["training"]["batch_size"] = "auto"
    for experiment in values["experiments"].values():
        experiment["models"] = ["resnet18"]
    values["training"]["batch_size"] = 32
    (checkout.root / "auto.yaml").write_text(yaml.safe_dump(values))
    assert checkout.dry_run("--configfile", "auto.yaml").jobs["probe"] == 1
    assert "probe" not in checkout.dry_run("--configfile", "config/config.yaml").jobs


def test_a_training_takes_the_batch_of_the_probe_and_a_new_probe_does_not_repeat_it(
    checkout, tmp_path
):
    survey = Survey(checkout.root, tmp_path / "small", {"one": 60}, chunks=1)
    survey.config["training"] = {
        "epochs": 1,
        "batch_size": "auto",
        "effective_batch": 12,
        "batch_size_cpu": 5,
        "precision": "32",
    }
    survey.config["experiments"] = {
        "small": {
            "grid": "ground",
            "train": ["one"],
            "evaluate": ["one"],
            "models": [MODEL],
            "seeds": [1],
        }
    }
    survey.write_config()

    def run(*options: str) -> str:
        where = ("--directory", str(survey.root), "--configfile", str(survey.root / "config.yaml"))
        return checkout.snakemake(CHECKPOINT, *where, "--cores", "2", *options)

    run("--resources", "gpu=1")
    path = survey.root / "results" / "probe" / f"{MODEL}.json"
    found = json.loads(path.read_text())
    training = torch.load(survey.root / CHECKPOINT, weights_only=True)["training"]
    if found["device"] == "cpu":
        assert "no GPU" in found["measured"]
        # The largest divisor of 12 up to 5.
        assert (training["batch_size"], training["accumulate_batches"]) == (4, 3)
    assert training["batch_size"] == found["grids"]["ground"]["batch_size"]
    found["grids"]["ground"] |= {"largest_batch": 2, "batch_size": 2}
    path.write_text(json.dumps(found))
    assert "Nothing to be done" in run("-n")
    path.unlink()
    assert "rule train" not in run("-n")
