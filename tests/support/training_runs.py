"""Short trainings of small models: on the toy survey in memory or in shards, whole or killed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from small_models import small

from lenshunt.config import TrainingConfig
from lenshunt.training import load_checkpoint, train
from lenshunt.training.progress import Progress

QUICK = {"batch_size": 16, "precision": "32", "learning_rate": 3e-3, "ema_decay": 0.9}

#: Samples in the shards of the fixture `index`.
COUNTS = {"train": 24, "val_select": 8, "val_calibrate": 6, "test": 10}


def paths(folder: Path, name: str = "a") -> dict:
    """Arguments of a training, NAME.pt and NAME.csv among them, on an index that nobody reads."""
    index = folder / "index.json"
    index.write_text("{}")
    return {
        "indexes": [str(index)],
        "exclusions": None,
        "checkpoint": str(folder / f"{name}.pt"),
        "history": str(folder / f"{name}.csv"),
    }


def run(folder: Path, name: str = "a", architecture: str = "resnet", **changes) -> dict:
    """Train a small model; returns its checkpoint."""
    arguments = {
        **paths(folder, name),
        "model": small(architecture),
        "training": TrainingConfig(**{"epochs": 2, **QUICK, **changes}),
        "seed": 3,
        "pretrained": None,
        "log_dir": str(folder / f"{name}.log"),
        "threads": 1,
    }
    train(**arguments)
    return load_checkpoint(arguments["checkpoint"], "classifier")


def same_weights(a: dict, b: dict) -> bool:
    return all(torch.equal(a["state"][name], b["state"][name]) for name in a["state"])


def train_on_shards(folder: Path, index: str, name: str, **changes) -> dict:
    """Train a small ResNet on the shards of `index`; returns its checkpoint."""
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


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


@contextmanager
def killed_at(epoch: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within, a training dies when it starts `epoch` (from 0); fails the test where none does."""
    ordinary = Progress.on_train_epoch_start

    def die(self, trainer, pl_module):
        if trainer.current_epoch == epoch:
            raise Killed
        ordinary(self, trainer, pl_module)

    with monkeypatch.context() as patched:
        patched.setattr(Progress, "on_train_epoch_start", die)
        with pytest.raises(Killed):
            yield
