"""The record that flows: what it refuses, and that it comes back from disk as it was."""

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from lenshunt.schema import (
    COLUMNS,
    SLOTS,
    Cutout,
    Metadata,
    RecordReader,
    RecordWriter,
    TableWriter,
    filter_named,
    load_filters,
    magnitude_from_njy,
    metadata_batches,
    njy_from_magnitude,
    njy_per_count,
    read_metadata,
    slot_index,
    tables,
    validate_table,
)
from lenshunt.schema.metadata import table_from_records


def make_metadata(**changes) -> Metadata:
    values = {
        "sample_id": "demo-1",
        "system_id": "1",
        "dataset": "demo",
        "raw_file": "raw.fits",
        "raw_index": 0,
        "raw_sha256": "0" * 64,
        "label": 1,
        "label_source": "sim:demo",
        "label_confidence": 1.0,
        "pixel_scale": 0.168,
        "instrument": "HSC",
        "survey": "hsc",
        "bands": ("g", "", "", "", ""),
        "band_flags": (1, 0, 0, 0, 0),
    }
    return Metadata(**{**values, **changes})


def make_cutout(size: int = 16, **changes) -> Cutout:
    rng = np.random.default_rng(size)
    image = np.zeros((5, size, size), np.float32)
    image[0] = rng.normal(size=(size, size))
    variance = np.full_like(image, np.inf)
    variance[0] = 1.0
    psf = np.zeros((5, 3, 3), np.float32)
    psf[0] = 1 / 9
    return Cutout(image, variance, make_metadata(**changes), psf=psf)


def test_one_count_at_zero_point_31_4_is_one_njy():
    assert njy_per_count(31.4) == pytest.approx(1.0)
    # Bologna: zero point 0, so one unit is 3631 Jy.
    assert njy_per_count(0.0) == pytest.approx(3.631e12, rel=2e-3)


def test_magnitudes_and_fluxes_are_inverse_and_negative_flux_has_no_magnitude():
    assert magnitude_from_njy(njy_from_magnitude(22.3)) == pytest.approx(22.3)
    assert np.isnan(magnitude_from_njy(-1.0))


@pytest.mark.parametrize(
    "name, slot",
    [("F435W", "g"), ("F606W", "r"), ("F814W", "i"), ("EUC_VIS", "i"), ("F105W", "z"),
     ("F160W", "y"), ("SDSS_U", "g"), ("EUC_Y", "z"), ("y", "y")],
)  # fmt: skip
def test_filters_take_the_slot_that_the_specification_names(name, slot):
    assert SLOTS[slot_index(name)] == slot


def test_u_takes_the_g_slot_only_as_a_fallback():
    assert filter_named("SDSS_U").fallback
    assert not filter_named("SDSS_G").fallback


def test_every_filter_has_a_source():
    assert all(entry.source for entry in load_filters().values())


def test_an_unknown_filter_names_file_and_remedy():
    with pytest.raises(KeyError, match=r"a\.fits: unknown filter 'F999X'.*filters\.yaml"):
        filter_named("F999X", "a.fits")


@pytest.mark.parametrize("source", ["pretrain:galaxiesml", "weak:gzoo", "unlabelled"])
def test_sources_without_labels_cannot_carry_one(source):
    with pytest.raises(ValueError, match="label -1"):
        make_metadata(label_source=source, label=1)
    assert make_metadata(label_source=source, label=-1).label == -1


def test_a_negative_has_no_lensing_values():
    with pytest.raises(ValueError, match="NaN for label 0"):
        make_metadata(label=0, einstein_radius=1.0)


def test_absent_bands_must_be_unusable():
    cutout = make_cutout()
    variance = cutout.variance.copy()
    variance[3] = 1.0  # slot z
    with pytest.raises(ValueError, match="band z is flagged absent"):
        Cutout(cutout.image, variance, cutout.metadata)


def test_nan_pixels_are_refused():
    cutout = make_cutout()
    image = cutout.image.copy()
    image[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN or inf"):
        Cutout(image, cutout.variance, cutout.metadata)


def test_metadata_survives_the_table(tmp_path):
    record = make_metadata(z_phot=0.4, magnitude=(20.0, np.nan, np.nan, np.nan, np.nan))
    row = table_from_records([record]).iloc[0].to_dict()
    again = Metadata.from_row(row)
    assert again.to_row().keys() == set(COLUMNS)
    assert again.z_phot == 0.4
    assert again.magnitude[0] == 20.0
    assert again.bands == record.bands


def test_another_schema_version_is_refused_with_both_versions():
    table = table_from_records([make_metadata()])
    table["schema_version"] = "1.0"
    with pytest.raises(ValueError, match=r"schema 1\.0 found, 2\.0 wanted"):
        validate_table(table)


@pytest.mark.parametrize(
    "column, value", [("quality", 1.5), ("label", 3), ("raw_sha256", "xyz"), ("z_phot", -3.0)]
)
def test_bad_values_are_named_with_their_sample(column, value):
    table = table_from_records([make_metadata()])
    table[column] = value
    with pytest.raises(ValueError, match=rf"{column}(.|\n)*demo-1"):
        validate_table(table)


def test_two_samples_of_one_name_are_refused():
    table = table_from_records([make_metadata(), make_metadata()])
    told = r"^t: sample demo-1 occurs twice, but each sample_id must be unique; give"
    for columns in (COLUMNS, ("schema_version", "label", "sample_id")):
        with pytest.raises(ValueError, match=told):
            validate_table(table[list(columns)], "t", columns)
    assert len(validate_table(table[["schema_version", "label"]], "t", ["label"])) == 2


def test_an_empty_table_is_valid():
    assert validate_table(table_from_records([])).empty


def test_cutouts_of_several_shapes_come_back_as_they_were(tmp_path):
    cutouts = [make_cutout(16 + 4 * (i % 2), sample_id=f"s{i}") for i in range(7)]
    with RecordWriter(tmp_path / "c.h5", tmp_path / "c.parquet", buffer=2) as writer:
        for cutout in cutouts:
            writer.add(cutout)
    reader = RecordReader(tmp_path / "c.h5", tmp_path / "c.parquet")
    assert list(reader.metadata["sample_id"]) == [f"s{i}" for i in range(7)]
    seen = 0
    for batch in reader.batches(3):
        for i, row in enumerate(batch.row):
            np.testing.assert_array_equal(batch.image[i], cutouts[row].image)
            np.testing.assert_array_equal(batch.variance[i], cutouts[row].variance)
            assert batch.metadata["sample_id"].iloc[i] == f"s{row}"
            assert batch.psf_id[i, 1] == ""
            psf = cutouts[row].psf
            assert psf is not None
            np.testing.assert_array_equal(batch.psfs[batch.psf_id[i, 0]], psf[0])
            seen += 1
    assert seen == 7
    assert len(reader.psfs()) == 1


def test_a_failed_writer_leaves_no_file(tmp_path):
    with (
        pytest.raises(RuntimeError),
        RecordWriter(tmp_path / "c.h5", tmp_path / "c.parquet") as writer,
    ):
        writer.add(make_cutout())
        raise RuntimeError("killed")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_at_the_table_leaves_no_file(tmp_path, monkeypatch):
    def full(writer, table, **options):
        raise OSError("No space left on device")

    monkeypatch.setattr(parquet.ParquetWriter, "write_table", full)
    with (
        pytest.raises(OSError, match="No space"),
        RecordWriter(tmp_path / "c.h5", tmp_path / "c.parquet") as writer,
    ):
        writer.add(make_cutout())
    assert list(tmp_path.iterdir()) == []


def test_a_table_is_the_same_bytes_however_its_rows_arrive(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROWS", 7)
    table = table_from_records([make_metadata(sample_id=f"s{i}") for i in range(40)])
    for name, step in (("a", 40), ("b", 1), ("c", 9)):
        with TableWriter(tmp_path / name) as writer:
            for start in range(0, 40, step):
                writer.write(table.iloc[start : start + step])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes()
    assert parquet.read_metadata(tmp_path / "a").num_row_groups == 6
    pd.testing.assert_frame_equal(read_metadata(tmp_path / "a"), table)
    assert [len(part) for part in metadata_batches(tmp_path / "a", rows=15)] == [15, 15, 10]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_a_sample_that_comes_again_in_a_later_row_group_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROWS", 4)
    names = [f"s{i}" for i in range(10)] + ["s2"]
    with (
        pytest.raises(ValueError, match="sample s2 occurs twice"),
        TableWriter(tmp_path / "t.parquet") as writer,
    ):
        writer.write(table_from_records([make_metadata(sample_id=name) for name in names]))
    assert list(tmp_path.iterdir()) == []
    table_from_records([make_metadata(sample_id=n) for n in names]).to_parquet(tmp_path / "t")
    with pytest.raises(ValueError, match=r"t: sample s2 occurs twice"):
        read_metadata(tmp_path / "t")


def test_samples_whose_hashes_agree_are_not_taken_for_one(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROWS", 2)
    monkeypatch.setattr(pd.util, "hash_array", lambda values: np.zeros(len(values), np.uint64))
    with TableWriter(tmp_path / "t.parquet") as writer:
        writer.write(table_from_records([make_metadata(sample_id=f"s{i}") for i in range(5)]))
    assert len(read_metadata(tmp_path / "t.parquet")) == 5


def test_some_columns_of_a_table_are_validated_too(tmp_path):
    table = table_from_records([make_metadata(sample_id=f"s{i}") for i in range(3)])
    table.to_parquet(tmp_path / "good")
    columns = ["label", "sample_id", "magnitude_i"]
    pd.testing.assert_frame_equal(read_metadata(tmp_path / "good", columns), table[columns])
    table.assign(label=5).to_parquet(tmp_path / "bad")
    with pytest.raises(ValueError, match="column label"):
        read_metadata(tmp_path / "bad", columns)
    table.assign(schema_version="1.0").to_parquet(tmp_path / "old")
    with pytest.raises(ValueError, match=r"schema 1\.0 found, 2\.0 wanted"):
        read_metadata(tmp_path / "old", columns)
    table.drop(columns="label").to_parquet(tmp_path / "less")
    with pytest.raises(ValueError, match=r"missing columns \['label'\]"):
        read_metadata(tmp_path / "less", columns)


def test_the_same_records_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        with RecordWriter(tmp_path / f"{name}.h5", tmp_path / f"{name}.parquet") as writer:
            writer.add(make_cutout())
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert isinstance(pd.read_parquet(tmp_path / "a.parquet"), pd.DataFrame)
