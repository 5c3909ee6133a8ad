"""JSON schemas and config/README.md, generated from the typed definitions and shipped files."""

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml

from lenshunt.config.dataset_section import DatasetSection
from lenshunt.config.datasets import SECTIONS
from lenshunt.config.model_files import MODEL_FOLDER
from lenshunt.config.models import ModelConfig
from lenshunt.config.root import Config
from lenshunt.core import ROOT, write_json, write_text
from lenshunt.schema import metadata

INTRODUCTION = """# Configuration

One YAML file describes a run; name it with `snakemake --configfile FILE`. `config/config.yaml` is
the demo, `config/study.yaml` and `config/seeing.yaml` compare the networks, `config/paper.yaml` is
the full scale.

For a survey of your own copy `config/survey.yaml` and change the lines marked `yours`. It reads
FITS cutouts; for field images with a catalogue, give its data sets [`reader: field`](#{field}).

Unknown keys, and sections that do not fit together, are refused before any job runs, with the key
and what it allows; `python -m lenshunt check FILE` tells the same without a run.

Sections stand here in the order of the file; NAME is a name that you choose. A key is marked
*rarely needed* where it has a default and no file of this folder sets it.

This page and `config/schemas/*.json` are made from the code and from those files by `make schemas`.
"""

SOURCES_TITLE = "Sources of labels"

#: A part of a JSON schema, or of a YAML file.
Values = dict[str, Any]


def schemas() -> dict[str, Values]:
    """JSON schema by file name, for config/*.yaml and config/models/*.yaml."""
    return {
        "config.schema.json": Config.model_json_schema(),
        "model.schema.json": ModelConfig.model_json_schema(),
    }


def _reader_title(reader: str) -> str:
    return f"`datasets.NAME` with `reader: {reader}`"


def _anchor(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _link(title: str) -> str:
    return f"[{title}](#{_anchor(title)})"


def _type_text(field: Values, path: str) -> str:
    """What a key may hold; sections are linked. path : of the key, as in the headings"""
    if "$ref" in field or "discriminator" in field:
        return f"section {_link(f'`{path}`')}"
    if field.get("enum") == list(metadata.LABEL_SOURCES):
        return f"one of the {_link(SOURCES_TITLE)}"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "anyOf" in field:
        return " or ".join(_type_text(item, path) for item in field["anyOf"])
    if field.get("type") == "array":
        return f"list of {_type_text(field['items'], path)}" if "items" in field else "list"
    if field.get("type") == "object":
        values = field.get("additionalProperties")
        if not isinstance(values, dict):
            return "mapping"
        return f"NAME: {_type_text(values, f'{path}.NAME')}"
    kind: str = field.get("type", "any")
    return "none" if kind == "null" else kind


def _bounds(field: Values) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return "".join(f", {sign} {field[key]:g}" for key, sign in signs.items() if key in field)


def _default_text(field: Values, required: bool) -> str:
    if required:
        return "required"
    if isinstance(field.get("default"), dict) and len(str(field["default"])) > 60:
        return "see its section"
    return f"`{json.dumps(field.get('default'))}`"


def _definition(ref: str, defs: Values) -> Values:
    found: Values = defs[ref.split("/")[-1]]
    return found


def _meaning(field: Values, defs: Values) -> str:
    """What a key is for: its own words, else the first of those of its section."""
    text = field.get("description", "")
    if not text and "$ref" in field:
        text = _definition(field["$ref"], defs)["description"].split("\n\n")[0]
    return text.replace("\n", " ").replace("|", "\\|")


def _section(
    heading: str,
    path: str,
    schema: Values,
    files: list[Values],
    defs: Values,
    leave_out: Collection[str] = (),
) -> str:
    """A heading, what the section is, and the table of its keys.

    path : of its keys, as in the headings; files : this section in each shipped file that has it;
    leave_out : keys that are told elsewhere
    """
    lines = [heading, "", schema["description"], ""]
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, field in schema["properties"].items():
        if name in leave_out:
            continue
        required = name in schema.get("required", [])
        rare = files and not required and not any(name in values for values in files)
        meaning = f"{'*Rarely needed.* ' if rare else ''}{_meaning(field, defs)}"
        kind = _type_text(field, f"{path}{name}") + _bounds(field)
        lines.append(f"| `{name}` | {kind} | {_default_text(field, required)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _within(path: str, schema: Values, files: list[Values], defs: Values) -> Iterator[str]:
    """The sections that a section has under its keys, each followed by those within it."""
    for name, field in schema["properties"].items():
        found = [values[name] for values in files if values.get(name) is not None]
        yield from _under(f"{path}{name}", field, found, defs)


def _under(path: str, field: Values, found: list[Any], defs: Values) -> Iterator[str]:
    """The sections that a key may hold. found : its values in the shipped files"""
    if "discriminator" in field:
        yield from _datasets(path, field["discriminator"]["mapping"], found, defs)
    elif "$ref" in field:
        schema = _definition(field["$ref"], defs)
        files = [values for values in found if isinstance(values, dict)]
        unused = "" if files else "\n\n*Rarely needed: no file of this folder has this section.*"
        level = "##" if path.removesuffix(".NAME") in Config.model_fields else "###"
        yield _section(f"{level} `{path}`{unused}", f"{path}.", schema, files, defs)
        yield from _within(f"{path}.", schema, files, defs)
    elif isinstance(field.get("additionalProperties"), dict):
        entries = [e for values in found if isinstance(values, dict) for e in values.values()]
        yield from _under(f"{path}.NAME", field["additionalProperties"], entries, defs)
    for item in field.get("anyOf", []):
        yield from _under(path, item, found, defs)


def _datasets(path: str, refs: dict[str, str], found: list[Values], defs: Values) -> Iterator[str]:
    """What all data sets have in common, then what each reader has beside it."""
    common = DatasetSection.model_json_schema()
    common["description"] = "Keys that every data set has. Those of its reader follow."
    shared = dict(common["properties"])
    links = ", ".join(f"[{reader}](#{_anchor(_reader_title(reader))})" for reader in SECTIONS)
    common["properties"]["reader"] = {
        **shared["reader"],
        "description": f"The raw format, or how the data set is made: {links}.",
    }
    yield _section(f"## `{path}`", f"{path}.", common, found, defs)
    for reader, section in SECTIONS.items():
        schema = _definition(refs[reader], defs)
        files = [values for values in found if values["reader"] == reader]
        same = [key for key, field in schema["properties"].items() if field == shared.get(key)]
        heading = f"### {_reader_title(reader)}"
        heading += "" if files else "\n\n*No file of this folder uses this reader.*"
        auto = "\n\nIts `survey` may be `auto`." if section.tells_survey else ""
        described = {**schema, "description": schema["description"] + auto}
        yield _section(heading, f"{path}.", described, files, defs, {*same, "reader"})
        yield from _within(f"{path}.", schema, files, defs)


def _shipped(folder: Path) -> list[Values]:
    return [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))]


def _with_variants(model: Values) -> Iterator[Values]:
    """The values of a model's file, then those of each of its variants."""
    yield model
    for variant in model.get("variants", {}).values():
        yield from _with_variants(variant)


def readme() -> str:
    """Text of config/README.md: every key of every section, in the order of the file."""
    config, model = schemas().values()
    configs = _shipped(ROOT / "config")
    models = [part for values in _shipped(MODEL_FOLDER) for part in _with_variants(values)]
    # keys of `training` are also set where they differ, for a model or a pretraining
    others = [*models, *(p for c in configs for p in c.get("pretraining", {}).values())]
    trainings = [{"training": part["training"]} for part in others if "training" in part]
    files = [*configs, *trainings]
    parts = [
        INTRODUCTION.format(field=_anchor(_reader_title("field"))),
        _section("## `config/*.yaml`", "", config, files, config["$defs"]),
        *_within("", config, files, config["$defs"]),
        _section("## `config/models/NAME.yaml`", "", model, models, model["$defs"]),
        *_within("", model, models, model["$defs"]),
        f"## {SOURCES_TITLE}\n",
        "\n".join(f"- `{source}`" for source in metadata.LABEL_SOURCES) + "\n",
    ]
    return "\n".join(parts)


def write_documentation(folder: Path | str) -> list[Path]:
    """Write schemas/*.json and README.md below `folder`; returns what was written."""
    root = Path(folder)
    written = []
    for name, schema in schemas().items():
        path = root / "schemas" / name
        write_json(schema, path, indent=2)
        written.append(path)
    write_text(readme(), root / "README.md")
    return [*written, root / "README.md"]
