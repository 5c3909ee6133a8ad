"""The values of the shipped configurations, to change and to check."""

from pathlib import Path

import yaml

from lenshunt.config import check_config, load_models, parse_config
from lenshunt.core import ROOT


def values_of(path: Path = ROOT / "config" / "config.yaml") -> dict:
    return yaml.safe_load(path.read_text())


def check(values: dict) -> None:
    config = parse_config(values)
    check_config(config, load_models(config))
