"""The index of one data set's shards, and the table of samples that one or more indexes name."""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lenshunt.core import write_json
from lenshunt.dataset.exclusions import excluded_rows, read_exclusions
from lenshunt.dataset.folds import with_fold
from lenshunt.dataset.locations import beside, corrupt, read_bytes
from lenshunt.dataset.splits import SPLITS
from lenshunt.schema import COLUMNS, SCHEMA_VERSION, refuse_repeated_samples, validate_table

#: Columns of the sample table beside the metadata: where each sample lies.
PLACE_COLUMNS = ("split", "shard", "image_offset", "variance_offset", "segments_offset")


@dataclass(frozen=True)
class Shard:
    """One tar file: its name in the folder of shards, what is in it, and its checksum."""

    name: str
    split: str
    count: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ShardIndex:
    """What one index JSON says.

    folder : folder of the shards, relative to the index
    shape : [band, y, x] of every image and variance, float32
    segments_shape : [segment, column] of `Segments.packed`, float32; () without segments
    table, table_sha256 : Parquet of the samples (metadata, PLACE_COLUMNS, FOLD_COLUMNS), in
        `folder`
    left_out : samples that are in no shard, with the reason
    """

    dataset: str
    folder: str
    shape: tuple[int, ...]
    samples: int
    table: str
    table_sha256: str
    shards: tuple[Shard, ...]
    left_out: tuple[dict[str, str], ...]
    segments_shape: tuple[int, ...] = ()

    def write(self, path: Path) -> None:
        """Write as JSON, atomically."""
        reasons = sorted({entry["reason"] for entry in self.left_out})
        content = {
            "schema_version": SCHEMA_VERSION,
            **asdict(self),
            "left_out_counts": {
                reason: sum(entry["reason"] == reason for entry in self.left_out)
                for reason in reasons
            },
        }
        write_json(content, path)


def read_index(location: str) -> ShardIndex:
    """Read an index JSON (path or URL).

    Raises ValueError naming it when it was written for another metadata schema.
    """
    try:
        content = json.loads(read_bytes(location))
    except ValueError as error:
        raise ValueError(_not_whole(location, error)) from None
    version = content.pop("schema_version", "none")
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"{location}: metadata schema {version} found, {SCHEMA_VERSION} wanted; "
            "make the shards again"
        )
    try:
        del content["left_out_counts"]
        content["shape"] = tuple(content["shape"])
        content["segments_shape"] = tuple(content.get("segments_shape", ()))
        content["shards"] = tuple(Shard(**shard) for shard in content["shards"])
        content["left_out"] = tuple(content["left_out"])
        return ShardIndex(**content)
    except (KeyError, TypeError) as error:
        raise ValueError(_not_whole(location, error)) from None


def _not_whole(location: str, error: Exception) -> str:
    return f"{location}: no whole shard index ({error}); make the shards again"


@dataclass(frozen=True)
class SampleTable:
    """Samples of some splits of some indexes, and where their pixels lie.

    table : metadata columns + split + shard (location of the tar file)
    shards : the tar files that are used, in order of appearance
    shard_number : int [n], index into `shards`
    image_offset, variance_offset : int [n], byte offset of the float32 pixels in the tar file
    shape : [band, y, x]
    segments_offset, segments_shape : the same of the segments; () where they are not to be read
    """

    table: pd.DataFrame
    shards: tuple[Shard, ...]
    shard_number: np.ndarray
    image_offset: np.ndarray
    variance_offset: np.ndarray
    shape: tuple[int, ...]
    segments_offset: np.ndarray
    segments_shape: tuple[int, ...]


def _table_of(location: str, index: ShardIndex) -> pd.DataFrame:
    """The sample table that belongs to an index, checked against its checksum and the schema."""
    where = beside(location, f"{index.folder}/{index.table}")
    try:
        content = read_bytes(where)
    except FileNotFoundError:
        raise ValueError(corrupt(where, "it is missing")) from None
    found = hashlib.sha256(content).hexdigest()
    if found != index.table_sha256:
        raise ValueError(corrupt(where, f"sha256 {found}, the index says {index.table_sha256}"))
    table = pd.read_parquet(io.BytesIO(content))
    validate_table(table[list(COLUMNS)], where)
    if "segments_offset" not in table:
        # shards of a release before there were segments
        table["segments_offset"] = np.int64(-1)
    table["shard"] = [beside(location, f"{index.folder}/{name}") for name in table["shard"]]
    return table


def read_samples(
    indexes: Sequence[str],
    splits: Sequence[str],
    exclusions: str | None = None,
    fold: int | None = None,
    segments: bool | None = None,
) -> SampleTable:
    """Samples of `splits` in all `indexes`, without those on the exclusion list.

    fold : take the splits of this cross-validation fold (`folds.with_fold`)
    segments : True where they are needed, False where not; None takes them where every index
        has them, of one shape

    Raises ValueError for an unknown split, for images of different shapes, for a sample that
    occurs twice, and for needed segments that an index lacks or has in another shape.
    """
    unknown = sorted(set(splits) - set(SPLITS))
    if unknown:
        raise ValueError(f"unknown split {', '.join(unknown)}; the splits are {', '.join(SPLITS)}")
    tables, shards, shapes = [], {}, {}
    segment_shapes: dict[str, tuple[int, ...]] = {}
    for location in map(str, indexes):
        index = read_index(location)
        if index.samples:
            shapes[location] = index.shape
            segment_shapes[location] = index.segments_shape
        tables.append(_table_of(location, index))
        for shard in index.shards:
            shards[beside(location, f"{index.folder}/{shard.name}")] = shard
    if len(set(shapes.values())) > 1:
        listed = "; ".join(f"{name}: {shape}" for name, shape in shapes.items())
        raise ValueError(f"images of one loader need one shape [band, y, x], found {listed}")
    table = pd.concat(tables, ignore_index=True)
    where = ", ".join(map(str, indexes))
    refuse_repeated_samples(table["sample_id"], where, "name every data set once")
    table = with_fold(table, fold)
    wanted = table["split"].isin(list(splits))
    if exclusions is not None:
        wanted &= ~excluded_rows(table, read_exclusions(exclusions))
    table = table[wanted].reset_index(drop=True)
    number, names = pd.factorize(table["shard"])
    return SampleTable(
        table=table.drop(columns=["image_offset", "variance_offset", "segments_offset"]),
        shards=tuple(Shard(**{**asdict(shards[name]), "name": name}) for name in names),
        shard_number=number,
        image_offset=table["image_offset"].to_numpy(np.int64),
        variance_offset=table["variance_offset"].to_numpy(np.int64),
        shape=next(iter(shapes.values()), ()),
        segments_offset=table["segments_offset"].to_numpy(np.int64),
        segments_shape=_common_segments(segment_shapes, segments),
    )


def _common_segments(shapes: dict[str, tuple[int, ...]], needed: bool | None) -> tuple[int, ...]:
    """The shape [segment, column] of every index, () where there is none or none is wanted."""
    lacking = [location for location, shape in shapes.items() if not shape]
    if needed and lacking:
        raise ValueError(
            f"no segments in {', '.join(lacking)}; set segments.enabled: true and make the shards "
            "again, or take a model that does without"
        )
    if needed and len(set(shapes.values())) > 1:
        listed = "; ".join(f"{location}: {shape}" for location, shape in shapes.items())
        raise ValueError(f"segments of one loader need one shape [segment, column], found {listed}")
    if needed is False or len(set(shapes.values())) != 1:
        return ()
    return next(iter(shapes.values()))


def read_table(
    indexes: Sequence[str],
    splits: Sequence[str],
    exclusions: str | None = None,
    fold: int | None = None,
) -> pd.DataFrame:
    """Metadata + split + shard of the samples that `make_loader` would load, in the same order."""
    return read_samples(indexes, splits, exclusions, fold).table
