"""Trainings of two processes that validate unequal numbers of batches.

`python uneven_ranks.py FOLDER` validates the samples of each of CASES, shared as the loader of
shards shares them, in batches of 8; history.csv and kept.json, the loss of the kept weights, tell
of it in FOLDER/CASE.
"""

import json
import os
import sys
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import torch.distributed as dist
from small_models import conditioned, small
from training_ranks import PlainFitting, RankLoader
from training_toy import MemoryLoader, ToySurvey, alternating

from lenshunt.config import TrainingConfig
from lenshunt.dataset.epoch_order import batches_of, share_of_rank
from lenshunt.models import build_model
from lenshunt.training.classification import Classification
from lenshunt.training.fit import fit
from lenshunt.training.loading import EpochBatches

BATCH = 8
#: What a job step of Slurm finds in its environment, started as one task.
SLURM = {
    "SLURM_JOB_ID": "1234",
    "SLURM_JOB_NAME": "python",
    "SLURM_NTASKS": "1",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_NNODES": "1",
}
#: Validation samples and environment by what they make: batches of the two processes.
CASES = {
    "two batches and one, under Slurm": (17, SLURM),
    "one batch and none": (1, {}),
}


class Counting(Classification):
    """Tells how many processes have validated how many rows."""

    def scores(self, rows: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        counts = {
            "val_processes": dist.get_world_size() if dist.is_initialized() else 1,
            "val_rows": len(rows),
            "val_distinct": len(np.unique(rows)),
        }
        return {**super().scores(rows, outputs), **counts}


class SharedLoader(MemoryLoader):
    """Each row on one process, whether or not their numbers are equal."""

    def __init__(self, part: tuple, rank: int, world: int) -> None:
        super().__init__(*part, batch_size=BATCH)
        rows = np.arange(len(self.table))
        self.batches = batches_of(share_of_rank(rows, rank, world, False, False), BATCH, 0)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self):
        return map(self.batch, self.batches)


def main(folder: Path, samples: int) -> None:
    survey = ToySurvey(train=alternating(32), val_select=alternating(samples))
    part = survey.parts["val_select"]
    torch.manual_seed(4)
    # Batch normalisation: buffers that differ from process to process until they are broadcast.
    network = build_model(small("resnet"), conditioned())
    task = Counting(part[0])
    fitting = PlainFitting(
        network,
        task,
        TrainingConfig(epochs=2, batch_size=BATCH, devices=2, precision="32"),
        4,
        partial(RankLoader, survey.parts["train"], BATCH),
        partial(SharedLoader, part),
    )
    best = fit(fitting, folder, "f")
    network.load_state_dict(best["state"])
    network.eval()
    with torch.no_grad():
        losses = [
            task.losses(network(batch), batch)
            for batch in EpochBatches(SharedLoader(part, 0, 1), task.columns(part[0]), lambda: 0)
        ]
    kept = {"epoch": best["epoch"], "val_loss": float(torch.cat(losses).double().mean())}
    (folder / "kept.json").write_text(json.dumps(kept))


if __name__ == "__main__":
    for name, (samples, environment) in CASES.items():
        with mock.patch.dict(os.environ, environment):
            folder = Path(sys.argv[1]) / name
            folder.mkdir()
            main(folder, samples)
