"""Plans of a training that makes lenses while it runs."""

import re

import yaml


def inputs_of(plan, message: str) -> str:
    """The line of a dry run that gives the reasons of the job with this message: its inputs."""
    lines = plan.text.splitlines()
    (at,) = [i for i, line in enumerate(lines) if re.match(rf"Job \d+: {message}", line)]
    return lines[at + 1]


def test_hosts_and_sources_are_made_before_the_training_and_hosts_are_checked_for_twins(checkout):
    values = yaml.safe_load((checkout.root / "config/config.yaml").read_text())
    experiment = values["experiments"]["space"]
    values["datasets"]["sharp"] = {
        "reader": "hst_galaxies",
        "role": "pretrain",
        "survey": "hst",
        "grids": ["space"],
        "catalogues": ["data/hst/catalogue.fits"],
    }
    values["datasets"]["galaxies"] = {**values["datasets"]["sharp"]}
    catalogue = checkout.root / "data/hst/catalogue.fits"
    catalogue.parent.mkdir(parents=True)
    catalogue.write_bytes(b"")
    online = {"hosts": ["galaxies"], "sources": ["sharp"], "share": 0.25}
    experiment["online"] = online
    (checkout.root / "online.yaml").write_text(yaml.safe_dump(values))
    plan = checkout.dry_run("--configfile", "online.yaml")
    training = inputs_of(plan, r"Training resnet18, seed 1 \(space\)")
    assert "shards/space/galaxies/index.json" in training
    assert "online/space/sources.h5" in training
    assert "shards/space/sharp" not in training
    listing = inputs_of(plan, "Listing objects that space must not train on")
    assert "splits/galaxies.parquet" in listing
    assert "splits/sharp.parquet" not in listing
    choosing = inputs_of(plan, "Choosing the galaxies that space lenses while training")
    assert "records/sharp/0.h5" in choosing
    # neither the other experiment nor any scores see them
    ground = inputs_of(plan, r"Training resnet18_narrow, seed 1 \(ground\)")
    assert "galaxies/index.json" not in ground.replace("galaxiesml", "")
    predicting = inputs_of(plan, r"Predicting with resnet18, seed 1 \(space\)")
    assert "galaxies/index.json" not in predicting
