"""Galaxy Zoo: the real ring catalogue, tables of votes, FITS cutouts, and what is no image."""

import csv
import gzip
import math

import numpy as np
import pytest
from astropy.io import fits
from galaxy_zoo_samples import GZ2, HEADER, SHAPE, write_image, write_table, zoo
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from raw_samples import noise_image, read_all, tan_header

from lenshunt.config import ConfigError, parse_config
from lenshunt.core import raw_manifest
from lenshunt.readers import raw_files, reader_of
from lenshunt.readers.galaxy_zoo import _vote, position_of_name, read_rows
from lenshunt.schema import COLUMNS, Metadata, is_trainable_source, validate_table
from lenshunt.schema.metadata import table_from_records


def ring_catalogue(real_data):
    return real_data / "galaxy_zoo" / "example_ring_catalog_basic.csv"


@pytest.mark.real
def test_every_row_of_the_real_ring_catalogue_is_parsed(real_data):
    rows = read_rows(zoo(ring_catalogue(real_data), columns="zoobot_rings"))
    with open(ring_catalogue(real_data)) as stream:
        table = list(csv.DictReader(stream))
    assert len(rows) == len(table) == 470
    assert not any(row.fault for row in rows)
    for row, cells in zip(rows, table, strict=True):
        assert row.identity == cells["id_str"]
        assert row.featured == float(cells["smooth-or-featured_featured-or-disk_fraction"])
        assert row.spiral == pytest.approx(1 - float(cells["has-spiral-arms_no_fraction"]))
        assert row.ring == float(cells["ring"])
        ra, dec = position_of_name(row.identity)
        assert 0 <= ra < 360
        assert -30 < dec < 90
        assert row.paths == {"": cells["file_loc"]}


@pytest.mark.real
def test_the_real_rows_without_an_image_are_all_named(real_data, tmp_path):
    table = ring_catalogue(real_data)
    sample = zoo(table, columns="zoobot_rings", images=str(tmp_path / "{id}.fits"))
    cutouts, rejected = read_all(sample, tmp_path)
    assert (len(cutouts), len(rejected)) == (0, 470)
    names = [row.identity for row in read_rows(sample)]
    assert all(name in one.reason for name, one in zip(names, rejected, strict=True))
    assert [one.raw_index for one in rejected] == list(range(470))


@pytest.mark.real
def test_the_composites_that_the_real_catalogue_names_are_refused_with_a_remedy(
    real_data, tmp_path
):
    prefix = ("data/example_images/basic/", str(tmp_path) + "/")
    sample = zoo(ring_catalogue(real_data), columns="zoobot_rings", image_prefix=prefix)
    _, rejected = read_all(sample, tmp_path)
    assert len(rejected) == 470
    assert f"{tmp_path}/J000411.19+020924.0.jpg: a colour composite" in rejected[0].reason
    assert "FITS cutouts" in rejected[0].reason


@pytest.mark.real
def test_a_real_galaxy_with_a_fits_cutout_becomes_a_record(real_data, tmp_path):
    sample = zoo(
        ring_catalogue(real_data),
        columns="zoobot_rings",
        images=str(tmp_path / "{id}.fits"),
        only_present=True,
    )
    write_image(tmp_path / "J001655.18-002739.1.fits")
    cutouts, rejected = read_all(sample, tmp_path)
    assert (len(cutouts), len(rejected)) == (1, 0)
    metadata = cutouts[0].metadata
    assert metadata.featured_fraction == pytest.approx(0.7065001192177)
    assert metadata.spiral_fraction == pytest.approx(1 - 0.612432731274)
    assert metadata.ring_fraction == 1
    # no WCS: the name tells the position
    assert metadata.ra == pytest.approx(15 * (16 / 60 + 55.18 / 3600))
    assert metadata.dec == pytest.approx(-(27 / 60 + 39.1 / 3600))


def test_a_table_like_that_of_hart_et_al_2016_is_read_with_its_positions(tmp_path):
    rows = [
        ["587732591714893851", "179.042984", "60.522518", "11:56:10", "0.61", "0.9", "0.05"],
        ["588009368545984617", "135.084396", "52.494240", "09:00:20", "0.33", "", "nan"],
    ]
    table = tmp_path / "gz2.csv.gz"
    with gzip.open(table, "wt", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *rows])
    for row in rows:
        write_image(tmp_path / "fits" / f"{row[0]}.fits", header=tan_header(SHAPE, 0.396))
    sample = zoo(table, images=str(tmp_path / "fits/{id}.fits"))
    cutouts, rejected = read_all(sample, tmp_path)
    assert (len(cutouts), len(rejected)) == (2, 0)
    first, second = (cutout.metadata for cutout in cutouts)
    assert first.sample_id == "set-587732591714893851"
    assert (first.ra, first.dec) == (179.042984, 60.522518)
    assert (first.featured_fraction, first.spiral_fraction) == (0.61, 0.9)
    assert second.featured_fraction == 0.33
    assert math.isnan(second.spiral_fraction)
    assert math.isnan(second.ring_fraction)
    assert first.pixel_scale == pytest.approx(0.396)
    assert first.bands == ("g", "r", "i", "", "")


def test_votes_are_weak_and_never_train_a_classifier(tmp_path):
    write_image(tmp_path / "1.fits")
    table = write_table(tmp_path / "t.csv", [["1", "10", "2", "", "0.5", "0.5", "0.5"]])
    metadata = read_all(zoo(table, images=str(tmp_path / "{id}.fits")), tmp_path)[0][0].metadata
    assert (metadata.label, metadata.label_source) == (-1, "weak:gzoo")
    assert metadata.label_confidence < 0.5
    assert not is_trainable_source(metadata.label_source)
    with pytest.raises(ValidationError, match="label_confidence"):
        zoo(table, images="{id}.fits", label_confidence=0.5)


@pytest.mark.parametrize("role", ["labelled", "negatives", "search"])
def test_another_role_than_pretrain_is_an_error_that_names_the_key(role):
    section = {
        "reader": "galaxy_zoo",
        "survey": "sdss",
        "role": role,
        "grids": ["ground"],
        "table": "t.csv",
        "bands": ["r"],
        "images": "{id}.fits",
    }
    with pytest.raises(ConfigError, match=r"datasets\.zoo\S*\.role: .*'pretrain'"):
        parse_config({"datasets": {"zoo": section}})


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({}, "images: give a path"),
        ({"images": "cutout.fits"}, "must hold {id}"),
        ({"images": "{id}.fits", "layout": "files"}, "layout files"),
        ({"columns": {"id": "a", "spiral": "b", "no_spiral": "c"}}, "name one of them"),
    ],
)
def test_a_section_without_a_way_to_the_images_is_refused(more, problem):
    with pytest.raises(ValidationError, match=problem):
        zoo("t.csv", **more)


def test_own_columns_a_file_per_band_and_a_cube_are_read(tmp_path):
    columns = {"id": "name", "ring": "p_ring", "ra": "alpha", "dec": "delta"}
    header = ["name", "p_ring", "alpha", "delta"]
    table = write_table(tmp_path / "t.csv", [["a b", "0.25", "359.9", "-12"]], header)
    for band in "gr":
        fits.writeto(tmp_path / f"a b-{band}.fits", noise_image(SHAPE))
    fits.writeto(tmp_path / "a b.fits", np.stack([noise_image(SHAPE, k) for k in range(2)]))
    for layout, images in (("files", "{id}-{band}.fits"), ("cube", "{id}.fits")):
        sample = zoo(
            table,
            columns=columns,
            bands=["g", "r"],
            layout=layout,
            images=str(tmp_path / images),
        )
        cutouts, rejected = read_all(sample, tmp_path)
        assert not rejected
        assert cutouts[0].metadata.ring_fraction == 0.25
        assert math.isnan(cutouts[0].metadata.featured_fraction)
        assert cutouts[0].metadata.band_flags == (1, 1, 0, 0, 0)
        assert cutouts[0].metadata.ra == 359.9


def test_bad_rows_are_rejected_by_line_and_the_others_are_read(tmp_path):
    rows = [
        ["1", "10", "2", "", "0.5", "0.5", "0.5"],
        ["2", "10", "2", "", "1.5", "0.5", "0.5"],
        ["3", "10", "2", "", "many", "0.5", "0.5"],
        ["4", "400", "2", "", "0.5", "0.5", "0.5"],
        ["", "10", "2", "", "0.5", "0.5", "0.5"],
        ["1", "10", "2", "", "0.5", "0.5", "0.5"],
        ["7", "10"],
        ["8", "10", "2", "", "0.5", "0.5", "0.5"],
    ]
    table = write_table(tmp_path / "t.csv", rows)
    for name in "12348":
        write_image(tmp_path / f"{name}.fits")
    cutouts, rejected = read_all(zoo(table, images=str(tmp_path / "{id}.fits")), tmp_path)
    assert [c.metadata.sample_id for c in cutouts] == ["set-1", "set-8"]
    assert [r.raw_index for r in rejected] == [1, 2, 3, 4, 5, 6]
    for reason, parts in zip(
        [r.reason for r in rejected],
        [
            ("line 3, 2", "featured is 1.5", "0 to 1"),
            ("line 4, 3", "featured is 'many'"),
            ("line 5, 4", "ra is 400"),
            ("line 6", "no name"),
            ("line 7, 1", "line 2 too"),
            ("line 8", "2 values for 7 columns"),
        ],
        strict=True,
    ):
        assert all(part in reason for part in parts), reason


def test_a_table_without_a_named_column_is_an_error_that_names_it(tmp_path):
    table = write_table(tmp_path / "t.csv", [], [name for name in HEADER if name != GZ2.ring])
    sample = zoo(table, images="{id}.fits")
    with pytest.raises(ValueError, match=rf"t\.csv: no column '{GZ2.ring}'"):
        reader_of(sample).count(sample)


def test_an_image_that_does_not_begin_with_the_prefix_is_named(tmp_path):
    header = ["name", "file"]
    table = write_table(tmp_path / "t.csv", [["a", "old/a.fits"], ["b", "x/b.fits"]], header)
    write_image(tmp_path / "new" / "a.fits")
    sample = zoo(
        table,
        columns={"id": "name", "image": "file"},
        image_prefix=("old/", str(tmp_path / "new") + "/"),
    )
    cutouts, rejected = read_all(sample, tmp_path)
    assert [c.metadata.sample_id for c in cutouts] == ["set-a"]
    assert "x/b.fits does not begin with image_prefix 'old/'" in rejected[0].reason


def test_a_chunk_reads_the_same_galaxies_as_the_whole(tmp_path):
    rows = [[str(k), "10", "2", "", "0.5", "0.5", "0.5"] for k in range(5)]
    table = write_table(tmp_path / "t.csv", rows)
    for k in (0, 1, 2, 4):
        write_image(tmp_path / f"{k}.fits")
    sample = zoo(table, images=str(tmp_path / "{id}.fits"))
    manifest = raw_manifest(raw_files(sample), tmp_path / "hashes.json")
    whole = list(reader_of(sample).read("set", sample, 0, 5, manifest))
    part = list(reader_of(sample).read("set", sample, 2, 4, manifest))
    assert str([getattr(one, "metadata", one) for one in part]) == str(
        [getattr(one, "metadata", one) for one in whole[2:4]]
    )


def _parsed(text):
    try:
        return float(text)
    except ValueError:
        return None


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.floats(allow_nan=True, allow_infinity=True).map(repr),
        st.sampled_from(["", "nan", "NaN", "0", "1", "1.0000001", "-1e-9", "--", "None"]),
        st.text(max_size=6),
    )
)
def test_a_vote_is_a_fraction_or_missing_or_an_error_that_names_the_row(text):
    text = text.strip()
    number = _parsed(text)
    missing = text == "" or (number is not None and math.isnan(number))
    fraction = number is not None and -1e-6 <= number <= 1 + 1e-6
    if missing or fraction:
        value = _vote("t.csv: line 9, J1", {"ring": text}, "ring")
        assert math.isnan(value) if missing else 0 <= value <= 1
        assert missing or value == pytest.approx(number, abs=1e-5)
    else:
        with pytest.raises(ValueError, match=r"^t\.csv: line 9, J1: ring is "):
            _vote("t.csv: line 9, J1", {"ring": text}, "ring")


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 359.99), st.floats(-89.9, 89.9))
def test_a_j_name_gives_the_position_back(ra, dec):
    tenths = math.floor(abs(dec) * 36000)
    hundredths = math.floor(ra / 15 * 360000)
    name = (
        f"J{hundredths // 360000:02d}{hundredths // 6000 % 60:02d}{hundredths % 6000 / 100:05.2f}"
        f"{'-' if dec < 0 else '+'}{tenths // 36000:02d}{tenths // 600 % 60:02d}"
        f"{tenths % 600 / 10:04.1f}"
    )
    found = position_of_name(name)
    assert found[0] == pytest.approx(ra, abs=0.151 / 3600)
    assert found[1] == pytest.approx(dec, abs=0.101 / 3600)


@pytest.mark.parametrize("name", ["587732591714893851", "J99", "J996060.00+990000.0", ""])
def test_a_name_that_is_no_position_gives_none(name):
    assert all(math.isnan(value) for value in position_of_name(name))


def test_the_votes_are_columns_of_every_metadata_table(tmp_path):
    fields = ["featured_fraction", "spiral_fraction", "ring_fraction"]
    assert all(name in COLUMNS for name in fields)
    values = {
        "sample_id": "a",
        "system_id": "a",
        "dataset": "d",
        "raw_file": "f",
        "raw_index": 0,
        "raw_sha256": "0" * 64,
        "label": -1,
        "label_source": "weak:gzoo",
        "label_confidence": 0.3,
        "pixel_scale": 0.4,
        "instrument": "x",
        "survey": "sdss",
    }
    votes = Metadata(**values, featured_fraction=0.25)
    table = validate_table(table_from_records([votes]))
    assert table["featured_fraction"][0] == 0.25
    assert np.isnan(table["spiral_fraction"][0])
    assert str(Metadata.from_row(table.iloc[0].to_dict())) == str(votes)
    for bad in (-0.1, 1.1, math.inf):
        with pytest.raises(ValidationError, match="ring_fraction"):
            Metadata(**values, ring_fraction=bad)
        with pytest.raises(ValueError, match="ring_fraction"):
            validate_table(table.assign(ring_fraction=bad))
