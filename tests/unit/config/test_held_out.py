"""Data sets held out for the test: nothing may train on them, and the key and remedy are told."""

import pytest
from config_values import check, values_of

from lenshunt.config import ConfigError

LABELS = "results/demo/bologna_test/classifications.csv"


def with_test_set(**changes: object) -> dict:
    """The demo with its second Bologna set, evaluated alone."""
    values = values_of()
    values["demo"]["bologna_test"] = {"lenses": 150, "nonlenses": 2050}
    values["datasets"]["bologna_test"] = {
        **values["datasets"]["bologna_ground"],
        "labels": LABELS,
        "images": "results/demo/bologna_test/Public",
        "held_out": True,
        "chunks": 8,
        **changes,
    }
    values["experiments"]["ground"]["evaluate"].append("bologna_test")
    return values


def test_a_test_set_may_be_evaluated_with_plain_splits_and_with_folds():
    values = with_test_set()
    check(values)
    values["splits"] = {"folds": 5}
    values["experiments"]["ground"]["fold"] = 2
    check(values)


def trained_on(values):
    values["experiments"]["ground"]["train"].append("bologna_test")


def hosts_online(values):
    values["experiments"]["ground"]["online"] = {"hosts": ["galaxiesml", "bologna_test"]}


def sources_online(values):
    values["datasets"]["relics"] |= {"held_out": True}
    values["experiments"]["space"]["train"] = ["castles"]
    values["experiments"]["ground"]["online"] = {"hosts": ["galaxiesml"], "sources": ["relics"]}


def hosts_injected(values):
    values["datasets"]["injected"] |= {"hosts": "bologna_test", "survey": "bologna_ground"}


@pytest.mark.parametrize(
    "change, key, name, remedy",
    [
        (trained_on, r"experiments\.ground\.train", "bologna_test", "under `evaluate` alone"),
        (hosts_online, r"experiments\.ground\.online\.hosts", "bologna_test", "name another"),
        (sources_online, r"experiments\.ground\.online\.sources", "relics", "name another"),
        (hosts_injected, r"datasets\.injected\.hosts", "bologna_test", "or hold injected out too"),
    ],
    ids=["train", "online hosts", "online sources", "injection hosts"],
)
def test_no_way_into_a_training_is_open(change, key, name, remedy):
    values = with_test_set()
    change(values)
    with pytest.raises(ConfigError, match=rf"{key}: {name} is held out for the test.*{remedy}"):
        check(values)


def test_lenses_painted_on_a_test_set_may_be_tested_with():
    values = with_test_set()
    hosts_injected(values)
    values["datasets"]["injected"]["held_out"] = True
    check(values)


@pytest.mark.parametrize("name, role", [("galaxiesml", "pretrain"), ("smacs0723", "search")])
def test_only_labels_can_be_tested_with(name, role):
    values = values_of()
    values["datasets"][name]["held_out"] = True
    with pytest.raises(ConfigError, match=rf"datasets\.{name}\.held_out: true, but role {role}"):
        check(values)


def test_a_test_set_that_the_demo_does_not_write_is_told_before_any_job():
    values = with_test_set()
    del values["demo"]["bologna_test"]
    with pytest.raises(ConfigError, match=r"datasets\.bologna_test\.labels.*demo\.bologna_test"):
        check(values)


@pytest.mark.parametrize("counts", [{"lenses": 0, "nonlenses": 9}, {"lenses": 9}])
def test_a_test_set_has_both_classes(counts):
    values = with_test_set()
    values["demo"]["bologna_test"] = counts
    with pytest.raises(ConfigError, match=r"demo\.bologna_test\.(lenses|nonlenses)"):
        check(values)
