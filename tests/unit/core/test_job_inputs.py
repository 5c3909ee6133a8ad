"""Scripts take the inputs of their jobs apart."""

import pytest

from lenshunt.core import by_chunk_counts, optional_file


def test_a_file_that_may_be_missing_is_told_from_none():
    assert optional_file(["probe.json"]) == "probe.json"
    assert optional_file([]) is None
    with pytest.raises(ValueError, match=r"at most one file expected, got a\.json, b\.json"):
        optional_file(["a.json", "b.json"])


def test_files_come_back_to_their_data_sets_in_order():
    counts = {"b": 2, "none": 0, "a": 1}
    assert by_chunk_counts(["b0", "b1", "a0"], counts) == {
        "b": ["b0", "b1"],
        "none": [],
        "a": ["a0"],
    }


@pytest.mark.parametrize("files", [["b0"], ["b0", "b1", "a0"]])
def test_files_that_do_not_fit_their_counts_are_refused(files):
    with pytest.raises(ValueError, match="files for 2 chunks"):
        by_chunk_counts(files, {"b": 2})
