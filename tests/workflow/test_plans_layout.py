"""Paths stand in the layout alone: rules make what it names, and name nothing themselves."""

import re

import yaml

from lenshunt.config import Layout, load_models, parse_config
from lenshunt.core import ROOT

RULES = {path.name: path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk")}


def demo_layout() -> Layout:
    config = parse_config(yaml.safe_load((ROOT / "config" / "config.yaml").read_text()))
    return Layout(config, load_models(config))


def test_every_file_that_the_demo_makes_is_named_by_the_layout(checkout):
    named = [
        path
        for product in demo_layout().templates().values()
        for path in (product, product.with_suffix(".pdf"), product.with_suffix(".tex"))
    ]
    patterns = [re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))) for path in named]
    table = checkout.snakemake("--summary", "--configfile", "config/config.yaml")
    made = re.findall(r"^(results/\S+)\t[^\t]*\t(\w+)\t", table, re.MULTILINE)
    assert len(made) > 200
    strangers = [
        path
        for path, rule in made
        # raw files have the names of their official formats
        if not rule.startswith("demo_") and not any(p.fullmatch(path) for p in patterns)
    ]
    assert strangers == []


def test_every_product_of_the_layout_is_used_by_a_rule():
    used = set(re.findall(r"LAYOUT\.(\w+)", "\n".join(RULES.values())))
    assert set(demo_layout().templates()) - used == set()


def test_no_rule_file_names_a_product_by_its_path():
    file = re.compile(r'"[^"\n]*[\w}]\.(parquet|h5|tif|ckpt|csv|ecsv|png|pdf|tex|log|tsv)"')
    assert {name: found[0] for name, text in RULES.items() if (found := file.search(text))} == {}
    assert not any("CONFIG.results" in text for text in RULES.values())
