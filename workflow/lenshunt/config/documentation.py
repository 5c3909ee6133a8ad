"""JSON schemas and config/README.md, generated from the typed definitions."""

import json
from pathlib import Path
from typing import Any

from lenshunt.config.models import ModelConfig
from lenshunt.config.root import Config
from lenshunt.core import write_json, write_text

INTRODUCTION = """# Configuration

One YAML file describes a run: `config/config.yaml` is the demo, `config/paper.yaml` the full scale.
Name another with `snakemake --configfile FILE`. Unknown keys, and sections that do not fit
together, are refused before any job runs, with the key and what it allows.

To add your own images, copy the `datasets.sdss` section (any FITS cutouts) or `datasets.smacs0723`
(a field image with its catalogue), give it `role: search`, and name it under `search`.

This page and `config/schemas/*.json` are made from the code by `make schemas`.
"""


def schemas() -> dict[str, dict[str, Any]]:
    """JSON schema by file name, for config/*.yaml and config/models/*.yaml."""
    return {
        "config.schema.json": Config.model_json_schema(),
        "model.schema.json": ModelConfig.model_json_schema(),
    }


def _type_text(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return f"section [{field['$ref'].split('/')[-1]}]"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "anyOf" in field or "oneOf" in field:
        return " or ".join(_type_text(item) for item in field.get("anyOf") or field["oneOf"])
    if field.get("type") == "array":
        return f"list of {_type_text(field['items'])}" if "items" in field else "list"
    if field.get("type") == "object":
        values = field.get("additionalProperties")
        return f"NAME: {_type_text(values)}" if isinstance(values, dict) else "mapping"
    return {"null": "none"}.get(field.get("type", ""), field.get("type", "any"))


def _bounds(field: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return "".join(f", {sign} {field[key]:g}" for key, sign in signs.items() if key in field)


def _default_text(name: str, field: dict[str, Any], required: list[str]) -> str:
    if name in required:
        return "required"
    if isinstance(field.get("default"), dict) and len(str(field["default"])) > 60:
        return "see its section"
    return f"`{json.dumps(field.get('default'))}`"


def _section(title: str, schema: dict[str, Any]) -> str:
    lines = [f"## {title}", "", schema.get("description", ""), ""]
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, field in schema.get("properties", {}).items():
        meaning = field.get("description", "").replace("\n", " ").replace("|", "\\|")
        default = _default_text(name, field, schema.get("required", []))
        lines.append(f"| `{name}` | {_type_text(field)}{_bounds(field)} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def readme() -> str:
    """Text of config/README.md: every key of every section."""
    parts = [INTRODUCTION]
    for file_name, schema in schemas().items():
        title = "config/*.yaml" if file_name.startswith("config") else "config/models/NAME.yaml"
        parts.append(_section(title, schema))
        parts += [_section(name, part) for name, part in sorted(schema.get("$defs", {}).items())]
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
