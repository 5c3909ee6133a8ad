"""Files that appear under their own name whole or not at all, and writers of the common kinds.

What is written lies beside its target under a name that ends in .partial until it is whole. It is
not synced to the disk: a killed process leaves no half file under a final name, a power cut may.
"""

import csv
import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Table


@contextmanager
def whole_file(path: Path | str, shared: bool = False) -> Iterator[Path]:
    """Yields NAME.partial beside `path`, to be written; it gets its name when the block ends.

    shared : several processes may write `path` at the same time. Each then has a temporary file
        of its own, and the last to end wins; else the one that a killed process left is written
        anew
    The folder is made. After an error neither the partial file nor a new `path` is there; a file
    that `path` named before stays as it was.
    """
    ending = f".{secrets.token_hex(4)}.partial" if shared else ".partial"
    with _renamed([Path(path)], ending) as (partial,):
        yield partial


@contextmanager
def whole_files(*paths: Path | str) -> Iterator[list[Path]]:
    """The same for files that belong together: yields a temporary path beside each of `paths`.

    The last is the key file, whose presence says that the others are there. It gets its name last,
    and one of before is removed first: it never stands beside files of another run.
    """
    with _renamed([Path(path) for path in paths], ".partial") as partials:
        yield partials


@contextmanager
def _renamed(targets: list[Path], ending: str) -> Iterator[list[Path]]:
    partials = [target.with_name(target.name + ending) for target in targets]
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partials
        if len(targets) > 1:
            targets[-1].unlink(missing_ok=True)
        for partial, target in zip(partials, targets, strict=True):
            partial.replace(target)
    finally:
        for partial in partials:
            partial.unlink(missing_ok=True)


def write_bytes(content: bytes, path: Path | str) -> None:
    """Write `content` as it is."""
    with whole_file(path) as partial:
        partial.write_bytes(content)


def write_text(text: str, path: Path | str) -> None:
    """Write `text` in UTF-8."""
    write_bytes(text.encode(), path)


def write_json(
    content: Any, path: Path | str, *, indent: int | None = 1, allow_nan: bool = True
) -> None:
    """Write `content` as JSON, a line end after it.

    allow_nan : write NaN as such, which only Python reads; else a ValueError is raised
    """
    write_text(json.dumps(content, indent=indent, allow_nan=allow_nan) + "\n", path)


def write_rows(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    path: Path | str,
    line_end: str = "\r\n",
) -> None:
    """Write a comma-separated table, the names of its columns in the first line."""
    with whole_file(path) as partial, open(partial, "w", newline="") as stream:
        writer = csv.writer(stream, lineterminator=line_end)
        writer.writerow(columns)
        writer.writerows(rows)


def write_csv(table: "pd.DataFrame", path: Path | str, float_format: str | None = None) -> None:
    """Write `table` without its index as comma-separated values."""
    with whole_file(path) as partial:
        table.to_csv(partial, index=False, float_format=float_format)


def write_parquet(table: "pd.DataFrame", path: Path | str) -> None:
    """Write `table` without its index as Parquet."""
    with whole_file(path) as partial:
        table.to_parquet(partial, index=False)


def write_ecsv(table: "Table", path: Path | str) -> None:
    """Write an astropy table as ECSV, which keeps units, descriptions and meta data."""
    with whole_file(path) as partial:
        table.write(partial, format="ascii.ecsv", overwrite=True)
