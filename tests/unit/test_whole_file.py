"""A file appears under its own name whole or not at all."""

import pytest

from lenshunt.core import whole_file


def test_a_file_gets_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "folder" / "table.csv"
    with whole_file(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_file_of_before_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("before")
    with pytest.raises(ValueError, match="no numbers"), whole_file(path) as partial:
        partial.write_text("ha")
        raise ValueError("no numbers")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
