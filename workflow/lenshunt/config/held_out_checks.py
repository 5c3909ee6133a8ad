"""Checks of data sets that are held out for the test: nothing may be trained on them."""

from collections.abc import Iterator
from pathlib import Path

from lenshunt.config.challenges import BolognaDataset
from lenshunt.config.injection import InjectionDataset
from lenshunt.config.root import Config

LABELLED = ("labelled", "negatives")


def check_held_out(config: Config) -> list[str]:
    """What does not fit together, by key, with its remedy."""
    held_out = {name for name, dataset in config.datasets.items() if dataset.held_out}
    used = [
        f"{key}: {name} is held out for the test (datasets.{name}.held_out: true); {remedy}"
        for key, names, remedy in _trained_on(config)
        for name in names
        if name in held_out
    ]
    return [*used, *_roles(config), *_unwritten(config)]


def _trained_on(config: Config) -> Iterator[tuple[str, list[str], str]]:
    """(key, data sets that reach a training by it, what to do if one is held out)."""
    for name, experiment in config.experiments.items():
        yield f"experiments.{name}.train", experiment.train, "list it under `evaluate` alone"
        if experiment.online is not None:
            key, remedy = f"experiments.{name}.online", "name another data set"
            yield f"{key}.hosts", experiment.online.hosts, remedy
            yield f"{key}.sources", experiment.online.sources, remedy
    for name, dataset in config.datasets.items():
        if isinstance(dataset, InjectionDataset) and not dataset.held_out:
            remedy = f"name another data set, or hold {name} out too"
            yield f"datasets.{name}.hosts", [dataset.hosts], remedy
            yield f"datasets.{name}.sources", dataset.sources, remedy


def _roles(config: Config) -> list[str]:
    return [
        f"datasets.{name}.held_out: true, but role {dataset.role} has no labels to test with; "
        f"leave the key out, or give it role {' or '.join(LABELLED)}"
        for name, dataset in config.datasets.items()
        if dataset.held_out and dataset.role not in LABELLED
    ]


def _unwritten(config: Config) -> list[str]:
    """Data sets of the demo's second Bologna set where the demo does not write it."""
    folder = Path(config.demo.folder) / "bologna_test"
    return [
        f"datasets.{name}.labels: the demo writes {dataset.labels} only where demo.bologna_test "
        "says how many lenses and nonlenses; set it"
        for name, dataset in config.datasets.items()
        if isinstance(dataset, BolognaDataset)
        and dataset.made_by == "demo"
        and config.demo.bologna_test is None
        and folder in Path(dataset.labels).parents
    ]
