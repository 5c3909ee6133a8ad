"""Training and prediction on real shards, through the dataset room's own loader."""

import gc
import multiprocessing
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from training_runs import COUNTS, train_on_shards

from lenshunt.training import predict

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("loader", ["memmap", "stream"])
def test_shards_go_in_and_scores_of_every_sample_come_out(tmp_path, index, loader):
    assert train_on_shards(tmp_path, index, "a", loader=loader)["name"] == "toy"
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
    train_on_shards(tmp_path, index, "a", epochs=1, workers=2)
    assert found == [0]


def test_two_processes_train_together(tmp_path, index):
    found = train_on_shards(tmp_path, index, "two", devices=2)
    assert all(torch.isfinite(v).all() for v in found["state"].values())
    history = pd.read_csv(tmp_path / "two.csv")
    assert len(history) == 2
    assert history["val_auroc"].notna().all()
