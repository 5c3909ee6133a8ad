"""Votes and names of Galaxy Zoo tables, and the votes as metadata."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lenshunt.raw.galaxy_zoo import _vote, position_of_name
from lenshunt.records import COLUMNS, Metadata, validate_table
from lenshunt.records.metadata import table_from_records


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
