"""The lock of a killed run goes away, that of a running one stays."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from lenshunt.core import note_run, remove_stale_lock
from lenshunt.core.stale_lock import running_in


@pytest.fixture
def locked(tmp_path):
    """A working folder that a local run has locked and not unlocked."""
    note_run(tmp_path, jobs_are_local=True)
    locks = tmp_path / ".snakemake" / "locks"
    locks.mkdir()
    (locks / "0.output.lock").write_text("results/a\n")
    return tmp_path


def test_the_lock_of_a_killed_local_run_is_removed_once(locked):
    assert remove_stale_lock(locked)
    assert not (locked / ".snakemake" / "locks").exists()
    assert not remove_stale_lock(locked)


@contextmanager
def python_process(folder, name):
    """A Python process with `name` in its command, at work in `folder`; yields its id."""
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", name]
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as job:
        # Its command line can be read only once it is at work.
        job.stdout.readline()
        yield job.pid
        job.stdin.close()


@pytest.mark.parametrize("name", ["snakemake", ".snakemake/scripts/tmp1.records.py"])
def test_a_process_of_a_run_in_the_folder_keeps_the_lock(locked, name):
    with python_process(locked, name) as pid:
        assert running_in(locked) == [pid]
        assert not remove_stale_lock(locked)
    assert remove_stale_lock(locked)


def test_the_lock_of_a_run_elsewhere_stays(locked):
    note = locked / ".snakemake/lenshunt/run.json"
    note.write_text(json.dumps({"host": "another", "local": True}))
    assert not remove_stale_lock(locked)
    note_run(locked, jobs_are_local=False)
    assert not remove_stale_lock(locked)


def test_without_a_note_or_a_lock_nothing_is_touched(tmp_path):
    assert not remove_stale_lock(tmp_path)
    note_run(tmp_path, jobs_are_local=True)
    assert not remove_stale_lock(tmp_path)


def test_the_lock_of_another_user_stays(locked, monkeypatch):
    monkeypatch.setattr("os.getuid", lambda: os.stat(locked).st_uid + 1)
    assert not remove_stale_lock(locked)


def test_a_run_is_found_by_its_folder_whatever_the_path(locked, tmp_path_factory):
    link = tmp_path_factory.mktemp("links") / "folder"
    link.symlink_to(locked)
    with python_process(link, "snakemake"):
        assert not remove_stale_lock(locked)
        assert not remove_stale_lock(link)
