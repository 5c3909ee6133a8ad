"""What all configuration sections share: unknown keys are errors, values cannot change."""

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator


class ConfigError(ValueError):
    """The configuration cannot be run; the text names each key and what it allows."""


class Strict(BaseModel):
    """A configuration section; a key that is not defined here is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Fractions(Strict):
    """Fractions by kind, which sum to 1."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        total = sum(self.model_dump().values())
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"the fractions sum to {total:g}, not to 1; change one of them")
        return self


def refuse_repeats(section: Strict, keys: tuple[str, ...]) -> None:
    """Raise ValueError where a list under one of `keys` has an entry twice."""
    for key in keys:
        values = getattr(section, key)
        if len(set(values)) < len(values):
            raise ValueError(f"{key}: an entry is listed twice in {values}")


def undefined(key: str, name: str | None, known: Mapping[str, object]) -> list[str]:
    """The problem of `key` naming what is not in `known`; empty where it is, or none is named."""
    if name is None or name in known:
        return []
    return [f"{key}: {name!r} is not defined; known: {', '.join(sorted(known)) or 'none'}"]


def sentences(error: ValidationError, where: str) -> str:
    """One line per bad key: where, the key, what it allows, and what was found."""
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        found = "" if item["type"] == "missing" else f" (found {item['input']!r})"
        lines.append(f"{where}: {key}: {item['msg']}{found}")
    return "\n".join(lines)
