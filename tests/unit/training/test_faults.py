"""Faults of trainings: a kill, values that are not finite."""

import re
import signal
import subprocess
import sys

import pandas as pd
import pytest
import torch
import training_ranks
from training_ranks import hard_survey, hard_training
from training_runs import run, same_weights

from lenshunt import dataset
from lenshunt.training import load_checkpoint
from lenshunt.training.classification import Classification

pytestmark = pytest.mark.slow


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
        [sys.executable, training_ranks.__file__, str(tmp_path)],
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
    toy,
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
