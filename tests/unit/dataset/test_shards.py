"""Shards are whole, repeatable, readable by WebDataset, and refuse bad samples."""

import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import webdataset
from dataset_samples import make_shards, pixels, read_pixels, record, write_table

from lenshunt.config import SplitConfig
from lenshunt.dataset import (
    LEARNING_SPLITS,
    make_loader,
    make_splits,
    read_index,
    read_table,
    shard_writer,
    write_shards,
)
from lenshunt.images import CutoutFile, read_cutouts


@pytest.fixture
def records():
    return [record(i) for i in range(60)]


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder of shards, by name."""
    return {path.name: path.read_bytes() for path in sorted((folder / "shards").iterdir())}


def test_every_sample_is_in_one_shard_of_its_split(tmp_path, records):
    index = read_index(make_shards(tmp_path, records))
    splits = pd.read_parquet(tmp_path / "splits.parquet").set_index("sample_id")["split"]
    found = {}
    for shard in index.shards:
        path = tmp_path / "shards" / shard.name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == shard.sha256
        assert path.stat().st_size == shard.bytes
        with tarfile.open(path) as tar:
            names = [name for name in tar.getnames() if name.endswith(".json")]
            assert len(names) == shard.count <= 10
            for name in names:
                sample = json.load(tar.extractfile(name))
                found[sample["sample_id"]] = shard.split
    assert found == splits.to_dict()
    assert index.samples == 60


def test_webdataset_reads_the_same_pixels_and_metadata(tmp_path, records):
    index = read_index(make_shards(tmp_path, records))
    seen = 0
    for shard in index.shards:
        url = str(tmp_path / "shards" / shard.name)
        for sample in webdataset.WebDataset(url, shardshuffle=False).decode():
            image, variance = pixels(sample["json"]["sample_id"])
            np.testing.assert_array_equal(sample["image.npy"], image)
            np.testing.assert_array_equal(sample["variance.npy"], variance)
            assert sample["json"]["schema_version"] == "2.0"
            seen += 1
    assert seen == 60


def test_shards_are_bit_identical_when_repeated(tmp_path, records):
    one, two = make_shards(tmp_path / "a", records), make_shards(tmp_path / "b", records)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert Path(one).read_bytes() == Path(two).read_bytes()
    before = contents(tmp_path / "a")
    make_shards(tmp_path / "a", records)
    assert contents(tmp_path / "a") == before


def test_tar_headers_are_those_of_the_standard_library():
    for name, size in (
        ("000000000.json", 7),
        ("000123456.image.npy", 81_920),
        ("999999999.json", 0),
    ):
        info = tarfile.TarInfo(name)
        info.size = size
        assert shard_writer.tar_header(name, size) == info.tobuf(tarfile.USTAR_FORMAT)


def test_row_groups_and_batches_leave_no_trace_in_the_shards(tmp_path, records):
    records[3] = record(3, quality=0.2)
    one = make_shards(tmp_path / "a", records)
    make_shards(tmp_path / "b", records, read=lambda t, m: read_pixels(t, m, batch=11))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    table = pd.read_parquet(tmp_path / "a" / "shards" / "samples.parquet")
    assert list(table["sample_id"]) == [r.sample_id for r in records if r.quality > 0.7]
    offsets = ["image_offset", "variance_offset", "segments_offset"]
    assert list(table.columns[-8:-3]) == ["split", "shard", *offsets]
    assert json.loads(Path(one).read_text())["samples"] == 59


def test_a_sample_that_comes_in_two_chunks_is_named(tmp_path, records):
    metadata = write_table(tmp_path / "m.parquet", records)
    splits = str(tmp_path / "splits.parquet")
    make_splits(metadata=[metadata], config=SplitConfig(), seed=1, out=splits)
    with pytest.raises(ValueError, match=r"m\.parquet: sample demo-0 occurs twice"):
        write_shards(
            cutouts=[("x.tif", metadata), ("y.tif", metadata)],
            splits=splits,
            quality_threshold=0.7,
            drop_unmatched=False,
            folder=str(tmp_path / "s"),
            index=str(tmp_path / "i.json"),
            read=read_pixels,
        )
    assert not (tmp_path / "i.json").exists()
    assert list((tmp_path / "s").glob("*.partial")) == []


def test_stale_shards_and_partial_files_are_removed(tmp_path, records):
    make_shards(tmp_path, records)
    (tmp_path / "shards" / "train-000001.tar.partial").write_bytes(b"half a shard")
    make_shards(tmp_path, records[:12])
    index = read_index(str(tmp_path / "index.json"))
    names = {shard.name for shard in index.shards} | {"samples.parquet"}
    assert set(contents(tmp_path)) == names


def test_shards_are_limited_in_bytes_too(tmp_path, records):
    make_shards(tmp_path, records, samples_per_shard=1000, bytes_per_shard=20e3)
    index = read_index(str(tmp_path / "index.json"))
    assert max(shard.count for shard in index.shards) < 10
    assert all(shard.bytes < 40e3 for shard in index.shards)


def test_what_is_left_out_is_listed_and_counted(tmp_path, records):
    records[3] = record(3, quality=0.2, flags="edge")
    records[5] = record(5, psf_matched=False)
    index = make_shards(tmp_path, records, drop_unmatched=True)
    content = json.loads(Path(index).read_text())
    assert content["left_out_counts"] == {"psf not matched": 1, "quality below threshold": 1}
    assert content["left_out"][0] == {
        "sample_id": "demo-3",
        "reason": "quality below threshold",
        "flags": "edge",
    }
    assert content["samples"] == 58


def test_a_data_set_of_which_nothing_is_left_gives_an_empty_index(tmp_path):
    index = make_shards(tmp_path, [record(i, quality=0.1) for i in range(4)])
    assert read_index(index).shards == ()
    assert read_table([index], ["train"]).empty


@pytest.mark.parametrize(
    "band, value, what",
    [
        (0, np.nan, "NaN or inf in the image"),
        (0, 0.0, "variance that is NaN, zero or negative"),
        (slice(None), np.inf, "no usable pixel in any band"),
    ],
)
def test_bad_pixels_stop_the_job_and_name_the_sample(tmp_path, records, band, value, what):
    def bad(tiff, metadata):
        for image, variance, table in read_pixels(tiff, metadata):
            if table["sample_id"].iloc[0] == "demo-7":
                if np.isnan(value):
                    image[0, band, 3, 3] = value
                elif value == 0.0:
                    variance[0, band, 3, 3] = value
                else:
                    image[0, band], variance[0, band] = 0.0, value
            yield image, variance, table

    with pytest.raises(ValueError, match=f"demo-7: {what}"):
        make_shards(tmp_path, records, read=bad)
    assert not (tmp_path / "index.json").exists()
    assert not list((tmp_path / "shards").glob("*.partial"))


def test_a_full_disk_leaves_no_index_and_no_half_shard(tmp_path, records, monkeypatch):
    written = 0

    def put(self, data, real=shard_writer.SplitWriter._put):
        nonlocal written
        written += len(data)
        if written > 50_000:
            raise OSError(28, "No space left on device")
        real(self, data)

    make_shards(tmp_path, records)
    monkeypatch.setattr(shard_writer.SplitWriter, "_put", put)
    with pytest.raises(OSError, match=r"shards could not be written: No space left"):
        make_shards(tmp_path, records)
    assert not (tmp_path / "index.json").exists()
    assert not list((tmp_path / "shards").glob("*.partial"))
    for path in (tmp_path / "shards").glob("*.tar"):
        with tarfile.open(path) as tar:
            assert len(tar.getnames()) % 3 == 0


def test_fewer_cutouts_than_rows_are_an_error(tmp_path, records):
    def short(tiff, metadata):
        yield next(read_pixels(tiff, metadata))

    with pytest.raises(ValueError, match="7 cutouts, but 30 rows"):
        make_shards(tmp_path, records, read=short)


def test_a_split_without_a_cutout_is_named(tmp_path, records):
    splits = str(tmp_path / "splits.parquet")
    every = write_table(tmp_path / "every.parquet", records)
    make_splits(metadata=[every], config=SplitConfig(), seed=1, out=splits)
    few = write_table(tmp_path / "few.parquet", [r for r in records if r.sample_id != "demo-5"])
    with pytest.raises(ValueError, match=r"demo-5 has a split but no cutout \(1 such samples\)"):
        write_shards(
            cutouts=[("x.tif", few)],
            splits=splits,
            quality_threshold=0.7,
            drop_unmatched=False,
            folder=str(tmp_path / "s"),
            index=str(tmp_path / "i.json"),
            read=read_pixels,
        )


def test_a_cutout_without_a_split_is_named(tmp_path, records):
    metadata = write_table(tmp_path / "m.parquet", records)
    few = write_table(tmp_path / "few.parquet", records[:5])
    splits = str(tmp_path / "splits.parquet")
    make_splits(metadata=[few], config=SplitConfig(), seed=1, out=splits)
    with pytest.raises(ValueError, match="no split for sample demo-5"):
        write_shards(
            cutouts=[("x.tif", metadata)],
            splits=splits,
            quality_threshold=0.7,
            drop_unmatched=False,
            folder=str(tmp_path / "s"),
            index=str(tmp_path / "i.json"),
            read=read_pixels,
        )


def test_an_index_of_another_schema_is_refused_with_both_versions(tmp_path, records):
    index = Path(make_shards(tmp_path, records))
    index.write_text(
        index.read_text().replace('"schema_version": "2.0"', '"schema_version": "1.0"')
    )
    with pytest.raises(ValueError, match=r"schema 1\.0 found, 2\.0 wanted"):
        read_index(str(index))


def test_the_16_bit_files_of_the_images_room_become_shards_and_batches(tmp_path):
    records = [record(i) for i in range(24)]
    metadata = write_table(tmp_path / "m.parquet", records)
    tiff = str(tmp_path / "cutouts.tif")
    image, variance = map(np.stack, zip(*(pixels(r.sample_id) for r in records), strict=True))
    flags = np.array([r.band_flags for r in records], dtype=bool)
    with CutoutFile(tiff, flags, image.shape[-1]) as file:
        file.write(np.arange(24), image, variance)
    splits, index = str(tmp_path / "splits.parquet"), str(tmp_path / "index.json")
    make_splits(metadata=[metadata], config=SplitConfig(), seed=1, out=splits)
    write_shards(
        cutouts=[(tiff, metadata)],
        splits=splits,
        quality_threshold=0.7,
        drop_unmatched=False,
        folder=str(tmp_path / "shards"),
        index=index,
    )
    loader = make_loader(indexes=[index], splits=list(LEARNING_SPLITS), batch_size=24)
    batch = next(iter(loader))
    stored, spread, _ = next(read_cutouts(tiff, metadata))
    order = loader.table["raw_index"].iloc[batch["row"].numpy()].to_numpy()
    np.testing.assert_array_equal(batch["image"].numpy(), stored[order])
    np.testing.assert_array_equal(batch["variance"].numpy(), spread[order])
    sigma = np.sqrt(np.where(np.isfinite(variance), variance, 1))
    usable = np.isfinite(variance[order])
    difference = abs(batch["image"].numpy() - image[order]) / sigma[order]
    assert difference[usable].max() < 0.05
