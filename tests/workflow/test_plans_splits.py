"""Plans with cross-validation folds, matched negatives and known lenses."""

import re

import pytest
import yaml


@pytest.fixture
def planned(checkout):
    """(changes to the demo's configuration) -> its dry run."""

    def plan(name, change):
        values = yaml.safe_load((checkout.root / "config/config.yaml").read_text())
        change(values)
        (checkout.root / f"{name}.yaml").write_text(yaml.safe_dump(values))
        return checkout.dry_run("--configfile", f"{name}.yaml")

    return plan


def test_folds_are_trained_apart_from_one_set_of_splits_and_shards(planned):
    def five_folds(values):
        values["splits"] = {"folds": 5}
        space = values["experiments"].pop("space")
        for fold in range(5):
            values["experiments"][f"space{fold}"] = {**space, "fold": fold}
        values["search"]["smacs0723"]["experiment"] = "space0"

    def plain(values):
        values["splits"] = {"folds": 5}

    folds, whole = planned("folds", five_folds), planned("plain", plain)
    for rule in ("splits", "shards", "records", "homogenise"):
        assert folds.jobs[rule] == whole.jobs[rule]
    assert folds.jobs["exclusions"] == whole.jobs["exclusions"] + 4
    assert folds.jobs["train"] == whole.jobs["train"] + 4
    assert folds.jobs["metrics"] == whole.jobs["metrics"] + 4


def test_negatives_are_matched_before_the_exclusion_list_is_written(planned):
    def match(values):
        match = {"negatives": ["relics"], "hosts": ["castles"]}
        values["experiments"]["space"]["match_negatives"] = match

    plan = planned("matched", match)
    assert plan.jobs["matched_negatives"] == plan.jobs["matched_negatives_figure"] == 1
    order = [
        next(i for i, m in enumerate(plan.messages) if m.startswith(start))
        for start in ("Matching negatives of space", "Listing objects that space")
    ]
    assert order == sorted(order)


def test_who_is_searched_is_known_before_a_training_and_its_pretraining(planned):
    def search_ground(values):
        values["datasets"]["smacs0723"]["grids"] = ["ground"]
        values["search"]["smacs0723"]["experiment"] = "ground"

    plan = planned("searched", search_ground)
    for start in ("Listing objects that ground must", "Listing objects that pretraining"):
        lines = plan.text.splitlines()
        (at,) = [i for i, line in enumerate(lines) if re.match(rf"Job \d+: {start}", line)]
        assert "splits/smacs0723.parquet" in lines[at + 1]


def test_a_table_of_known_lenses_is_an_input_and_is_fetched(planned):
    def known(values):
        values["known_lenses"] = ["data/lenscat/catalog.csv"]

    plan = planned("known", known)
    assert plan.jobs["fetch"] == 1
    assert "Downloading data/lenscat/catalog.csv" in plan.messages
    with pytest.raises(AssertionError, match=r"data/absent\.csv"):
        planned("absent", lambda values: values.update(known_lenses=["data/absent.csv"]))
