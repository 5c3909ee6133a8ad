"""Digest of the code that a job can reach, so that a job runs again when that code has changed.

Snakemake sees the script of a rule and nothing of the library behind it. A rule therefore carries
`code_digest(SCRIPT, ...)` among its `params`: a hash of the script and of every module that it can
reach by its imports, lazy ones included, and of the fact tables in `resources/` that these read.
Hashed are syntax trees without docstrings: comments, docstrings and formatting change nothing.

Three things are followed by name:

- `from lenshunt.room import name` reaches the module that defines `name`, not its whole room:
  the imports of a room's `__init__.py` (and of its stub `__init__.pyi`, where the room is lazy)
  only hand names on.
- A registry, a dict whose values are dotted names of the library, reaches all that it names, or,
  where some of its keys are asked for, just these.
- A string that is the name of a file or folder in `resources/` reaches that, in modules that
  import `RESOURCES`.
"""

import ast
import hashlib
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from lenshunt.core.paths import LIBRARY, RESOURCES

PACKAGE = "lenshunt"


@dataclass(frozen=True)
class Source:
    """What one file of code says of others, and the digest of what it says itself.

    imports : (module, name) of each `from module import name`; name is None for `import module`
    exports : (module, name) of each name that a room hands on, by the name it has there
    registries : its dicts of dotted names of the library
    strings : all other string constants
    """

    digest: str
    imports: tuple[tuple[str, str | None], ...]
    exports: dict[str, tuple[str, str]]
    registries: tuple[dict[str, str], ...] = ()
    strings: frozenset[str] = field(default_factory=frozenset)


def code_digest(entry: Path | str, keys: Collection[str] = ()) -> str:
    """Digest of a script or module and of all code of the library that it can reach.

    entry : path of a script, or dotted name of a module of the library
    keys : entries of registries that the job takes; a registry that has none of them is followed
        whole
    Raises FileNotFoundError where there is no such script, ValueError naming script and module
    where an import of the library leads nowhere.
    """
    return _digest(entry, frozenset(keys))


@cache
def _digest(entry: Path | str, keys: frozenset[str]) -> str:
    digest = hashlib.sha256(_source(entry).digest.encode())
    modules, facts = reachable(entry, keys)
    for module in sorted(modules):
        digest.update(f"{module}:{_source(module).digest}".encode())
    for name in sorted(facts):
        digest.update(f"{name}:{_bytes_digest(RESOURCES / name)}".encode())
    return digest.hexdigest()[:16]


def reachable(entry: Path | str, keys: Collection[str] = ()) -> tuple[set[str], set[str]]:
    """Modules of the library, and files of `resources/`, that a script or module can reach.

    entry, keys : as in `code_digest`
    """
    modules: set[str] = set()
    facts: set[str] = set()
    waiting = [_source(entry)]
    while waiting:
        source = waiting.pop()
        if (f"{PACKAGE}.core", "RESOURCES") in source.imports:
            facts |= {file for text in source.strings for file in _fact_files().get(text, ())}
        for module in _neighbours(source, frozenset(keys), str(entry)) - modules:
            modules.add(module)
            waiting.append(_source(module))
    return modules, facts


def imported_modules(module: str) -> set[str]:
    """Modules of the library that one module imports, wherever in it the statement stands."""
    return _imported(_source(module), module) - {module}


def all_modules() -> list[str]:
    """Dotted names of all modules of the library."""
    return sorted(
        ".".join((PACKAGE, *path.relative_to(LIBRARY).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        for path in LIBRARY.rglob("*.py")
    )


def _source(entry: Path | str) -> Source:
    """What a script, or a module by its dotted name, says."""
    if isinstance(entry, Path):
        return _read(entry, "")
    path = _path_of(entry)
    return _read(path, entry if path.name == "__init__.py" else entry.rpartition(".")[0])


def _neighbours(source: Source, keys: frozenset[str], where: str) -> set[str]:
    """Modules that a piece of code imports, or names in registries and other strings."""
    found = _imported(source, where)
    for registry in source.registries:
        chosen = keys & set(registry) or set(registry)
        found |= {home for key in chosen if (home := _named(registry[key]))}
    return found | {home for text in source.strings if (home := _named(text))}


def _imported(source: Source, where: str) -> set[str]:
    found: set[str] = set()
    for module, name in source.imports:
        home = _home(module, name)
        if home is None:
            raise ValueError(f"{where}: {module} is no module of the library")
        found |= _whole(home) if home == module and name is None else {home}
    return found


def _whole(module: str) -> set[str]:
    """A module that is imported itself, and where it is a room all that it hands on."""
    path = _path_of(module)
    handed_on = _read(path, module).exports.values() if path.name == "__init__.py" else ()
    return {module, *(home for entry in handed_on if (home := _home(*entry)))}


def _home(module: str, name: str | None) -> str | None:
    """The module that `from module import name` takes its code from."""
    if name is not None and _path_of(f"{module}.{name}").exists():
        # Where a room hands on a function by the name of its module, both are one file.
        return f"{module}.{name}"
    path = _path_of(module)
    if not path.exists():
        return None
    if name is not None and path.name == "__init__.py":
        handed_on = _read(path, module).exports.get(name)
        if handed_on is not None:
            return _home(*handed_on)
    return module


def _named(text: str) -> str | None:
    """The module of a dotted name of the library, of a module or of something in it."""
    if not text.startswith(f"{PACKAGE}.") or not text.replace(".", "").isidentifier():
        return None
    module, _, name = text.rpartition(".")
    return text if _path_of(text).exists() else _home(module, name)


def _path_of(module: str) -> Path:
    """Where a module lies; the path need not exist."""
    base = LIBRARY.joinpath(*module.split(".")[1:])
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


@cache
def _read(path: Path, package: str) -> Source:
    tree = ast.parse(path.read_bytes(), filename=str(path))
    exports = {
        alias.asname or alias.name: (_absolute(node, package), alias.name)
        for stub in (tree, *_stub_of(path))
        for node in stub.body
        if isinstance(node, ast.ImportFrom) and _absolute(node, package).startswith(PACKAGE)
        for alias in node.names
    }
    nodes = list(_without_words(tree))
    registries = [
        registry for node in nodes if isinstance(node, ast.Dict) and (registry := _registry(node))
    ]
    listed = {name for registry in registries for name in registry.values()}
    strings = {
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return Source(
        digest=hashlib.sha256(ast.unparse(tree).encode()).hexdigest(),
        # The imports of a room's face only hand names on, so that they are followed by name.
        imports=() if path.name == "__init__.py" else tuple(_imports(nodes, package)),
        exports=exports,
        registries=tuple(registries),
        strings=frozenset(strings - listed),
    )


def _stub_of(path: Path) -> list[ast.Module]:
    stub = path.with_suffix(".pyi")
    return [ast.parse(stub.read_bytes(), filename=str(stub))] if stub.exists() else []


def _registry(node: ast.Dict) -> dict[str, str]:
    """A dict of strings to dotted names of the library; empty for any other dict."""
    found = {
        key.value: value.value
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant)
        and isinstance(key.value, str)
        and isinstance(value, ast.Constant)
        and isinstance(value.value, str)
        and _named(value.value)
    }
    return found if len(found) == len(node.keys) else {}


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parents = package.split(".")
    start = parents[: len(parents) - node.level + 1]
    return ".".join([*start, *([node.module] if node.module else [])])


def _imports(nodes: Iterable[ast.AST], package: str) -> Iterator[tuple[str, str | None]]:
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            module = _absolute(node, package)
            if module.split(".")[0] == PACKAGE:
                yield from ((module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (
                (alias.name, None) for alias in node.names if alias.name.split(".")[0] == PACKAGE
            )


def _without_words(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes of a tree, out of which docstrings and imports for type checkers are taken."""
    waiting: deque[ast.AST] = deque([tree])
    while waiting:
        node = waiting.popleft()
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _says_nothing(part)] or [ast.Pass()]  # type: ignore[attr-defined]
        waiting.extend(ast.iter_child_nodes(node))
        yield node


def _says_nothing(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
        and not node.orelse
    )


@cache
def _fact_files() -> dict[str, tuple[str, ...]]:
    """Files of `resources/` by what code may call them: their own name or that of a folder."""
    found: dict[str, list[str]] = {}
    for path in sorted(p for p in RESOURCES.rglob("*") if p.is_file()):
        within = path.relative_to(RESOURCES)
        for name in within.parts:
            found.setdefault(name, []).append(within.as_posix())
    return {name: tuple(files) for name, files in found.items()}


def _bytes_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
