"""A GPU that is too small: smaller batches, as many samples per step, and the record of it."""

import logging
import weakref

import pandas as pd
import pytest
import torch
from torch.multiprocessing import ProcessRaisedException
from training_ranks import full_rank
from training_runs import run, same_weights

from lenshunt.config import TrainingConfig
from lenshunt.models.resnet import ResNet
from lenshunt.training import fit as fit_room


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


@pytest.mark.slow
def test_a_model_too_large_for_the_gpu_trains_in_smaller_accumulated_batches(
    toy,
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
    # The checkpoint says how it was trained, not how it was to be.
    assert found["training"] == asked["training"]
    histories = [pd.read_csv(tmp_path / f"{n}.csv") for n in ("asked", "found")]
    assert histories[0].shape == histories[1].shape
    assert list(histories[0]["val_loss"]) == list(histories[1]["val_loss"])


def test_a_gpu_without_room_for_one_sample_ends_the_training(
    toy,
    tmp_path,
    monkeypatch,
):
    SmallGpu(monkeypatch, most=0)
    with pytest.raises(torch.OutOfMemoryError):
        run(tmp_path, batch_size=2)
    assert not (tmp_path / "a.pt").exists()


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("batch", "accumulated", "expected"),
    [
        (32, 1, [(32, 1), (16, 2), (8, 4)]),
        # half of 25 would be 24 samples in each step
        (25, 1, [(25, 1), (5, 5)]),
        (25, 4, [(25, 4), (10, 10), (5, 20)]),
    ],
)
def test_a_full_gpu_gets_smaller_batches_and_as_many_samples_per_step(
    tmp_path, monkeypatch, batch, accumulated, expected
):
    tried = []

    def full(fitting, folder, fingerprint):
        tried.append((fitting.batch_size, fitting.accumulate_batches))
        if fitting.batch_size > 8:
            raise torch.OutOfMemoryError
        return {"epoch": 0}

    monkeypatch.setattr(fit_room, "fit", full)
    training = TrainingConfig(batch_size=batch, accumulate_batches=accumulated)
    best = fit_room.fit_within_memory(lambda config: config, training, tmp_path, "f")
    assert best["epoch"] == 0
    assert tried == expected
    assert (best["training"].batch_size, best["training"].accumulate_batches) == expected[-1]


def test_a_step_that_cannot_be_cut_into_equal_batches_ends_with_the_reason(tmp_path, monkeypatch):
    def full(fitting, folder, fingerprint):
        raise torch.OutOfMemoryError("CUDA out of memory (simulated)")

    monkeypatch.setattr(fit_room, "fit", full)
    training = TrainingConfig(batch_size=7)
    with pytest.raises(ValueError, match=r"7 samples per step.*batches of 2 to 3") as caught:
        fit_room.fit_within_memory(lambda config: config, training, tmp_path, "f")
    assert isinstance(caught.value.__context__, torch.OutOfMemoryError)
