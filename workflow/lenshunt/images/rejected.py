"""What could not be read: one table per chunk, one per data set, and the limit on both."""

from pathlib import Path

from astropy.table import Table, vstack

from lenshunt.records import Rejected


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
    _write(table, out)


def _write(table: Table, out: Path | str) -> None:
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    table.write(partial, format="ascii.ecsv", overwrite=True)
    partial.replace(path)


def merge_rejected(*, tables: list[str], out: str, fraction_max: float, name: str) -> None:
    """Join the rejection tables of all chunks of data set `name` into `out`.

    Raises ValueError when more than `fraction_max` of all objects was rejected; `out` is written
    before that.
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
    _write(merged, out)
    if len(merged) > fraction_max * n_objects:
        examples = "; ".join(f"{row['raw_file']}: {row['reason']}" for row in merged[:3])
        raise ValueError(
            f"{name}: {len(merged)} of {n_objects} raw objects were rejected, more than "
            f"datasets.{name}.rejected_fraction_max = {fraction_max:g} allows (all are listed in "
            f"{out}). First: {examples}"
        )
