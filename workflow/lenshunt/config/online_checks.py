"""Checks of lenses made while training against the data sets that they are made of."""

from collections.abc import Mapping

from lenshunt.config.injection_checks import LENSES_ONLY, source_problems
from lenshunt.config.models import ModelConfig
from lenshunt.config.online import Online
from lenshunt.config.root import Config, Experiment


def check_online(config: Config, models: Mapping[str, ModelConfig]) -> list[str]:
    """What does not fit together, by key, with its remedy. models : the files that are named"""
    problems: list[str] = []
    for name, experiment in config.experiments.items():
        if experiment.online is not None:
            key = f"experiments.{name}.online"
            problems += _hosts(config, key, experiment, experiment.online)
            problems += source_problems(
                f"{key}.sources", experiment.online.sources, config.datasets
            )
            problems += _without_segments(name, experiment, models)
    return problems


def _without_segments(
    name: str, experiment: Experiment, models: Mapping[str, ModelConfig]
) -> list[str]:
    """Models that read segments, which nothing has that is painted while it is loaded."""
    return [
        f"experiments.{name}.models: {model} (architecture {models[model].architecture}) reads "
        f"segments, and samples made online have none; train {model} in an experiment without "
        "`online`, or on a data set of reader injection"
        for model in experiment.models
        if model in models and models[model].facts.needs_segments
    ]


def _hosts(config: Config, key: str, experiment: Experiment, online: Online) -> list[str]:
    problems = []
    for name in online.hosts:
        hosts = config.datasets.get(name)
        if hosts is None:
            known = ", ".join(sorted(config.datasets)) or "none"
            problems.append(f"{key}.hosts: {name!r} is not defined; known: {known}")
            continue
        if experiment.grid not in hosts.grids:
            problems.append(
                f"{key}.hosts: {name} is not made on grid {experiment.grid}; add it to its grids"
            )
        if hosts.role == "search":
            problems.append(
                f"{key}.hosts: {name} has role search, and what is searched is never trained on; "
                "name a data set of role pretrain or negatives"
            )
        if hosts.reader in LENSES_ONLY:
            problems.append(f"{key}.hosts: {name} holds lenses only; name a data set of galaxies")
        if hosts.reader == "injection":
            problems.append(
                f"{key}.hosts: {name} holds injected lenses itself; name the data set of its "
                "galaxies"
            )
        if name in experiment.evaluate and name not in experiment.train:
            problems.append(
                f"{key}.hosts: {name} is evaluated as a data set that was not trained on; take it "
                "out of the hosts, or out of `evaluate`"
            )
    return problems
