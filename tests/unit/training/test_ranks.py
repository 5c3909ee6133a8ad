"""Trainings of several processes: equal to one, in step, and started by themselves under Slurm."""

import gc
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import uneven_ranks
from lightning.fabric.plugins.environments import LightningEnvironment
from small_models import conditioned, small
from training_ranks import PlainFitting, RankLoader
from training_toy import ToySurvey, alternating
from uneven_ranks import CASES, SLURM

from lenshunt.config import TrainingConfig
from lenshunt.models import build_model
from lenshunt.training import fit as fit_room
from lenshunt.training.classification import Classification
from lenshunt.training.fit import fit
from lenshunt.training.progress import Progress

pytestmark = pytest.mark.slow


def trained_by(folder: Path, devices: int, batch_size: int, clip: float = 1.0) -> PlainFitting:
    """A ViT without dropout after two epochs of 64 samples, on `devices` processes."""
    survey = ToySurvey(train=alternating(64), val_select=alternating(16))
    training = TrainingConfig(
        epochs=2,
        batch_size=batch_size,
        devices=devices,
        precision="32",
        learning_rate=1e-3,
        warmup_epochs=0.5,
        gradient_clip=clip,
    )
    torch.manual_seed(4)
    fitting = PlainFitting(
        build_model(small("vit"), conditioned()),
        Classification(survey.parts["val_select"][0]),
        training,
        4,
        partial(RankLoader, survey.parts["train"], batch_size),
        partial(RankLoader, survey.parts["val_select"], batch_size),
    )
    best = fit(fitting, folder, "f")
    gc.collect()
    return best


def difference(a: dict, b: dict) -> float:
    """Root mean square difference of the weights that a training moves."""
    squares = [(a["state"][n].double() - v.double()).square() for n, v in b["state"].items()]
    return float(torch.cat([s.flatten() for s in squares]).mean().sqrt())


def test_two_processes_are_one_with_twice_the_batch(tmp_path):
    one = trained_by(tmp_path / "one", devices=1, batch_size=16)
    two = trained_by(tmp_path / "two", devices=2, batch_size=8)
    other = trained_by(tmp_path / "other", devices=1, batch_size=8)
    # Rounding is what remains; another batch is another training.
    assert difference(one, two) < 1e-3 * difference(one, other)
    scores = [pd.read_csv(tmp_path / n / "history.csv") for n in ("one", "two")]
    for column in ("train_loss", "val_loss", "val_auroc"):
        np.testing.assert_allclose(*(s[column] for s in scores), rtol=1e-4)


def test_two_processes_train_a_model_some_of_whose_weights_are_in_no_loss(tmp_path):
    survey = ToySurvey(train=alternating(16), val_select=alternating(8))
    fitting = PlainFitting(
        build_model(small("pinn_lens"), replace(conditioned(), psf_fwhm_arcsec=0.8)),
        Classification(survey.parts["val_select"][0]),
        TrainingConfig(epochs=1, batch_size=4, devices=2, precision="32"),
        4,
        partial(RankLoader, survey.parts["train"], 4),
        partial(RankLoader, survey.parts["val_select"], 4),
    )
    assert fit(fitting, tmp_path, "f")["epoch"] == 0


def test_a_job_of_slurm_starts_its_processes_itself(tmp_path, monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    trainer = fit_room._trainer(TrainingConfig(devices=2), tmp_path, Progress(tmp_path, "f"))
    assert isinstance(trainer.strategy.cluster_environment, LightningEnvironment)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """Folder of the trainings of `uneven_ranks`, done in a process of their own."""
    folder = tmp_path_factory.mktemp("uneven")
    process = subprocess.Popen(
        [sys.executable, uneven_ranks.__file__, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        printed, _ = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        printed, _ = process.communicate()
        pytest.fail(f"the processes wait for each other: {printed[-3000:]}")
    assert process.returncode == 0, printed[-3000:]
    return folder


@pytest.mark.parametrize("case", CASES)
def test_processes_validate_unequal_numbers_of_batches(uneven, case):
    folder, (samples, _) = uneven / case, CASES[case]
    history = pd.read_csv(folder / "history.csv")
    assert history["epoch"].tolist() == [0, 1]
    assert (history["val_processes"] == 2).all()
    # Every sample once, whoever has seen it, by the same weights and buffers: those that are kept.
    assert (history["val_rows"] == samples).all()
    assert (history["val_distinct"] == samples).all()
    kept = json.loads((folder / "kept.json").read_text())
    best = history.set_index("epoch").loc[kept["epoch"]]
    np.testing.assert_allclose(best["val_loss"], kept["val_loss"], rtol=1e-5)
