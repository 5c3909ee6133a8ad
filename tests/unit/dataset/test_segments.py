"""Segments in shards: the same rows in every reader, and a clear word where there are none."""

import json
import tracemalloc
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import webdataset
from dataset_samples import make_shards, record

from lenshunt.core import file_sha256
from lenshunt.dataset import make_loader, read_index
from lenshunt.dataset.segment_rows import SegmentRows
from lenshunt.dataset.splits import SPLITS
from lenshunt.images import write_segments
from lenshunt.images.segments import Segments

N_MAX, BANDS = 4, 5


def segments_of(names: list[str], n_max: int = N_MAX) -> Segments:
    """Segments that a sample's name seeds: 0 to n_max of them each."""
    found = Segments.empty(len(names), n_max, BANDS)
    for row, name in enumerate(names):
        rng = np.random.default_rng(list(name.encode()))
        count = found.count[row] = rng.integers(0, n_max + 1)
        for field in fields(Segments):
            if field.name != "count":
                values = getattr(found, field.name)
                values[row, :count] = rng.uniform(1, 2, values[row, :count].shape)
    return found


def chunk_files(folder: Path, records: list, n_max: int = N_MAX) -> list[str]:
    """Segments of the two chunks that `make_shards` makes of these records."""
    half, files = len(records) // 2, []
    for number, part in enumerate((records[:half], records[half:])):
        path = folder / f"segments{number}.h5"
        names = [r.sample_id for r in part]
        write_segments(path, segments_of(names, n_max), names)
        files.append(str(path))
    return files


def shards(folder: Path, name: str, count: int, n_max: int | None = N_MAX, **options) -> str:
    """Index of shards with segments, or without where n_max is None."""
    records = [record(i, dataset=name) for i in range(count)]
    files = chunk_files(folder / name, records, n_max) if n_max else []
    return make_shards(folder / name, records, segments=files, **options)


def loaded(indexes: list[str], mode: str, **options) -> dict[str, np.ndarray]:
    loader = make_loader(indexes=indexes, splits=SPLITS, batch_size=7, loader=mode, **options)
    return {
        loader.table["sample_id"][int(row)]: packed
        for batch in loader
        for row, packed in zip(batch["row"], batch["segments"].numpy(), strict=True)
    }


@pytest.mark.parametrize("workers", [0, 2])
def test_both_modes_give_every_sample_its_own_segments(tmp_path, workers):
    indexes = [shards(tmp_path, "one", 30), shards(tmp_path, "two", 14)]
    mapped, streamed = (loaded(indexes, mode, workers=workers) for mode in ("memmap", "stream"))
    assert len(mapped) == len(streamed) == 44
    for name, packed in mapped.items():
        assert np.array_equal(packed, segments_of([name]).packed()[0])
        assert np.array_equal(packed, streamed[name])


def test_webdatasets_own_reader_reads_them(tmp_path):
    index = read_index(shards(tmp_path, "one", 24))
    assert index.segments_shape == (N_MAX, 2 * BANDS + 5)
    seen = 0
    for shard in index.shards:
        path = tmp_path / "one" / "shards" / shard.name
        assert file_sha256(path) == shard.sha256
        for sample in webdataset.WebDataset(str(path), shardshuffle=False).decode():
            expected = segments_of([sample["json"]["sample_id"]]).packed()[0]
            assert np.array_equal(sample["segments.npy"], expected)
            seen += 1
    assert seen == 24


def without_segment_keys(index: str) -> None:
    """What an index and a table of an earlier release look like."""
    path = Path(index)
    content = json.loads(path.read_text())
    table = path.parent / content["folder"] / content["table"]
    pd.read_parquet(table).drop(columns="segments_offset").to_parquet(table, index=False)
    del content["segments_shape"]
    path.write_text(json.dumps(content | {"table_sha256": file_sha256(table)}))


def test_shards_of_an_earlier_release_still_load_alone_and_beside_new_ones(tmp_path):
    old, new = shards(tmp_path, "old", 16, None), shards(tmp_path, "new", 16)
    without_segment_keys(old)
    for indexes in ([old], [old, new]):
        loader = make_loader(indexes=indexes, splits=SPLITS, batch_size=8)
        batches = list(loader)
        assert sum(len(batch["row"]) for batch in batches) == 16 * len(indexes)
        assert not any("segments" in batch for batch in batches)


def test_a_model_that_needs_segments_is_told_who_lacks_them(tmp_path):
    good, bare = shards(tmp_path, "good", 16), shards(tmp_path, "bare", 16, None)
    with pytest.raises(ValueError, match=r"bare/index\.json.*segments\.enabled") as error:
        make_loader(indexes=[good, bare], splits=SPLITS, batch_size=8, segments=True)
    assert "good" not in str(error.value)
    assert len(loaded([good], "memmap", segments=True)) == 16
    batch = next(iter(make_loader(indexes=[good], splits=SPLITS, batch_size=8, segments=False)))
    assert "segments" not in batch


def test_data_sets_of_different_n_max_are_refused_where_segments_are_needed(tmp_path):
    indexes = [shards(tmp_path, "four", 16), shards(tmp_path, "six", 16, 6)]
    with pytest.raises(
        ValueError, match=r"four/index\.json: \(4, 15\).*six/index\.json: \(6, 15\)"
    ):
        make_loader(indexes=indexes, splits=SPLITS, batch_size=8, segments=True)
    assert "segments" not in next(iter(make_loader(indexes=indexes, splits=SPLITS, batch_size=8)))


def test_a_killed_job_leaves_no_index_and_the_next_gives_the_bytes_of_an_unbroken_one(
    tmp_path, monkeypatch
):
    whole = shards(tmp_path / "a", "one", 30)
    take, calls = SegmentRows.take, []

    def killed(self, chunk, names):
        calls.append(chunk)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return take(self, chunk, names)

    monkeypatch.setattr(SegmentRows, "take", killed)
    with pytest.raises(KeyboardInterrupt):
        shards(tmp_path / "b", "one", 30)
    assert not (tmp_path / "b/one/index.json").exists()
    assert not list((tmp_path / "b").rglob("*.partial"))
    # SIGKILL cleans up nothing: half a file of an earlier job lies there.
    (tmp_path / "b/one/segments0.h5.partial").write_bytes(b"half")
    monkeypatch.undo()
    again = shards(tmp_path / "b", "one", 30)
    assert Path(whole).read_bytes() == Path(again).read_bytes()
    for shard in read_index(whole).shards:
        name = f"one/shards/{shard.name}"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_segments_that_do_not_belong_to_the_cutouts_are_refused(tmp_path):
    records = [record(i) for i in range(12)]
    files = chunk_files(tmp_path, records)
    with pytest.raises(ValueError, match=r"demo-0: no segments in .*segments1\.h5"):
        make_shards(tmp_path, records, segments=files[::-1])
    with pytest.raises(ValueError, match="1 files of segments for 2 chunks"):
        make_shards(tmp_path, records, segments=files[:1])
    names = [r.sample_id for r in records[6:]]
    write_segments(files[1], segments_of(names, 6), names)
    with pytest.raises(ValueError, match=r"segments1\.h5: segments \(6, 15\), \(4, 15\) in"):
        make_shards(tmp_path, records, segments=files)


def test_a_segment_that_is_not_a_number_stops_the_job(tmp_path):
    records = [record(i) for i in range(12)]
    files = chunk_files(tmp_path, records)
    with h5py.File(files[0], "r+") as file:
        file["flux"][3, 0, 0] = np.nan
    with pytest.raises(ValueError, match="demo-3: a segment is not a number"):
        make_shards(tmp_path, records, segments=files)


def test_memory_holds_the_segments_of_one_chunk(tmp_path):
    files, count = [], 2000
    for number in range(6):
        names = [f"{number}-{i}" for i in range(count)]
        files.append(str(tmp_path / f"{number}.h5"))
        write_segments(files[-1], Segments.empty(count, 16, BANDS), names)
    one_chunk = count * 16 * 15 * 4
    tracemalloc.start()
    rows = SegmentRows(files, 6)
    for number in range(6):
        assert len(rows.take(number, pd.Series([f"{number}-{count - 1}"]))) == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # packing copies a chunk twice; all six would be 6 and those copies
    assert peak < 5.5 * one_chunk
