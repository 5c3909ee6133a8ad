"""Trainings for the tests of faults: one that kills itself, and several processes as one.

`python training_ranks.py FOLDER` trains what `hard_training` describes and dies in its third epoch.
"""

import os
import signal
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from small_models import SMALL
from training_toy import SIZE, MemoryLoader, ToySurvey, alternating

from lenshunt import dataset
from lenshunt.config import Grid, LossTerm, ModelConfig, TrainingConfig
from lenshunt.training.lightning_module import Fitting
from lenshunt.training.train import train


def hard_survey() -> ToySurvey:
    """Toys whose Einstein radii are known."""
    survey = ToySurvey(train=alternating(24), val_select=alternating(8))
    for table, _ in survey.parts.values():
        table["einstein_radius"] = np.where(table["label"] == 1, 8 * 0.168, np.nan)
    return survey


def hard_training(folder: Path, name: str) -> None:
    """A training with everything that draws random numbers or has a state: loss terms that rise
    by a schedule, attacks, noise, dropped bands, accumulated batches, averaged weights, bf16."""
    index = folder / "index.json"
    index.write_text("{}")
    terms = {
        term: LossTerm(weight=0.1, warmup_epochs=2.0)
        for term in ("physics", "shear", "lens_equation", "simulated")
    }
    train(
        indexes=[str(index)],
        exclusions=None,
        model=ModelConfig(
            architecture="pinn_lens",
            backbone="small",
            parameters=SMALL["pinn_lens"],
            loss_terms=terms,
        ),
        training=TrainingConfig(
            epochs=4,
            batch_size=8,
            accumulate_batches=2,
            learning_rate=3e-3,
            band_dropout=0.2,
            precision="bf16",
            adversarial={"steps": 1, "epsilon_sigma": 0.3},
        ),
        seed=5,
        pretrained=None,
        checkpoint=str(folder / f"{name}.pt"),
        history=str(folder / f"{name}.csv"),
        log_dir=str(folder / f"{name}.log"),
        threads=1,
        grid=Grid(psf_fwhm_arcsec=0.8, pixel_scale_arcsec=0.168, size_px=SIZE),
    )


def die_in_the_middle_of_epoch_2(folder: Path) -> None:
    """SIGKILL after the second of three batches: no handler, no last words."""
    step = Fitting.training_step

    def last_step(self: Fitting, batch: dict, batch_number: int) -> torch.Tensor:
        if (self.current_epoch, batch_number) == (2, 2):
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, batch, batch_number)

    survey = hard_survey()
    with (
        mock.patch.object(Fitting, "training_step", last_step),
        mock.patch.object(dataset, "make_loader", survey.make_loader),
    ):
        hard_training(folder, "cut")


def full_rank(rank: int) -> None:
    """A process whose GPU has no room left."""
    raise torch.OutOfMemoryError(f"CUDA out of memory on rank {rank} (simulated)")


class PlainFitting(Fitting):
    """Trains on images as they are: what is drawn at random differs from process to process."""

    def training_step(self, batch: dict, batch_number: int) -> torch.Tensor:
        with mock.patch("lenshunt.training.lightning_module.augment", lambda batch, *others: batch):
            return super().training_step(batch, batch_number)


class RankLoader(MemoryLoader):
    """Every world-th row from `rank` on: batches of all ranks together are those of one process."""

    def __init__(self, part: tuple, batch_size: int, rank: int, world: int) -> None:
        super().__init__(*part, batch_size=batch_size)
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return len(self.table) // self.world // self.batch_size

    def __iter__(self):
        order = np.random.default_rng(self.epoch).permutation(len(self.table))
        rows = order[self.rank :: self.world]
        for start in range(0, len(rows), self.batch_size):
            yield self.batch(rows[start : start + self.batch_size])


if __name__ == "__main__":
    die_in_the_middle_of_epoch_2(Path(sys.argv[1]))
