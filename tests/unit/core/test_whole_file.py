"""A file appears under its own name whole or not at all, and the common kinds are written so."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy import units
from astropy.table import Table

from lenshunt.core import (
    whole_file,
    whole_files,
    write_csv,
    write_ecsv,
    write_json,
    write_parquet,
    write_rows,
    write_text,
)


def test_a_file_gets_its_name_when_it_is_whole_in_a_folder_that_is_made(tmp_path):
    path = tmp_path / "folder" / "below" / "table.csv"
    with whole_file(path) as partial:
        partial.write_text("whole")
        assert partial == path.with_name("table.csv.partial")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("shared", [False, True])
def test_an_error_leaves_the_file_of_before_and_nothing_else(tmp_path, shared):
    path = tmp_path / "table.csv"
    path.write_text("before")
    with pytest.raises(ValueError, match="no numbers"), whole_file(path, shared) as partial:
        partial.write_text("ha")
        raise ValueError("no numbers")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_wrote_nothing_is_told_and_leaves_the_file_of_before(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("before")
    with pytest.raises(FileNotFoundError, match=r"table\.csv\.partial"), whole_file(path):
        pass
    assert path.read_text() == "before"


@pytest.mark.parametrize("shared", [False, True])
def test_a_killed_process_leaves_nothing_under_the_final_name(tmp_path, shared):
    script = f"""
        import os, signal
        from lenshunt.core import whole_file
        with whole_file({str(tmp_path / "table.csv")!r}, shared={shared}) as partial:
            partial.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert ended.returncode < 0
    assert not (tmp_path / "table.csv").exists()
    (left,) = tmp_path.iterdir()
    assert left.suffix == ".partial"
    write_text("whole", tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "whole"
    # What one writer left is written anew; a shared name might still be somebody's.
    assert left.exists() == shared


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_any_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_text("whole", tmp_path / "a")
        with whole_file(tmp_path / "b", shared=True) as partial:
            partial.write_text("whole")
    finally:
        os.umask(before)
    for name in ("a", "b"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o666 & ~mask


def test_of_two_writers_at_once_each_writes_its_own_and_the_last_to_end_wins(tmp_path):
    path = tmp_path / "cache.json"
    with whole_file(path, shared=True) as first:
        first.write_text("first")
        with whole_file(path, shared=True) as second:
            second.write_text("second")
        assert path.read_text() == "second"
        assert first.read_text() == "first"
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_many_processes_that_write_one_file_leave_a_whole_one(tmp_path):
    path, length = tmp_path / "cache.txt", 200_000
    script = f"""
        import sys
        from lenshunt.core import whole_file
        for _ in range(20):
            with whole_file({str(path)!r}, shared=True) as partial:
                partial.write_text(sys.argv[1] * {length})
            found = open({str(path)!r}).read()
            assert len(found) == {length} and len(set(found)) == 1
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    writers = [subprocess.Popen([*command, letter]) for letter in "abc"]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == [path]


def names_seen(folder: Path, monkeypatch) -> list[set[str]]:
    """Fills up with the names below `folder` before each file there gets its name."""
    seen: list[set[str]] = []
    replace = Path.replace

    def watched(self, target):
        seen.append({path.name for path in folder.iterdir() if path.suffix != ".partial"})
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    return seen


def test_files_that_belong_together_appear_together_the_key_file_last(tmp_path, monkeypatch):
    seen = names_seen(tmp_path, monkeypatch)
    for text in ("one", "two"):
        with whole_files(tmp_path / "table", tmp_path / "more", tmp_path / "key") as partials:
            for partial in partials:
                partial.write_text(text)
    # The second time round, too, the key file stands beside no file of the first.
    assert seen[:3] == [set(), {"table"}, {"table", "more"}]
    assert seen[3:] == [{"table", "more"}] * 3
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("table", "more", "key"), "two"
    )


def test_an_error_leaves_all_files_that_belong_together_as_they_were(tmp_path):
    paths = [tmp_path / "table", tmp_path / "key"]
    for path in paths:
        path.write_text("before")
    with pytest.raises(KeyboardInterrupt), whole_files(*paths) as partials:
        for partial in partials:
            partial.write_text("half")
        raise KeyboardInterrupt
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert {path.read_text() for path in paths} == {"before"}


def test_tables_are_read_back_as_they_were_written(tmp_path):
    table = pd.DataFrame({"name": ["a", "b,c"], "value": [1.0, np.pi]})
    write_csv(table, tmp_path / "t.csv", "%.3f")
    assert (tmp_path / "t.csv").read_text() == 'name,value\na,1.000\n"b,c",3.142\n'
    write_parquet(table, tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), table)
    measured = Table({"theta_e": [1.5] * units.arcsec}, meta={"n": 1})
    write_ecsv(measured, tmp_path / "t.ecsv")
    read = Table.read(tmp_path / "t.ecsv", format="ascii.ecsv")
    assert (read["theta_e"].unit, read.meta) == (units.arcsec, {"n": 1})
    assert not list(tmp_path.glob("*.partial"))


def test_rows_may_be_any_sequence_and_lines_end_as_asked(tmp_path):
    write_rows(["a", "b"], iter([(1, "x,y"), [2, ""]]), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == b'a,b\r\n1,"x,y"\r\n2,\r\n'
    write_rows(["a"], [("ü",)], tmp_path / "t.csv", line_end="\n")
    assert (tmp_path / "t.csv").read_bytes() == "a\nü\n".encode()


def test_json_refuses_nan_where_others_are_to_read_it(tmp_path):
    path = tmp_path / "n.json"
    write_json({"a": [1]}, path)
    assert path.read_text() == '{\n "a": [\n  1\n ]\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"a": float("nan")}, path, allow_nan=False)
    assert path.read_text() == '{\n "a": [\n  1\n ]\n}\n'
