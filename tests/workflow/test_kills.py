"""A run that is killed (SIGKILL) at any moment goes on by the same command, to the same bytes.

LENSHUNT_KILLS sets how many kills the workflow suffers (default 3).
"""

import os
import random
import signal
import subprocess
import time

import pytest
from small_survey import Survey

KILLS = int(os.environ.get("LENSHUNT_KILLS", "3"))


@pytest.fixture(scope="module")
def survey(checkout, tmp_path_factory) -> Survey:
    folder = tmp_path_factory.mktemp("kills")
    return Survey(checkout.root, folder / "whole", {"one": 30, "two": 30}, chunks=3)


def kill_group(process: subprocess.Popen) -> None:
    """The end that a power cut or the memory killer makes: no process gets to clean up."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_killed_run_goes_on_by_the_same_command_to_the_same_bytes(survey, tmp_path):
    killed = survey.copy(tmp_path / "killed")
    started = time.monotonic()
    status, printed = survey.run()
    assert status == 0, printed[-4000:]
    duration = time.monotonic() - started
    expected = survey.products()
    assert len(expected) >= 25

    rng = random.Random(KILLS)
    locked = done = 0
    while done < KILLS:
        process = killed.start()
        try:
            # Short enough that a few kills fall into one run; it goes on after each.
            process.communicate(timeout=rng.uniform(0.02, 2.0 / KILLS + 0.1) * duration)
        except subprocess.TimeoutExpired:
            locked += (killed.root / ".snakemake" / "locks").is_dir()
            kill_group(process)
            done += 1
            for path, digest in killed.products().items():
                # What has its final name is whole; tables of a later stage may still be missing.
                assert path.endswith(".partial") or digest == expected[path], path
        else:
            assert process.returncode == 0
            killed = survey.copy(tmp_path / f"killed-{done}")
    status, printed = killed.run()
    assert status == 0, printed[-4000:]
    assert killed.products() == expected
    assert locked, "no kill found the workflow at work"
    status, printed = killed.run("-n")
    assert "Nothing to be done" in printed
