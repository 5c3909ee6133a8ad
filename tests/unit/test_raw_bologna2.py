"""Lens Finding Challenge 2.0: catalogue, label rule, broken rows and files."""

import math

import numpy as np
import pytest
from astropy.io import fits
from bologna2_samples import EMPTY, HEADER, LENS, catalogue_text, challenge, dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from raw_samples import common, read_all, truncate

from lenshunt.config import Bologna2Dataset
from lenshunt.core import raw_manifest
from lenshunt.raw import raw_files, reader_of
from lenshunt.raw.bologna2 import Row, label_of
from lenshunt.records import is_trainable_source


def test_a_lens_has_the_values_of_the_catalogue(tmp_path):
    lens = read_all(challenge(tmp_path, [LENS]), tmp_path)[0][0].metadata
    assert (lens.sample_id, lens.label, lens.label_source) == ("set-200000", 1, "sim:bologna")
    # 1e-10 steradian: sqrt(1e-10 / pi) rad
    assert lens.einstein_radius == pytest.approx(5.6419e-6 * 206264.806, rel=1e-4)
    assert lens.flux_ratio == pytest.approx(0.2)
    assert (lens.z_spec, lens.z_source) == (0.55, "simulation")
    assert lens.magnitude[2] == 19.7
    assert np.isnan(np.delete(lens.magnitude, 2)).all()
    assert math.isnan(lens.ra)


def test_a_galaxy_without_a_source_is_a_negative_and_carries_no_lensing_values(tmp_path):
    other = read_all(challenge(tmp_path, [EMPTY | {"ein_area": 3e-11}]), tmp_path)[0][0].metadata
    assert (other.label, other.label_source, other.label_confidence) == (0, "sim:bologna", 1.0)
    assert math.isnan(other.einstein_radius)
    assert math.isnan(other.flux_ratio)
    assert other.z_spec == 0.4


@pytest.mark.parametrize("column", ["n_source_im", "mag_eff", "n_pix_source"])
def test_a_threshold_itself_is_no_lens_and_the_flags_name_it(tmp_path, column):
    at = {"n_source_im": 0, "mag_eff": 1.6, "n_pix_source": 20}
    weak = read_all(challenge(tmp_path, [LENS | {column: at[column]}]), tmp_path)[0][0].metadata
    assert (weak.label, weak.label_source, weak.label_confidence) == (-1, "unlabelled", 0.0)
    assert [f for f in weak.flags.split(";") if f.startswith("below:")] == [f"below:{column}"]
    assert math.isnan(weak.einstein_radius)


def test_the_thresholds_and_the_negatives_follow_the_config(tmp_path):
    rows = [
        LENS | {"n_pix_source": 15},
        LENS | {"n_source_im": 0, "n_pix_source": 0, "mag_eff": 0},
        EMPTY,
        {"z_lens": 0.4},
    ]
    labels = {}
    challenge(tmp_path, rows, bands=("EUC_VIS",))
    for key, more in {
        "default": {},
        "faint": {"n_pix_source_min": 10},
        "no_image": {"negatives": "no_image"},
    }.items():
        read, _ = read_all(dataset(tmp_path, bands=["EUC_VIS"], **more), tmp_path)
        labels[key] = [cutout.metadata.label for cutout in read]
    assert labels == {
        "default": [-1, -1, 0, -1],
        "faint": [1, -1, 0, -1],
        "no_image": [-1, 0, 0, -1],
    }


def test_objects_without_a_label_are_kept_and_a_bad_row_is_not_one_of_them(tmp_path):
    rows = [LENS, LENS | {"mag_eff": 1.2}, EMPTY, LENS | {"mag_eff": "many"}]
    challenge(tmp_path, rows, bands=("EUC_VIS",))
    read, rejected = read_all(dataset(tmp_path, bands=["EUC_VIS"]), tmp_path)
    assert [cutout.metadata.label for cutout in read] == [1, -1, 0]
    sources = [cutout.metadata.label_source for cutout in read]
    assert [is_trainable_source(source) for source in sources] == [True, False, True]
    assert len(rejected) == 1
    assert "mag_eff is 'many'" in rejected[0].reason


values = st.one_of(st.none(), st.floats(0, 1000), st.just(0.0))


@settings(max_examples=200, deadline=None)
@given(images=values, magnification=values, pixels=values, sources=st.sampled_from([None, 0, 1, 2]))
def test_a_lens_and_a_negative_always_fulfil_their_definitions(
    images, magnification, pixels, sources
):
    cells = {
        "n_source_im": images,
        "mag_eff": magnification,
        "n_pix_source": pixels,
        "n_sources": sources,
    }
    text = {key: "" if value is None else repr(value) for key, value in cells.items()}
    row = Row("here", "1", text, "")
    config = Bologna2Dataset(reader="bologna2", catalogue="c", images="i", **common("bologna2"))
    label, flags = label_of(row, config)
    big = [
        value is not None and value > least
        for value, least in ((images, 0), (magnification, 1.6), (pixels, 20))
    ]
    assert (label == 1) == all(big)
    if label == 0:
        assert sources == 0
        assert not images
        assert not pixels
    assert len(flags) == (big.count(False) if label == -1 else 0)


def test_rows_that_cannot_be_used_are_rejected_by_line_and_the_others_read(tmp_path):
    rows = [LENS, EMPTY, LENS | {"mag_eff": "many"}, LENS]
    challenge(tmp_path, rows, bands=("EUC_VIS",))
    path = tmp_path / "catalogue.csv"
    text = path.read_text()
    lines = text.splitlines()
    lines[-1] = lines[-1].replace("200003", "200000")
    lines.append("4,200004,1,2")
    path.write_text("\n".join(lines) + "\n")
    cutouts, rejected = read_all(dataset(tmp_path, bands=["EUC_VIS"]), tmp_path)
    assert [c.metadata.sample_id for c in cutouts] == ["set-200000", "set-200001"]
    reasons = [r.reason for r in rejected]
    assert "line 32, ID 200002: mag_eff is 'many'" in reasons[0]
    assert "this ID stands in line 30 too" in reasons[1]
    assert "4 values for 27 columns" in reasons[2]


def test_a_missing_file_of_a_listed_band_is_a_rejection_that_names_it(tmp_path):
    sample = challenge(tmp_path, [LENS, EMPTY])
    (tmp_path / "Public/EUC_Y/imageEUC_Y-200000.fits").unlink()
    cutouts, rejected = read_all(sample, tmp_path)
    assert [c.metadata.sample_id for c in cutouts] == ["set-200001"]
    assert "imageEUC_Y-200000.fits" in rejected[0].reason
    fewer = dataset(tmp_path, bands=["EUC_VIS", "EUC_J"])
    assert len(read_all(fewer, tmp_path)[0]) == 2


@pytest.mark.parametrize("damage", ["truncated", "shape", "nan"])
def test_a_broken_file_costs_its_object_and_no_other(tmp_path, damage):
    sample = challenge(tmp_path, [LENS, EMPTY])
    broken = tmp_path / "Public/EUC_H/imageEUC_H-200000.fits"
    if damage == "truncated":
        truncate(broken)
    else:
        shape = (200, 200) if damage == "shape" else (66, 66)
        fits.writeto(broken, np.full(shape, np.nan, np.float32), overwrite=True)
    cutouts, rejected = read_all(sample, tmp_path)
    assert [c.metadata.sample_id for c in cutouts] == ["set-200001"]
    assert "imageEUC_H-200000.fits" in rejected[0].reason


def test_only_present_takes_the_rows_that_have_images(tmp_path):
    rows = [{"ID": 200000 + k, **LENS} for k in range(4)]
    challenge(tmp_path, [LENS, LENS], bands=("EUC_VIS",))
    (tmp_path / "catalogue.csv").write_text(catalogue_text(rows))
    every = dataset(tmp_path, bands=["EUC_VIS"])
    assert len(read_all(every, tmp_path)[1]) == 2
    sample = dataset(tmp_path, bands=["EUC_VIS"], only_present=True)
    cutouts, rejected = read_all(sample, tmp_path)
    assert (len(cutouts), len(rejected)) == (2, 0)


def test_another_layout_is_named_by_the_pattern(tmp_path):
    challenge(tmp_path, [LENS], bands=("EUC_VIS",))
    (tmp_path / "Public/EUC_VIS/imageEUC_VIS-200000.fits").rename(tmp_path / "Public/v200000.fits")
    (tmp_path / "catalogue.csv").write_text(catalogue_text([{"ID": "200000.0", **LENS}]))
    with pytest.raises(ValidationError, match="pattern"):
        dataset(tmp_path, pattern="v{id}.fits")
    (tmp_path / "Public/EUC_VIS.d").mkdir()
    (tmp_path / "Public/v200000.fits").rename(tmp_path / "Public/EUC_VIS.d/200000.fits")
    sample = dataset(tmp_path, bands=["EUC_VIS"], pattern="{band}.d/{id}.fits", only_present=True)
    assert read_all(sample, tmp_path)[0][0].metadata.sample_id == "set-200000"


def test_a_table_that_is_not_the_catalogue_is_an_error_that_names_the_column(tmp_path):
    sample = challenge(tmp_path, [LENS])
    header = [name for name in HEADER if name != "mag_eff"]
    (tmp_path / "catalogue.csv").write_text(catalogue_text([{"ID": 200000, **LENS}], header))
    with pytest.raises(ValueError, match=r"catalogue\.csv: no column mag_eff"):
        read_all(sample, tmp_path)


def test_a_chunk_reads_the_same_objects_as_the_whole(tmp_path):
    challenge(tmp_path, [LENS, EMPTY] * 2, bands=("EUC_VIS",))
    sample = dataset(tmp_path, bands=["EUC_VIS"])
    manifest = raw_manifest(raw_files(sample), tmp_path / "hashes.json")
    part = list(reader_of(sample).read("set", sample, 1, 3, manifest))
    whole, _ = read_all(sample, tmp_path)
    assert [str(c.metadata) for c in part] == [str(c.metadata) for c in whole[1:3]]
