"""The loader in several processes, over HTTP, with damaged shards, cut off and resumed."""

import functools
import http.server
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_samples import make_shards, record
from loader_ranks import WORKERS, WORLD, read_as_rank

from lenshunt.dataset import make_loader, read_index, read_table, shard_source

MODES = ("memmap", "stream")
ALL = ["train", "val_select", "val_calibrate", "test"]


@pytest.fixture(scope="module")
def indexes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    return [
        make_shards(folder / name, [record(i, dataset=name) for i in range(n)])
        for name, n in (("demo", 90), ("other", 41))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_two_real_processes_with_two_workers_each_share_every_epoch(indexes, mode, tmp_path):
    torch.multiprocessing.start_processes(
        read_as_rank, (indexes, mode, str(tmp_path)), nprocs=WORLD, start_method="spawn"
    )
    ranks = json.loads((tmp_path / "seen.json").read_text())
    table = read_table(indexes, ["val_select", "test"])
    seen = [row for rank in ranks for worker in rank["validation"] for row in worker]
    assert sorted(seen) == list(range(len(table)))
    training = read_table(indexes, ["train"])
    for epoch in range(2):
        shares = [[row for part in rank[f"training {epoch}"] for row in part] for rank in ranks]
        assert len(shares[0]) == len(shares[1]) == len(training) // WORLD
        assert not set(shares[0]) & set(shares[1])
    assert ranks[0]["training 0"] != ranks[0]["training 1"]


@pytest.mark.parametrize("shuffle", [False, True])
def test_streaming_workers_of_all_ranks_read_shards_of_their_own(indexes, shuffle, monkeypatch):
    monkeypatch.setattr(shard_source, "RESIDENT_BYTES", 0.0)
    readers: list[set[str]] = []
    for rank in range(WORLD):
        loader = make_loader(
            indexes=indexes, splits=ALL, batch_size=2, loader="stream", workers=WORKERS,
            rank=rank, world=WORLD, shuffle=shuffle,
        )  # fmt: skip
        shards = loader.table["shard"].to_numpy()
        for worker in range(WORKERS):
            rows = np.concatenate(loader._batches[worker::WORKERS])
            readers.append(set(shards[rows]))
    total = sum(len(shards) for shards in readers)
    # A run of rows begins and ends inside a shard; shuffled rows reach over SHUFFLE_SPAN shards.
    shared = (len(readers) - 1) * (2 if shuffle else 1)
    assert total <= len(set().union(*readers)) + shared


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_resumed_in_the_middle_gives_the_same_bits(indexes, mode, workers):
    def fresh():
        return make_loader(
            indexes=indexes, splits=["train"], batch_size=8, shuffle=True, seed=5,
            loader=mode, workers=workers, samples_per_epoch=100,
        )  # fmt: skip

    whole = fresh()
    whole.set_epoch(2)
    expected = list(whole)
    cut = fresh()
    cut.set_epoch(2)
    batches = iter(cut)
    started = [next(batches) for _ in range(5)]
    state = json.loads(json.dumps(cut.state_dict()))
    resumed = fresh()
    resumed.load_state_dict(state)
    together = [*started, *resumed]
    assert len(together) == len(expected) == 13
    for one, other in zip(together, expected, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def flip(shard: Path) -> None:
    content = bytearray(shard.read_bytes())
    content[3000] ^= 1
    shard.write_bytes(content)


def cut(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:-512])


def lengthen(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes() + bytes(512))


def of_another_run(shard: Path) -> None:
    """As many bytes, other samples: what an index of another run finds."""
    shard.write_bytes(np.random.default_rng(1).bytes(shard.stat().st_size))


DAMAGES = (flip, cut, lengthen, of_another_run, Path.unlink)


@pytest.mark.parametrize(
    ("mode", "workers", "damage"),
    [
        *((mode, 0, fault) for mode in MODES for fault in DAMAGES),
        # In memmap mode all shards are checked before there are workers.
        ("stream", 1, flip),
        ("stream", 1, Path.unlink),
    ],
)
def test_a_damaged_shard_is_named_with_the_remedy(tmp_path, mode, workers, damage):
    index = make_shards(tmp_path, [record(i) for i in range(40)])
    damage(tmp_path / "shards" / "train-000001.tar")
    with pytest.raises(ValueError, match=r"train-000001\.tar: corrupt shard: .*make both again"):
        list(
            make_loader(
                indexes=[index], splits=["train"], batch_size=8, loader=mode, workers=workers
            )
        )


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("index.json", cut, r"index\.json: no whole shard index .*make the shards again"),
        ("index.json", lambda p: p.write_text("{}"), r"index\.json: metadata schema none found"),
        (
            "index.json",
            lambda p: p.write_text('{"schema_version": "2.0"}'),
            r"no whole shard index",
        ),
        ("shards/samples.parquet", flip, r"samples\.parquet: corrupt shard"),
        ("shards/samples.parquet", Path.unlink, r"samples\.parquet: corrupt shard: it is missing"),
    ],
)
def test_a_damaged_index_or_table_is_named_with_the_remedy(tmp_path, name, damage, says):
    index = make_shards(tmp_path, [record(i) for i in range(40)])
    path = tmp_path / name
    if damage is cut and path.stat().st_size < 600:
        pytest.fail("the index is smaller than what is cut off")
    damage(path)
    with pytest.raises(ValueError, match=says):
        make_loader(indexes=[index], splits=["train"], batch_size=8)


#: A job of its own: torch's handler of ended children raises wherever the process happens to be,
#: which would be pytest's own code as well.
KILLED_WORKERS = """
import os, signal, sys
from lenshunt.dataset import make_loader

loader = make_loader(
    indexes=sys.argv[1:], splits=["train"], batch_size=1, workers=2, shuffle=True
)
batches = iter(loader)
next(batches)
for worker in loader._processes._iterator._workers:
    os.kill(worker.pid, signal.SIGKILL)
for _ in batches:
    pass
"""


@pytest.mark.slow
def test_a_killed_worker_ends_the_job_with_a_sentence(indexes):
    job = subprocess.run(
        [sys.executable, "-c", KILLED_WORKERS, *map(str, indexes)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert job.returncode == 1
    said = re.search(r"RuntimeError: .*a loader process was killed .* workers", job.stderr)
    assert said, job.stderr


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        return


@pytest.fixture
def web(tmp_path):
    """(address, folder) of a web server on this machine."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", folder
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(("mode", "workers"), [("memmap", 0), ("stream", 0), ("stream", 1)])
def test_shards_on_a_web_server_are_read_and_damage_is_named(web, tmp_path, mode, workers):
    address, folder = web
    local = make_shards(folder, [record(i) for i in range(40)])
    options = {"splits": ["train"], "batch_size": 8, "loader": mode, "workers": workers}
    cache = str(tmp_path / "cache") if mode == "memmap" else None
    remote = make_loader(indexes=[f"{address}/index.json"], cache_dir=cache, **options)
    for one, other in zip(remote, make_loader(indexes=[local], **options), strict=True):
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["variance"], other["variance"])
    flip(folder / "shards" / "train-000002.tar")
    cache = str(tmp_path / "other") if mode == "memmap" else None
    with pytest.raises(ValueError, match=r"http://.*train-000002\.tar: corrupt shard"):
        list(make_loader(indexes=[f"{address}/index.json"], cache_dir=cache, **options))


def test_a_missing_index_on_a_web_server_is_named(web):
    with pytest.raises(FileNotFoundError, match=r"http://.*/index\.json"):
        read_index(f"{web[0]}/index.json")
