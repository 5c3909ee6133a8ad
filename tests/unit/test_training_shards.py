"""Training and prediction on real shards, through the dataset room's own loader."""

import gc
import multiprocessing
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from test_models_registry import small
from training_toy import alternating, toy_images, toy_table

from lenshunt.config import TrainingConfig
from lenshunt.dataset import write_shards
from lenshunt.dataset.folds import NO_FOLD
from lenshunt.training import load_checkpoint, predict, train

COUNTS = {"train": 24, "val_select": 8, "val_calibrate": 6, "test": 10}


@pytest.fixture
def index(tmp_path: Path) -> str:
    """Index of the shards of 48 toy samples."""
    labels = alternating(sum(COUNTS.values()))
    table = toy_table(labels)
    image, variance = toy_images(labels)
    metadata = tmp_path / "metadata.parquet"
    table.to_parquet(metadata)
    split = np.repeat(list(COUNTS), list(COUNTS.values()))
    table[["sample_id"]].assign(split=split, **NO_FOLD).to_parquet(tmp_path / "splits.parquet")
    write_shards(
        cutouts=[("toy.tif", str(metadata))],
        splits=str(tmp_path / "splits.parquet"),
        quality_threshold=0.5,
        drop_unmatched=False,
        folder=str(tmp_path / "shards"),
        index=str(tmp_path / "index.json"),
        samples_per_shard=10,
        read=lambda tiff, parquet: iter([(image, variance, table)]),
    )
    return str(tmp_path / "index.json")


def run(folder: Path, index: str, name: str, **changes) -> dict:
    training = {"epochs": 2, "batch_size": 8, **changes}
    train(
        indexes=[index],
        exclusions=None,
        model=small("resnet"),
        training=TrainingConfig(**training),
        seed=1,
        pretrained=None,
        checkpoint=str(folder / f"{name}.pt"),
        history=str(folder / f"{name}.csv"),
        log_dir=str(folder / f"{name}.log"),
        threads=1,
        name="toy",
    )
    return load_checkpoint(folder / f"{name}.pt", "classifier")


@pytest.mark.parametrize("loader", ["memmap", "stream"])
def test_shards_go_in_and_scores_of_every_sample_come_out(tmp_path, index, loader):
    assert run(tmp_path, index, "a", loader=loader)["name"] == "toy"
    predict(
        checkpoint=str(tmp_path / "a.pt"),
        indexes=[index],
        splits=["val_select", "val_calibrate", "test"],
        exclusions=None,
        out=str(tmp_path / "scores.parquet"),
    )
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    assert scores["split"].value_counts().to_dict() == {k: COUNTS[k] for k in list(COUNTS)[1:]}
    assert np.isfinite(scores["logit"]).all()


def test_no_loader_of_before_the_training_keeps_processes_during_it(tmp_path, index, monkeypatch):
    module = sys.modules["lenshunt.training.train"]
    found, fit_within_memory = [], module.fit_within_memory

    def counted(*arguments):
        gc.collect()
        found.append(len(multiprocessing.active_children()))
        return fit_within_memory(*arguments)

    monkeypatch.setattr(module, "fit_within_memory", counted)
    run(tmp_path, index, "a", epochs=1, workers=2)
    assert found == [0]


@pytest.mark.slow
def test_two_processes_train_together(tmp_path, index):
    found = run(tmp_path, index, "two", devices=2)
    assert all(torch.isfinite(v).all() for v in found["state"].values())
    history = pd.read_csv(tmp_path / "two.csv")
    assert len(history) == 2
    assert history["val_auroc"].notna().all()
