"""Checks of injected data sets against the data sets that they are made of."""

from collections.abc import Mapping

from lenshunt.config.datasets import Dataset
from lenshunt.config.injection import InjectionDataset
from lenshunt.config.root import Config


def check_injection(config: Config) -> list[str]:
    """What does not fit together, by key, with its remedy."""
    problems: list[str] = []
    for name, dataset in config.datasets.items():
        if isinstance(dataset, InjectionDataset):
            problems += _hosts(name, dataset, config.datasets)
            key = f"datasets.{name}.sources"
            problems += source_problems(key, dataset.sources, config.datasets)
            problems += _values(name, dataset)
    return problems


def _known(datasets: Mapping[str, Dataset]) -> str:
    return ", ".join(sorted(n for n, d in datasets.items() if d.reader != "injection")) or "none"


def _hosts(name: str, dataset: InjectionDataset, datasets: Mapping[str, Dataset]) -> list[str]:
    key = f"datasets.{name}"
    hosts = datasets.get(dataset.hosts)
    if hosts is None:
        return [f"{key}.hosts: {dataset.hosts!r} is not defined; known: {_known(datasets)}"]
    if isinstance(hosts, InjectionDataset):
        return [
            f"{key}.hosts: {dataset.hosts} holds injected lenses itself; name the data set of its "
            f"galaxies ({hosts.hosts})"
        ]
    problems = []
    if hosts.role == "search":
        problems.append(
            f"{key}.hosts: {dataset.hosts} has role search, and what is searched is never trained "
            "on; name a data set of role pretrain or negatives"
        )
    if hosts.lenses_only:
        problems.append(
            f"{key}.hosts: {dataset.hosts} holds lenses only; name a data set of galaxies"
        )
    if hosts.survey != dataset.survey:
        problems.append(
            f"{key}.survey: {dataset.survey}, but its hosts ({dataset.hosts}) are of "
            f"{hosts.survey}; give the survey of the hosts"
        )
    if "chunks" in dataset.model_fields_set and dataset.chunks != hosts.chunks:
        problems.append(
            f"{key}.chunks: {dataset.chunks}, but its hosts ({dataset.hosts}) are in "
            f"{hosts.chunks}; leave the key out, it follows the hosts"
        )
    return problems


def source_problems(key: str, names: list[str], datasets: Mapping[str, Dataset]) -> list[str]:
    """Data sets `names` of `key` whose galaxies cannot be lensed."""
    problems = []
    for source in names:
        section = datasets.get(source)
        if section is None:
            problems.append(f"{key}: {source!r} is not defined; known: {_known(datasets)}")
        elif (
            section.survey.split("_")[0] != "hst"
            or section.lenses_only
            or section.reader == "injection"
        ):
            problems.append(
                f"{key}: {source} (reader {section.reader}, survey {section.survey}) is no data "
                "set of HST galaxies, sharp enough to be lensed; name one (reader hst_galaxies), "
                "or none for clumpy Sersic galaxies"
            )
        elif section.role == "search":
            problems.append(
                f"{key}: {source} has role search, and what is searched is never trained on; "
                "name a data set of another role"
            )
    return problems


def _values(name: str, dataset: InjectionDataset) -> list[str]:
    low, high = dataset.theta_e_arcsec
    problems = []
    if not 0 <= low < high:
        problems.append(
            f"datasets.{name}.theta_e_arcsec: [{low}, {high}] is no range; give a smaller and a "
            "larger radius"
        )
    if dataset.made_by is not None:
        problems.append(
            f"datasets.{name}.made_by: {dataset.made_by}, but injected lenses have no raw files; "
            "leave the key out"
        )
    return problems
