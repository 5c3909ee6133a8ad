"""config/README.md and the JSON schemas: in step with the code, every key once, in order."""

import json
import re

import pytest

from lenshunt.__main__ import NEXT_STEPS
from lenshunt.config import Config
from lenshunt.config.dataset_section import DatasetSection
from lenshunt.config.datasets import SECTIONS
from lenshunt.config.documentation import readme, schemas
from lenshunt.core import ROOT

PAGE = (ROOT / "config" / "README.md").read_text()


def section(title: str) -> str:
    """What the page says under a heading."""
    return re.split(r"(?m)^#+ ", PAGE.partition(f" {title}\n")[2])[0]


def test_schemas_and_readme_are_in_step_with_the_code():
    for name, schema in schemas().items():
        assert json.loads((ROOT / "config" / "schemas" / name).read_text()) == schema
    assert (ROOT / "config" / "README.md").read_text() == readme()


def test_every_key_is_explained():
    undocumented = []
    for schema in schemas().values():
        sections = {"top": schema, **schema.get("$defs", {})}
        for title, section in sections.items():
            for key, field in section.get("properties", {}).items():
                if "description" not in field and "$ref" not in field:
                    undocumented.append(f"{title}.{key}")
    assert undocumented == []


def test_sections_stand_in_the_order_of_the_file():
    told = re.findall(r"(?m)^## `(\w+)(?:\.NAME)?`$", PAGE)
    assert told == [key for key in Config.model_fields if key in told]
    assert {"demo", "grids", "datasets", "splits", "training", "clusters"} <= set(told)


def test_every_link_of_the_page_leads_to_one_heading():
    titles = re.findall(r"(?m)^#+ (.*)$", PAGE)
    anchors = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    assert len(set(anchors)) == len(anchors)
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= set(anchors)


def test_keys_of_every_data_set_are_told_once():
    common = section("`datasets.NAME`")
    for key in DatasetSection.model_fields:
        assert f"| `{key}` |" in common
        # a reader tells only of what is different with it
        for reader in set(SECTIONS) - {"galaxy_zoo", "injection"}:
            assert f"| `{key}` |" not in section(f"`datasets.NAME` with `reader: {reader}`")


def test_keys_that_no_shipped_file_sets_are_rarely_needed():
    splits = section("`splits`")
    assert re.search(r"`folds` .*\*Rarely needed\.\*", splits)
    assert not re.search(r"`train` .*\*Rarely needed\.\*", splits)
    # only a model's file sets this key of `training`
    assert not re.search(r"`noise_augmentation` .*\*Rarely needed\.\*", section("`training`"))
    assert "*Rarely needed: no file" in section("`quality`")
    assert "*No file of this folder uses" in section("`datasets.NAME` with `reader: stamps`")


@pytest.mark.parametrize("text", [PAGE, (ROOT / "README.md").read_text(), NEXT_STEPS])
def test_all_pages_name_the_same_file_to_copy(text):
    copied = re.findall(r"copy\W+(?:config/)?([\w/]+\.yaml)", text, flags=re.IGNORECASE)
    assert [name.removeprefix("config/") for name in copied] == ["survey.yaml"]
    assert "yours" in (ROOT / "config" / "survey.yaml").read_text()
