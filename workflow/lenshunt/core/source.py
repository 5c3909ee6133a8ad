"""Facts that stand in the library's own source, read without running it, and torch with it.

A run is planned and a configuration checked in seconds, by what networks say of themselves in the
bodies of their classes. Such a fact is a literal: what is computed is no fact, and an error here.
"""

import ast
from functools import cache
from pathlib import Path
from typing import Any

from lenshunt.core.paths import LIBRARY


def module_value(module: str, name: str) -> Any:
    """The literal that `module` of the library (lenshunt.models.registry) assigns to `name`.

    Raises ValueError naming the file where there is none, or one that has to be computed.
    """
    path = _path_of(module)
    return _literal(_assigned(_parsed(path).body, name), name, path)


def class_value(dotted: str, name: str) -> Any:
    """The same of the body of a class (lenshunt.models.resnet.ResNet), or of its nearest base."""
    for body, path in _bodies(dotted):
        value = _assigned(body, name)
        if value is not None:
            return _literal(value, name, path)
    raise ValueError(f"{dotted} says nothing of {name}; give it a value in the body of the class")


def arguments(dotted: str) -> dict[str, dict[str, Any]]:
    """Arguments of a class that are given by name, and for each those of the class it is of.

    The keyword-only ones of `__init__`; of a dataclass, which has none, its fields. What is of no
    class of the library has none: {"backbone": {"widths": {}, "depths": {}}, "dropout": {}}.
    """
    (body, path), *_ = _bodies(dotted)
    for statement in body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            found = [(one.arg, one.annotation) for one in statement.args.kwonlyargs]
            break
    else:
        fields = [one for one in body if isinstance(one, ast.AnnAssign)]
        found = [(ast.unparse(one.target), one.annotation) for one in fields]
    return {name: _arguments_of(annotation, path) for name, annotation in found}


def _arguments_of(annotation: ast.expr | None, path: Path) -> dict[str, Any]:
    dotted = _class_named(annotation.id, path) if isinstance(annotation, ast.Name) else None
    return arguments(dotted) if dotted else {}


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def _path_of(module: str) -> Path:
    path = LIBRARY.parent.joinpath(*module.split(".")).with_suffix(".py")
    if not path.is_file():
        raise ValueError(f"no module {module} in {LIBRARY}")
    return path


def _module_of(path: Path) -> str:
    return ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts)


def _class_named(name: str, path: Path) -> str | None:
    """Where the class that a file of the library calls `name` is; None for one of elsewhere."""
    for statement in _parsed(path).body:
        if isinstance(statement, ast.ClassDef) and statement.name == name:
            return f"{_module_of(path)}.{name}"
        if isinstance(statement, ast.ImportFrom) and statement.module:
            for alias in statement.names:
                ours = statement.module.split(".")[0] == LIBRARY.name
                if ours and (alias.asname or alias.name) == name:
                    return f"{statement.module}.{alias.name}"
    return None


def _bodies(dotted: str) -> list[tuple[list[ast.stmt], Path]]:
    """Bodies of a class and of the classes of the library below it, nearest first.

    Depth first, which is Python's own order where no two bases share one of their own.
    Raises ValueError where the class is not there.
    """
    module, _, name = dotted.rpartition(".")
    path = _path_of(module)
    for statement in _parsed(path).body:
        if isinstance(statement, ast.ClassDef) and statement.name == name:
            bases = [base.id for base in statement.bases if isinstance(base, ast.Name)]
            below = [_class_named(base, path) for base in bases]
            return [(statement.body, path), *(b for one in below if one for b in _bodies(one))]
    raise ValueError(f"{path}: no class {name}")


def _assigned(body: list[ast.stmt], name: str) -> ast.expr | None:
    """What is assigned to `name` in a body; None where nothing is."""
    for statement in body:
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        if any(isinstance(one, ast.Name) and one.id == name for one in targets):
            return statement.value  # type: ignore[attr-defined]
    return None


def _literal(value: ast.expr | None, name: str, path: Path) -> Any:
    if value is None:
        raise ValueError(f"{path}: {name} has no value")
    try:
        return ast.literal_eval(value)
    except ValueError:
        raise ValueError(
            f"{path}:{value.lineno}: {name} is read without running the file; write it as a "
            f"literal, not as {ast.unparse(value)}"
        ) from None
