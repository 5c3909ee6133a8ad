"""The toy survey, in memory and in shards, that tests of training share."""

from pathlib import Path

import numpy as np
import pytest
from training_runs import COUNTS
from training_toy import ToySurvey, alternating, toy_images, toy_table

from lenshunt import dataset
from lenshunt.dataset import write_shards
from lenshunt.dataset.folds import NO_FOLD


@pytest.fixture
def toy(monkeypatch) -> ToySurvey:
    """84 toy samples in four splits, which `lenshunt.dataset.make_loader` gives from then on."""
    survey = ToySurvey(
        train=alternating(48),
        val_select=alternating(16),
        val_calibrate=alternating(8),
        test=alternating(12),
    )
    monkeypatch.setattr(dataset, "make_loader", survey.make_loader, raising=False)
    return survey


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
