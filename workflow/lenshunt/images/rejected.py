"""What could not be read: one table per chunk, one per data set, and the limit on both."""

import sys
from pathlib import Path

from astropy.table import Table, vstack

from lenshunt.core import write_ecsv
from lenshunt.schema import WHOLE_FILE, Rejected


def write_rejected(items: list[Rejected], n_objects: int, out: Path | str) -> None:
    """ECSV with raw_file, raw_index, reason; `n_objects` tried is kept in the table's meta."""
    table = Table(
        {
            "raw_file": [item.raw_file for item in items],
            "raw_index": [item.raw_index for item in items],
            "reason": [item.reason for item in items],
        },
        dtype=(str, "i8", str),
        meta={"n_objects": n_objects},
    )
    write_ecsv(table, out)


def merge_rejected(
    *, tables: list[str], out: str, fraction_max: float, name: str, files_of_many: int = 0
) -> None:
    """Join the rejection tables of all chunks of data set `name` into `out`.

    files_of_many : number of files of the data set that hold many objects each. One of them that
        cannot be opened is a single row, whatever it held, so the limit holds for them too.
    Raises ValueError when more than `fraction_max` of all objects, or of those files, was
    rejected; the list is then NAME.too_many.ecsv, for a failed job must not leave its output.
    """
    parts = [Table.read(path, format="ascii.ecsv") for path in tables]
    n_objects = sum(int(part.meta["n_objects"]) for part in parts)
    # An empty column is read back as numbers; text stays text however many rows there are.
    full = [part for part in parts if len(part)]
    for part in parts:
        part.meta.clear()
    empty = Table(names=("raw_file", "raw_index", "reason"), dtype=(str, "i8", str))
    merged = vstack(full) if full else empty
    merged.meta["n_objects"] = n_objects
    too_many = Path(out).with_name(f"{name}.too_many.ecsv")
    fault = _beyond_limit(merged, n_objects, fraction_max, files_of_many)
    if fault:
        write_ecsv(merged, too_many)
        raise ValueError(
            f"{name}: {fault}, more than datasets.{name}.rejected_fraction_max = "
            f"{fraction_max:g} allows. All are listed in {too_many}. {_examples(merged)} "
            "Repair or remove these files and run again, or raise the limit in the config"
        )
    too_many.unlink(missing_ok=True)
    write_ecsv(merged, out)
    if len(merged):
        # To the terminal too, where the output of the job goes to its log.
        for stream in {sys.stderr, sys.__stderr__ or sys.stderr}:
            print(
                f"{name}: {len(merged)} of {n_objects} raw objects were rejected, see {out}. "
                f"{_examples(merged)}",
                file=stream,
            )


def _beyond_limit(merged: Table, n_objects: int, fraction_max: float, files_of_many: int) -> str:
    """What is more than the limit allows; "" where nothing is."""
    if len(merged) > fraction_max * n_objects:
        return f"{len(merged)} of {n_objects} raw objects were rejected"
    broken = int((merged["raw_index"] == WHOLE_FILE).sum())
    if broken > fraction_max * files_of_many:
        return f"{broken} of {files_of_many} files with many objects each could not be opened"
    return ""


def _examples(merged: Table) -> str:
    """The first three reasons in one line."""
    rows = [str(reason) for reason in merged["reason"][:3]]
    return "First: " + "; ".join(rows) + "."
