"""The loader gives every sample its own pixels, once where it must, in a repeatable order."""

from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
import torch
from dataset_samples import make_shards, pixels, record

from lenshunt.dataset import make_loader, read_table, shard_source
from lenshunt.schema import SLOTS, refuse_untrainable_labels

MODES = ("memmap", "stream")
ALL = ["train", "val_select", "val_calibrate", "test"]


@pytest.fixture(scope="module")
def indexes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    return [
        make_shards(
            folder / name, [record(i, dataset=name, psf_matched=i % 3 > 0) for i in range(n)]
        )
        for name, n in (("demo", 90), ("other", 41))
    ]


def rows_of(loader) -> list[int]:
    return [row for batch in loader for row in batch["row"].tolist()]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_row_carries_its_own_pixels_label_and_flags(indexes, mode, shuffle):
    loader = make_loader(indexes=indexes, splits=ALL, batch_size=8, loader=mode, shuffle=shuffle)
    assert len(loader) == 17
    seen = []
    for batch in loader:
        for i, row in enumerate(batch["row"].tolist()):
            sample = loader.table.iloc[row]
            image, variance = pixels(sample["sample_id"])
            np.testing.assert_array_equal(batch["image"][i].numpy(), image)
            np.testing.assert_array_equal(batch["variance"][i].numpy(), variance)
            assert batch["label"][i] == sample["label"]
            assert batch["confidence"][i] == sample["label_confidence"]
            assert batch["psf_matched"][i] == sample["psf_matched"]
            for band, slot in enumerate(SLOTS):
                assert batch["band_flags"][i, band] == sample[f"band_flags_{slot}"]
                assert batch["noise_corr"][i, band] == np.float32(sample[f"noise_corr_{slot}"])
            seen.append(row)
    assert sorted(seen) == list(range(131))
    assert torch.isinf(batch["variance"][:, 4]).all()
    others = {"row": torch.int64, "psf_matched": torch.bool}
    assert all(batch[name].dtype == others.get(name, torch.float32) for name in batch)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 2])
def test_validation_sees_each_sample_exactly_once_over_ranks_and_workers(
    indexes, mode, world, workers
):
    seen = []
    for rank in range(world):
        loader = make_loader(
            indexes=indexes,
            splits=["val_select", "test"],
            batch_size=4,
            loader=mode,
            workers=workers,
            rank=rank,
            world=world,
        )
        seen += rows_of(loader)
    assert sorted(seen) == list(range(len(loader.table)))
    assert set(loader.table["split"]) == {"val_select", "test"}


@pytest.mark.parametrize("mode", MODES)
def test_the_order_depends_on_seed_and_epoch_alone(indexes, mode):
    def rows(seed, epoch, workers=0):
        loader = make_loader(
            indexes=indexes,
            splits=["train"],
            batch_size=8,
            shuffle=True,
            seed=seed,
            loader=mode,
            workers=workers,
        )
        loader.set_epoch(epoch)
        return rows_of(loader)

    first = rows(1, 0)
    assert first == rows(1, 0)
    assert first != rows(1, 1)
    assert first != rows(2, 0)
    assert sorted(first) == sorted(rows(1, 0, workers=2))


@pytest.mark.parametrize("mode", MODES)
def test_training_ranks_get_equal_numbers_and_share_nothing(indexes, mode):
    parts = [
        rows_of(
            make_loader(
                indexes=indexes,
                splits=["train"],
                batch_size=8,
                shuffle=True,
                loader=mode,
                rank=rank,
                world=2,
            )
        )
        for rank in range(2)
    ]
    assert len(parts[0]) == len(parts[1])
    assert not set(parts[0]) & set(parts[1])


@pytest.mark.parametrize("mode", MODES)
def test_weights_are_followed_with_replacement(indexes, mode):
    table = read_table(indexes, ["train"])
    lens = (table["label"] == 1).to_numpy()
    weights = np.where(lens, 0.5 / lens.sum(), 0.5 / (~lens).sum())
    weights[np.flatnonzero(~lens)[0]] = 0.0
    loader = make_loader(
        indexes=indexes,
        splits=["train"],
        batch_size=10,
        shuffle=True,
        loader=mode,
        weights=weights,
        samples_per_epoch=400,
    )
    assert len(loader) == 40
    rows = np.array(rows_of(loader))
    counts = np.bincount(rows, minlength=len(table))
    expected = 400 * weights / weights.sum()
    assert (abs(counts - expected) < 1.0 + 1e-9).all()
    assert counts[weights == 0].sum() == 0
    # lenses are spread over the epoch, not bunched
    assert abs(lens[rows[:200]].mean() - 0.5) < 0.15


def test_streaming_opens_each_shard_once_and_holds_few(indexes, monkeypatch):
    monkeypatch.setattr(shard_source, "RESIDENT_BYTES", 0.0)
    read = []
    real = shard_source.StreamedShards._read

    def counted(self, number):
        assert len(self._open) < shard_source.OPEN_SHARDS
        read.append(number)
        return real(self, number)

    monkeypatch.setattr(shard_source.StreamedShards, "_read", counted)
    loader = make_loader(
        indexes=indexes, splits=["train"], batch_size=8, shuffle=True, loader="stream", seed=4
    )
    assert sorted(rows_of(loader)) == list(range(len(loader.table)))
    assert sorted(read) == list(range(loader.table["shard"].nunique()))


def test_the_state_resumes_in_the_middle_of_an_epoch(indexes):
    options = {"indexes": indexes, "splits": ["train"], "batch_size": 8, "shuffle": True}
    whole = make_loader(**options)
    whole.set_epoch(3)
    expected = [batch["row"].tolist() for batch in whole]
    cut = make_loader(**options)
    cut.set_epoch(3)
    batches = iter(cut)
    started = [next(batches)["row"].tolist() for _ in range(4)]
    resumed = make_loader(**options)
    resumed.load_state_dict(cut.state_dict())
    assert started + [batch["row"].tolist() for batch in resumed] == expected
    assert len([1 for _ in resumed]) == len(resumed)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_can_be_iterated_again(indexes, workers):
    loader = make_loader(indexes=indexes, splits=["test"], batch_size=4, workers=workers)
    first = rows_of(loader)
    assert rows_of(loader) == first
    next(iter(loader))
    assert rows_of(loader) == first


def test_excluded_samples_are_not_loaded(indexes, tmp_path):
    table = read_table(indexes, ["train"])
    gone = table.iloc[[0, 5]]
    path = tmp_path / "exclusions.parquet"
    pd.DataFrame(
        {
            "dataset": gone["dataset"],
            "sample_id": gone["sample_id"],
            "split": "train",
            "reason": "same object in split test",
            "other_dataset": "x",
            "other_sample_id": "y",
        }
    ).to_parquet(path)
    loader = make_loader(
        indexes=indexes, splits=["train"], exclusions=str(path), batch_size=8, loader="memmap"
    )
    assert len(loader.table) == len(table) - 2
    assert not set(gone["sample_id"]) & set(loader.table["sample_id"])
    sample = loader.table["sample_id"].iloc[int(next(iter(loader))["row"][0])]
    np.testing.assert_array_equal(next(iter(loader))["image"][0].numpy(), pixels(sample)[0])


def test_an_empty_split_is_an_empty_loader(indexes):
    loader = make_loader(indexes=indexes, splits=["search"], batch_size=8, shuffle=True)
    assert len(loader) == 0
    assert list(loader) == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_corrupt_shard_is_named_and_stops_the_job(tmp_path, mode, damage):
    index = make_shards(tmp_path, [record(i) for i in range(40)])
    shard = tmp_path / "shards" / "train-000001.tar"
    content = bytearray(shard.read_bytes())
    content[3000] ^= 1
    shard.write_bytes(content if damage == "flip" else content[:-512])
    with pytest.raises(ValueError, match=r"train-000001\.tar: corrupt shard"):
        rows_of(make_loader(indexes=[index], splits=["train"], batch_size=8, loader=mode))


def test_a_corrupt_shard_is_named_from_a_worker_process_too(tmp_path):
    index = make_shards(tmp_path, [record(i) for i in range(40)])
    shard = tmp_path / "shards" / "train-000000.tar"
    shard.write_bytes(shard.read_bytes()[:-512])
    loader = make_loader(
        indexes=[index], splits=["train"], batch_size=8, loader="stream", workers=1
    )
    with pytest.raises(ValueError, match=r"train-000000\.tar: corrupt shard"):
        rows_of(loader)


def test_shards_at_a_url_are_streamed_or_cached(tmp_path):
    make_shards(tmp_path, [record(i) for i in range(20)])
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "index.json"), "/survey/index.json")
    for path in (tmp_path / "shards").iterdir():
        memory.put(str(path), f"/survey/shards/{path.name}")
    url = "memory://survey/index.json"
    options = {"indexes": [url], "splits": ["train"], "batch_size": 8}
    streamed = rows_of(make_loader(**options, loader="stream"))
    cached = rows_of(make_loader(**options, loader="memmap", cache_dir=str(tmp_path / "cache")))
    assert streamed == cached == list(range(len(cached)))
    assert len(cached) >= 14
    assert len(list((tmp_path / "cache").iterdir())) == 2
    with pytest.raises(ValueError, match="needs shards on this machine"):
        make_loader(**options, loader="memmap")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"splits": ["valid"]}, "unknown split valid; the splits are train"),
        ({"weights": np.ones(3), "shuffle": True}, r"shape \(3,\)"),
        ({"weights": np.ones(3)}, "need shuffle=True"),
        ({"samples_per_epoch": 5}, "needs shuffle=True"),
        ({"rank": 2, "world": 2}, "rank 2 of 2"),
        ({"loader": "fast"}, "auto, stream or memmap"),
    ],
)
def test_wrong_arguments_are_refused_in_a_sentence(indexes, changes, message):
    options = {"indexes": indexes, "splits": ["train"], "batch_size": 8, **changes}
    with pytest.raises(ValueError, match=message):
        make_loader(**options)


def test_a_data_set_named_twice_is_refused(indexes):
    with pytest.raises(ValueError, match=r"index\.json.* occurs twice.*; name every data set once"):
        make_loader(indexes=[indexes[0], indexes[0]], splits=["train"], batch_size=8)


def test_shards_can_be_moved_with_their_index(indexes, tmp_path):
    here = Path(indexes[0]).parent
    there = tmp_path / "moved"
    here_table = read_table([indexes[0]], ["train"])
    there.mkdir()
    for path in (here / "index.json", *(here / "shards").iterdir()):
        target = there / path.relative_to(here)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    loader = make_loader(indexes=[str(there / "index.json")], splits=["train"], batch_size=8)
    assert len(rows_of(loader)) == len(here_table)


@pytest.mark.parametrize(
    "source, label",
    [
        ("pretrain:galaxiesml", -1),
        ("weak:gzoo", -1),
        ("unlabelled", -1),
        ("sim:bologna", -1),
    ],
)
def test_samples_without_a_lens_label_never_reach_a_classification_loss(source, label):
    table = pd.DataFrame(
        {
            "sample_id": ["good", "bad"],
            "label": [1, label],
            "label_source": ["sim:demo", source],
        }
    )
    refuse_untrainable_labels(table.iloc[:1])
    with pytest.raises(ValueError, match=f"bad: label -1 of source '{source}'"):
        refuse_untrainable_labels(table)
