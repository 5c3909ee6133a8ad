"""Lenses made while training: what does not fit together is told before any job is planned."""

import pytest
from config_values import check, values_of

from lenshunt.config import ConfigError


def with_online(**online) -> dict:
    """The demo with online lenses on the galaxies that it pretrains on."""
    values = values_of()
    values["experiments"]["ground"]["online"] = {"hosts": ["galaxiesml"], **online}
    return values


def test_galaxies_of_a_pretraining_may_carry_online_lenses():
    values = with_online(share=0.3)
    check(values)
    values["experiments"]["ground"]["online"] = None
    check(values)


@pytest.mark.parametrize(
    "hosts, problem",
    [
        ("absent", r"'absent' is not defined; known: .*galaxiesml"),
        ("relics", "relics is not made on grid ground; add it to its grids"),
        ("castles", "castles holds lenses only; name a data set of galaxies"),
        ("smacs0723", "smacs0723 has role search, and what is searched is never trained on"),
        ("sdss", "sdss is evaluated as a data set that was not trained on"),
    ],
)
def test_hosts_that_cannot_be_are_refused(hosts, problem):
    with pytest.raises(ConfigError, match=rf"experiments.ground.online.hosts: {problem}"):
        check(with_online(hosts=[hosts]))


def test_lenses_cannot_be_painted_on_injected_lenses():
    values = with_online(hosts=["painted"])
    values["datasets"]["painted"] = {
        "reader": "injection", "survey": "hsc", "grids": ["ground"], "hosts": "galaxiesml",
    }  # fmt: skip
    with pytest.raises(ConfigError, match="painted holds injected lenses itself"):
        check(values)


@pytest.mark.parametrize(
    "source, problem",
    [
        ("absent", "'absent' is not defined"),
        ("castles", "castles .* is no data set of HST galaxies"),
        ("galaxiesml", "galaxiesml .* is no data set of HST galaxies"),
        ("smacs0723", "smacs0723 has role search"),
    ],
)
def test_sources_that_cannot_be_are_refused(source, problem):
    with pytest.raises(ConfigError, match=rf"experiments.ground.online.sources: {problem}"):
        check(with_online(sources=[source]))


@pytest.mark.parametrize("model", ["gat_lens", "color_aware_lens_narrow"])
def test_models_that_read_segments_are_refused_beside_online_lenses(model):
    values = with_online()
    values["experiments"]["ground"]["models"] = ["resnet18", model]
    values["segments"] = {"enabled": True}
    with pytest.raises(ConfigError, match=rf"experiments.ground.models: {model} .*made online"):
        check(values)
    values["experiments"]["ground"]["online"] = None
    check(values)


@pytest.mark.parametrize("online", [False, True])
def test_models_that_read_segments_are_refused_where_none_are_made(online):
    values = with_online()
    if not online:
        values["experiments"]["ground"]["online"] = None
    values["experiments"]["ground"]["models"] = ["gat_lens"]
    values["segments"] = {"enabled": False}
    with pytest.raises(ConfigError, match=r"segments.enabled: false, but experiments.ground"):
        check(values)


@pytest.mark.parametrize(
    "key, value", [("share", 0.0), ("share", 1.0), ("lens_fraction", 1.0), ("snr_min", 0.0)]
)
def test_fractions_lie_between_nothing_and_all(key, value):
    with pytest.raises(ConfigError, match=rf"experiments.ground.online.{key}.*found {value}"):
        check(with_online(**{key: value}))


def test_a_host_listed_twice_is_refused():
    with pytest.raises(ConfigError, match=r"hosts: an entry is listed twice"):
        check(with_online(hosts=["galaxiesml", "galaxiesml"]))
