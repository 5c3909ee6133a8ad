"""A survey team's own field: rows of its catalogue that lack a name, a position or a label."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from raw_samples import noise_image, read_all, tan_header
from test_raw_field import SCALE, SHAPE, catalogue, field


def test_a_masked_name_is_no_name(tmp_path):
    path = catalogue(tmp_path, "ecsv", [("a", 100.0, 90.0), ("", 30.0, 150.0)], ("name", "x", "y"))
    table = Table.read(path, format="ascii.ecsv")
    table["name"] = np.ma.array(table["name"], mask=[False, True])
    table.write(path, format="ascii.ecsv", overwrite=True)
    cutouts, rejected = read_all(field(tmp_path, catalogue=path), tmp_path)
    assert [c.metadata.sample_id for c in cutouts] == ["set-a"]
    assert "the name is empty" in rejected[0].reason


def test_a_sentinel_in_place_of_a_position_leaves_the_pixels(tmp_path):
    rows = [("a", 100.5, 90.5, -99.0, -99.0), ("b", 30.0, 150.0, 150.0, 2.0)]
    path = catalogue(tmp_path, rows=rows, names=("name", "x", "y", "ra", "dec"))
    cutouts, rejected = read_all(field(tmp_path, catalogue=path), tmp_path)
    assert not rejected
    assert [c.metadata.ra for c in cutouts] == pytest.approx([150.0, 150.0], abs=1e-6)


def test_positions_that_a_distortion_cannot_place_are_not_observed(tmp_path):
    header = tan_header(SHAPE, SCALE)
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    header["A_ORDER"] = header["B_ORDER"] = 3
    header["A_2_0"], header["B_0_2"], header["A_3_0"], header["B_0_3"] = 2e-3, -2e-3, 1e-5, -1e-5
    fits.writeto(tmp_path / "g.fits", noise_image(SHAPE), header)
    rng = np.random.default_rng(1)
    ra, dec = 150 + rng.uniform(-0.012, 0.012, 50), 2 + rng.uniform(-0.012, 0.012, 50)
    rows = [("middle", 150.0, 2.0), *((f"o{k}", ra[k], dec[k]) for k in range(50))]
    path = catalogue(tmp_path, rows=rows, names=("name", "ra", "dec"))
    sample = field(tmp_path, images={"g": str(tmp_path / "g.fits")}, catalogue=path)
    cutouts, rejected = read_all(sample, tmp_path)
    assert not rejected
    assert cutouts[0].metadata.sample_id == "set-middle"
    assert 1 < len(cutouts) < 51


def test_an_object_without_a_label_has_no_source_of_labels(tmp_path):
    rows = [("a", 100.0, 90.0, 1), ("b", 30.0, 150.0, -1)]
    path = catalogue(tmp_path, rows=rows, names=("name", "x", "y", "label"))
    sample = field(tmp_path, "labelled", catalogue=path, label_source="obs:lens")
    labels = [
        (c.metadata.label, c.metadata.label_source, c.metadata.label_confidence)
        for c in read_all(sample, tmp_path)[0]
    ]
    assert labels == [(1, "obs:lens", 0.99), (-1, "unlabelled", 0.0)]
