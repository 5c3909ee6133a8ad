"""Faults of trainings: a full GPU, a kill, values that are not finite, several processes."""

import gc
import logging
import re
import signal
import subprocess
import sys
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from test_models_inputs import conditioned
from test_models_registry import small
from test_training_run import run, same_weights, toy  # noqa: F401  `toy` is a fixture
from torch.multiprocessing import ProcessRaisedException
from training_ranks import PlainFitting, RankLoader, hard_survey, hard_training
from training_toy import ToySurvey, alternating

from lenshunt import dataset
from lenshunt.config import TrainingConfig
from lenshunt.models import build_model
from lenshunt.models.resnet import ResNet
from lenshunt.training import fit as fit_room
from lenshunt.training import load_checkpoint
from lenshunt.training.classification import Classification
from lenshunt.training.fit import fit

HERE = Path(__file__).parent


class SmallGpu:
    """Makes ResNet.forward run out of memory where a training batch has more than `most` samples.

    activations : weak references to what the failed steps had computed until then
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        self.activations: list[weakref.ref] = []
        self.alive_at_retry: list[int] = []
        forward = ResNet.forward

        def full(model: ResNet, batch: dict) -> object:
            prediction = forward(model, batch)
            if model.training and len(batch["image"]) > most:
                self.activations.append(weakref.ref(prediction.features))
                raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
            self.alive_at_retry.append(sum(ref() is not None for ref in self.activations))
            return prediction

        monkeypatch.setattr(ResNet, "forward", full)


def test_a_model_too_large_for_the_gpu_trains_in_smaller_accumulated_batches(
    toy,  # noqa: F811
    tmp_path,
    monkeypatch,
    caplog,
):
    options = {"epochs": 2, "noise_augmentation": 0.0}
    asked = run(tmp_path, "asked", batch_size=4, accumulate_batches=4, **options)
    gpu = SmallGpu(monkeypatch, most=4)
    with caplog.at_level(logging.WARNING):
        found = run(tmp_path, "found", batch_size=16, **options)
    assert [r.message for r in caplog.records if "out of GPU memory" in r.message] == [
        "out of GPU memory; trying batches of 8, accumulated 2 times",
        "out of GPU memory; trying batches of 4, accumulated 4 times",
    ]
    assert len(gpu.activations) == 2
    # What the failed steps held was given back before the next try.
    assert gpu.alive_at_retry[-1] == 0
    assert same_weights(found, asked)
    histories = [pd.read_csv(tmp_path / f"{n}.csv") for n in ("asked", "found")]
    assert histories[0].shape == histories[1].shape
    assert list(histories[0]["val_loss"]) == list(histories[1]["val_loss"])


def test_a_gpu_without_room_for_one_sample_ends_the_training(
    toy,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    SmallGpu(monkeypatch, most=0)
    with pytest.raises(torch.OutOfMemoryError):
        run(tmp_path, batch_size=2)
    assert not (tmp_path / "a.pt").exists()


def full_rank(rank: int) -> None:
    raise torch.OutOfMemoryError(f"CUDA out of memory on rank {rank} (simulated)")


def test_one_process_of_several_running_out_of_memory_counts(tmp_path, monkeypatch):
    tried = []

    def spawned(training, folder, fingerprint):
        tried.append(training.samples_per_batch)
        if training.samples_per_batch > 8:
            torch.multiprocessing.spawn(full_rank, nprocs=1)
        return {"epoch": 0}

    monkeypatch.setattr(fit_room, "fit", spawned)
    fit_room.fit_within_memory(lambda t: t, TrainingConfig(batch_size=16), tmp_path, "f")
    assert tried == [16, 8]

    def broken(training, folder, fingerprint):
        raise ProcessRaisedException("ValueError: something else", 0, 1)

    monkeypatch.setattr(fit_room, "fit", broken)
    with pytest.raises(ProcessRaisedException, match="something else"):
        fit_room.fit_within_memory(lambda t: t, TrainingConfig(), tmp_path, "f")


def test_a_loss_term_that_is_not_finite_names_the_samples_too(tmp_path, monkeypatch):
    survey = hard_survey()
    monkeypatch.setattr(dataset, "make_loader", survey.make_loader, raising=False)
    from lenshunt.models.pinn_lens import PinnLens

    terms = PinnLens.loss_terms

    def torn(self, prediction, batch, names):
        found = terms(self, prediction, batch, names)
        bad = (batch["row"] == 7) | (batch["row"] == 11)
        return {**found, "shear": torch.where(bad, torch.nan, found["shear"])}

    monkeypatch.setattr(PinnLens, "loss_terms", torn)
    with pytest.raises(FloatingPointError) as caught:
        hard_training(tmp_path, "a")
    text = str(caught.value)
    assert "train-7" in text or "train-11" in text
    others = {f"train-{n}" for n in range(24)} - {"train-7", "train-11"}
    assert not any(f"{name}," in text or f"{name};" in text for name in others)
    assert not (tmp_path / "a.pt").exists()


def test_a_training_killed_amid_an_epoch_ends_bit_equal_with_loss_terms_and_attacks(
    tmp_path, monkeypatch
):
    killed = subprocess.run(
        [sys.executable, str(HERE / "training_ranks.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert (tmp_path / "cut.log" / "last.ckpt").exists()
    assert not (tmp_path / "cut.pt").exists()
    survey = hard_survey()
    monkeypatch.setattr(dataset, "make_loader", survey.make_loader, raising=False)
    torch.manual_seed(99)
    hard_training(tmp_path, "cut")
    hard_training(tmp_path, "whole")
    cut, whole = (load_checkpoint(tmp_path / f"{n}.pt", "classifier") for n in ("cut", "whole"))
    assert same_weights(cut, whole)
    histories = [
        pd.read_csv(tmp_path / f"{n}.csv").drop(columns=["seconds", "images_per_s"])
        for n in ("cut", "whole")
    ]
    assert histories[0]["epoch"].tolist() == [0, 1, 2, 3]
    pd.testing.assert_frame_equal(*histories)


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


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_batch(tmp_path):
    one = trained_by(tmp_path / "one", devices=1, batch_size=16)
    two = trained_by(tmp_path / "two", devices=2, batch_size=8)
    other = trained_by(tmp_path / "other", devices=1, batch_size=8)
    # Rounding is what remains; another batch is another training.
    assert difference(one, two) < 1e-3 * difference(one, other)
    scores = [pd.read_csv(tmp_path / n / "history.csv") for n in ("one", "two")]
    for column in ("train_loss", "val_loss", "val_auroc"):
        # The history has the training loss of the first process alone.
        tolerance = 0.3 if column == "train_loss" else 1e-4
        np.testing.assert_allclose(*(s[column] for s in scores), rtol=tolerance)


class Torn(torch.autograd.Function):
    """The same values, and a gradient that is not finite where `bad`."""

    @staticmethod
    def forward(context, values, bad):
        context.save_for_backward(bad)
        return values.clone()

    @staticmethod
    def backward(context, gradient):
        (bad,) = context.saved_tensors
        return torch.where(bad, torch.nan, gradient), None


def test_a_gradient_that_is_not_finite_names_the_samples_of_its_step(
    toy,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    losses, steps = Classification.losses, []

    def torn(self, prediction, batch):
        found = losses(self, prediction, batch)
        if prediction.logit.requires_grad:
            steps.append(batch["row"].tolist())
            found = Torn.apply(found, batch["row"] == 7)
        return found

    monkeypatch.setattr(Classification, "losses", torn)
    with pytest.raises(FloatingPointError, match="its gradient is not") as caught:
        run(tmp_path, batch_size=4, accumulate_batches=2)
    named = set(re.findall(r"train-\d+", str(caught.value)))
    # The two batches of the step, and no later one that the broken weights would spoil.
    assert 7 in steps[-1] + steps[-2]
    assert named == {f"train-{row}" for row in steps[-1] + steps[-2]}


@pytest.mark.slow
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
