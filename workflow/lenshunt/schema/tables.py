"""Metadata tables on disk: streamed to Parquet in row groups, read back whole or in batches."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd
import pyarrow
from pyarrow import parquet

from lenshunt.core import whole_file
from lenshunt.schema.metadata import COLUMNS, arrow_schema
from lenshunt.schema.table_schema import refuse_repeated_samples, validate_table

#: Rows of a row group; they are validated, written and read together.
ROWS = 1024


class TableWriter:
    """Streams metadata rows into a Parquet file; memory holds one row group.

    Every row group is validated against schema v2.0, and no `sample_id` may occur twice in the
    file. It appears under its own name only when the `with` block ends without an error. The bytes
    depend on the rows alone, not on how many come at a time.
    """

    def __init__(self, path: Path | str, extra: pyarrow.Schema | None = None) -> None:
        """extra : columns that follow those of the metadata"""
        self._path = Path(path)
        self._schema = pyarrow.schema([*arrow_schema(), *(extra or [])])
        self._waiting: list[pyarrow.Table] = []
        self._n_waiting = 0
        # Eight bytes per sample, where the names themselves would take a hundred.
        self._hashes: list[np.ndarray] = []

    def __enter__(self) -> "TableWriter":
        with ExitStack() as opened:
            self._partial = opened.enter_context(whole_file(self._path))
            self._writer = parquet.ParquetWriter(self._partial, self._schema)
            opened.push(self._finish)
            self._opened = opened.pop_all()
        return self

    def write(self, rows: pd.DataFrame | pyarrow.Table) -> None:
        """Append rows, columns as in the schema."""
        if isinstance(rows, pd.DataFrame):
            rows = pyarrow.Table.from_pandas(rows, self._schema, preserve_index=False, nthreads=1)
        self._waiting.append(rows.replace_schema_metadata(None))
        self._n_waiting += len(rows)
        while self._n_waiting >= ROWS:
            self._flush(ROWS)

    def _flush(self, n: int) -> None:
        joined = pyarrow.concat_tables(self._waiting)
        group, rest = joined.slice(0, n), joined.slice(n)
        self._waiting, self._n_waiting = ([rest] if len(rest) else []), len(rest)
        table = group.select(list(COLUMNS)).to_pandas(use_threads=False)
        validate_table(table, str(self._path))
        self._hashes.append(pd.util.hash_array(table["sample_id"].to_numpy(object)))
        self._writer.write_table(group)

    def _refuse_repeated_samples(self) -> None:
        hashes = np.concatenate([np.empty(0, np.uint64), *self._hashes])
        if len(np.unique(hashes)) == len(hashes):
            return
        names = parquet.read_table(self._partial, columns=["sample_id"]).to_pandas()["sample_id"]
        # Two names may share a hash without being the same.
        refuse_repeated_samples(names, str(self._path))

    def _finish(self, kind: type[BaseException] | None, *error: object) -> None:
        """Write what waits, unless there was an error, and close the file."""
        try:
            if kind is None:
                if self._n_waiting:
                    self._flush(self._n_waiting)
                self._writer.close()
                self._refuse_repeated_samples()
        finally:
            # On a full disk closing fails as writing did; that first error is already on its way.
            with suppress(OSError):
                self._writer.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.__exit__(kind, error, trace)


def count_rows(path: Path | str) -> int:
    """Number of rows of a metadata table."""
    return int(parquet.read_metadata(path).num_rows)


def metadata_batches(
    path: Path | str, columns: Sequence[str] = COLUMNS, rows: int = ROWS
) -> Iterator[pd.DataFrame]:
    """At most `rows` rows at a time of a metadata table, in order, validated against the schema.

    columns : those that are read. A table without rows gives one empty batch.
    """
    with parquet.ParquetFile(path) as file:
        stored = file.schema_arrow.names
        whole = set(columns) == set(COLUMNS)
        # Of a whole table all columns are read, so that unknown ones are noticed.
        wanted = stored if whole else [n for n in stored if n in (*columns, "schema_version")]
        batches = file.iter_batches(rows, columns=wanted, use_threads=False)
        empty = file.schema_arrow.empty_table().select(wanted)
        for batch in batches if file.metadata.num_rows else [empty]:
            yield validate_table(batch.to_pandas(use_threads=False), str(path), columns)


def read_metadata(path: Path | str, columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """A metadata table from Parquet, or some of its columns, validated against schema v2.0."""
    table = pd.concat(list(metadata_batches(path, columns)), ignore_index=True)
    if "sample_id" in table:
        refuse_repeated_samples(table["sample_id"], str(path))
    return table
