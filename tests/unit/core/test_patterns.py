"""Files by glob patterns."""

import pytest

from lenshunt.core.patterns import existing, plain_names, resolve


def test_files_are_found_once_each_and_sorted(tmp_path):
    for name in ("b.fits", "a.fits", "c.txt"):
        (tmp_path / name).touch()
    found = resolve([f"{tmp_path}/*.fits", f"{tmp_path}/a*"])
    assert found == [f"{tmp_path}/a.fits", f"{tmp_path}/b.fits"]


def test_a_pattern_that_matches_nothing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no raw file matches") as raised:
        resolve([f"{tmp_path}/*.fits"])
    assert raised.value.filename == f"{tmp_path}/*.fits"


def test_names_without_patterns_and_bands_are_plain():
    assert plain_names(["a.fits", "*.fits", "a_{band}.fits", "[ab].fits"]) == ["a.fits"]


def test_only_files_exist(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "folder").mkdir()
    names = [None, *(str(tmp_path / name) for name in ("a", "folder", "none"))]
    assert existing(names) == [str(tmp_path / "a")]
