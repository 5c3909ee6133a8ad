"""What an architecture says of itself, read from its file without importing it, and torch with it.

An architecture is one file of the room `models` and one line of its registry. What the rest of the
library has to know of it stands in the body of its class (`models.interface.LensNetwork`).
"""

from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from lenshunt.core.source import arguments, class_value, module_value


@dataclass(frozen=True)
class Facts:
    """Attributes of a network's class that checks and planning ask for: see `LensNetwork`."""

    needs_segments: bool
    renders: bool
    compiles: bool
    diagnostics: tuple[str, ...]


@cache
def architectures() -> dict[str, str]:
    """Where the class of each architecture is, by name: the registry of the room `models`."""
    return module_value("lenshunt.models.registry", "REGISTRY")


@cache
def facts_of(architecture: str) -> Facts:
    """Raises ValueError naming the file where one of them is not written as a literal."""
    where = architectures()[architecture]
    return Facts(**{field.name: class_value(where, field.name) for field in fields(Facts)})


def parameter_problems(architecture: str, parameters: dict[str, Any]) -> list[str]:
    """A sentence on each of `parameters` that the architecture does not take, by key."""
    known = arguments(architectures()[architecture])
    return _problems(parameters, known, "parameters", architecture)


def _problems(
    values: dict[str, Any], known: dict[str, Any], key: str, architecture: str
) -> list[str]:
    problems: list[str] = []
    for name, value in values.items():
        if name not in known:
            problems.append(
                f"{key}.{name}: {architecture} has no such parameter; {key} takes "
                f"{', '.join(known)}"
            )
        elif isinstance(value, dict) != bool(known[name]):
            wanted = f"a group of {', '.join(known[name])}" if known[name] else "a single value"
            problems.append(f"{key}.{name}: found {value!r}; {architecture} wants {wanted}")
        elif isinstance(value, dict):
            problems += _problems(value, known[name], f"{key}.{name}", architecture)
    return problems
