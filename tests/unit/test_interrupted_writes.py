"""A stage that is killed, or whose disk fills up, leaves no file that passes for a whole one."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import data_stages
import pytest

#: Kills of every stage; they fall at random into its run.
KILLS = 3


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, dict[str, float]]:
    """A folder in which every stage has run, and how long each took."""
    folder = tmp_path_factory.mktemp("finished")
    seconds = {}
    for name, stage in data_stages.STAGES.items():
        started = time.monotonic()
        stage(folder)
        seconds[name] = time.monotonic() - started
    return folder, seconds


def digests(folder: Path, stage: str) -> dict[str, str]:
    """sha256 of the products of a stage that have their final names."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.glob(data_stages.PRODUCTS[stage])
        if "partial" not in path.name and path.is_file()
    }


def before(finished: Path, folder: Path, stage: str) -> Path:
    """A copy of the finished folder without the products of `stage`."""
    shutil.copytree(finished, folder)
    for path in folder.glob(data_stages.PRODUCTS[stage]):
        path.unlink()
    return folder


def start(stage: str, folder: Path, limit: int) -> subprocess.Popen[str]:
    script = Path(data_stages.__file__)
    process = subprocess.Popen(
        [sys.executable, str(script), stage, str(folder), str(limit)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    return process


@pytest.mark.slow
@pytest.mark.parametrize("stage", data_stages.STAGES)
def test_a_killed_stage_leaves_nothing_half_under_a_final_name(finished, tmp_path, stage):
    whole, seconds = finished
    expected = digests(whole, stage)
    assert expected
    rng = random.Random(stage)
    for kill in range(KILLS):
        folder = before(whole, tmp_path / str(kill), stage)
        process = start(stage, folder, limit=0)
        time.sleep(rng.uniform(0.0, 2.0 * seconds[stage]))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        for path, digest in digests(folder, stage).items():
            assert digest == expected[path], path
        data_stages.STAGES[stage](folder)
        assert digests(folder, stage) == expected


#: Bytes that a file may have, and the file whose writing fails then.
FULL = [
    ("prepare", 20_000, "records.h5"),
    ("kernels", 20_000, "kernels.h5"),
    ("homogenise", 6_000, "cutouts.tif"),
    ("homogenise", 44_240, "cutouts.tif"),
    ("splits", 500, "splits.parquet"),
    ("shards", 20_000, "shards"),
    ("shards", 46_500, "samples.parquet"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "limit", "name"), FULL)
def test_a_full_disk_is_told_with_the_file_and_leaves_nothing_corrupt(
    finished, tmp_path, stage, limit, name
):
    whole, _ = finished
    folder = before(whole, tmp_path / "full", stage)
    process = start(stage, folder, limit)
    told = process.communicate(timeout=120)[1]
    assert process.returncode != 0
    if name.endswith(".h5"):
        # HDF5 ends the process with a signal while it closes the file; its own words must do.
        log = (folder / "job.log").read_text()
        assert f"{name}.partial" in log
        assert "error message = 'File too large'" in log
    else:
        assert "No room left to write" in told
        assert "bytes are free on the disk" in told
    # What is left under a .partial name is written anew by the next attempt; of shards, nothing.
    if stage == "shards":
        assert not list(folder.rglob("*.partial*"))
    expected = digests(whole, stage)
    left = digests(folder, stage)
    assert all(expected[path] == digest for path, digest in left.items())
    assert not any(path.endswith((name, "index.json")) for path in left)
    data_stages.STAGES[stage](folder)
    assert digests(folder, stage) == expected


def test_an_index_never_names_shards_that_are_being_replaced(finished, tmp_path, monkeypatch):
    whole, _ = finished
    folder = tmp_path / "again"
    shutil.copytree(whole, folder)
    assert json.loads((folder / "shards/index.json").read_text())["samples"] == 3

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("lenshunt.dataset.shard_writer.SplitWriter.add", stop)
    with pytest.raises(KeyboardInterrupt):
        data_stages.shards(folder)
    assert not (folder / "shards/index.json").exists()
