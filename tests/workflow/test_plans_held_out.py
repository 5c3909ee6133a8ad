"""Plans with a data set that is held out for the test: scored, and an input of no training."""

import re

import yaml


def test_a_test_set_of_the_demo_is_written_read_and_scored_but_trains_nothing(checkout):
    values = yaml.safe_load((checkout.root / "config/config.yaml").read_text())
    without = checkout.dry_run("--configfile", "config/config.yaml")
    values["demo"]["bologna_test"] = {"lenses": 15, "nonlenses": 205}
    values["datasets"]["bologna_test"] = {
        **values["datasets"]["bologna_ground"],
        "labels": "results/demo/bologna_test/classifications.csv",
        "images": "results/demo/bologna_test/Public",
        "held_out": True,
        "chunks": 8,
    }
    values["experiments"]["ground"]["evaluate"].append("bologna_test")
    (checkout.root / "held_out.yaml").write_text(yaml.safe_dump(values))
    plan = checkout.dry_run("--configfile", "held_out.yaml")
    assert "demo_bologna_test" not in without.jobs
    assert plan.jobs["demo_bologna_test"] == 1
    assert plan.jobs["records"] == without.jobs["records"] + 8
    for rule in ("train", "pretrain", "predict", "calibrate", "fuse"):
        assert plan.jobs[rule] == without.jobs[rule]
    index = "results/shards/ground/bologna_test/index.json"
    found = r"^Job \d+: (.+)\nReason: .*Input files updated by another job: (.+)$"
    inputs = dict(re.findall(found, plan.text, re.MULTILINE))
    readers = {message.split()[0] for message, files in inputs.items() if index in files}
    # scored and, in the summary that is written, counted
    assert readers == {"Predicting", "Writing"}
    assert any(message.startswith("Training") for message in inputs)
    listing = [m for m, files in inputs.items() if "splits/bologna_test.parquet" in files]
    for start in ("Listing objects that ground", "Listing objects that pretraining"):
        assert any(message.startswith(start) for message in listing)
