"""How predictions are made: loader processes, a full GPU, precision. The scores stay the same."""

import importlib
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_models import GREY, conditioned, small, toy_batch
from training_runs import run as train_toy
from training_runs import train_on_shards

from lenshunt.config import TrainingConfig
from lenshunt.models import build_model
from lenshunt.models import pinn_lens as pinn_room
from lenshunt.models.resnet import ResNet
from lenshunt.schema import SLOTS
from lenshunt.training import predict
from lenshunt.training.predict import check_bands, in_bf16, mean_scores, on_device_for_prediction

pytestmark = pytest.mark.slow

SPLITS = ["val_select", "val_calibrate", "test"]


def scored(folder: Path, index: str, name: str = "scores", **options) -> pd.DataFrame:
    """Predictions of the checkpoint a.pt in `folder`."""
    out = folder / f"{name}.parquet"
    predict(
        checkpoint=str(folder / "a.pt"), indexes=[index], splits=SPLITS, exclusions=None,
        out=str(out), **options,
    )  # fmt: skip
    return pd.read_parquet(out)


def test_loader_processes_change_no_bit_of_the_scores_nor_their_order(
    tmp_path,
    index,
):
    train_on_shards(tmp_path, index, "a", epochs=1, precision="32")
    plain = scored(tmp_path, index, batch_size=5)
    assert plain["split"].tolist() == ["val_select"] * 8 + ["val_calibrate"] * 6 + ["test"] * 10
    threads = torch.get_num_threads()
    helped = scored(tmp_path, index, batch_size=5, workers=2, threads=1)
    torch.set_num_threads(threads)
    pd.testing.assert_frame_equal(plain, helped, check_exact=True)
    streamed = scored(tmp_path, index, batch_size=5, workers=1, loader="stream")
    assert streamed["sample_id"].tolist() == plain["sample_id"].tolist()
    np.testing.assert_allclose(streamed["logit"], plain["logit"], atol=1e-5)


def test_objects_without_a_band_of_the_training_are_refused_by_name():
    trained = replace(GREY, bands_unseen=("z", "y"))
    flags = pd.DataFrame(0.0, range(3), [f"band_flags_{slot}" for slot in SLOTS])
    flags["sample_id"] = ["both", "one", "other"]
    flags.loc[[0, 1], "band_flags_g"] = 1.0
    flags.loc[[0, 2], "band_flags_z"] = 1.0
    check_bands(trained, flags[:2], "a.pt")
    with pytest.raises(ValueError, match=r"a\.pt.*none: other;"):
        check_bands(trained, flags, "a.pt")


def where(folder: Path) -> str:
    return str(folder / "index.json")


class SmallGpu:
    """Makes ResNet.forward run out of memory for more than `most` samples; notes what passed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        self.passed: list[int] = []
        forward = ResNet.forward

        def full(model: ResNet, batch: dict) -> object:
            if len(batch["image"]) > most:
                raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
            self.passed.append(len(batch["image"]))
            return forward(model, batch)

        monkeypatch.setattr(ResNet, "forward", full)


def test_a_gpu_too_small_for_a_batch_predicts_fewer_samples_at_a_time(
    toy,
    tmp_path,
    monkeypatch,
    caplog,
):
    train_toy(tmp_path, epochs=1)
    expected = scored(tmp_path, where(tmp_path), views=1)
    gpu = SmallGpu(monkeypatch, most=3)
    with caplog.at_level(logging.WARNING):
        found = scored(tmp_path, where(tmp_path), views=1, batch_size=16)
    # What a size was found for, no later batch tries again.
    assert [r.message for r in caplog.records if "out of GPU memory" in r.message] == [
        f"out of GPU memory; predicting {size} samples at a time" for size in (8, 4, 2)
    ]
    assert set(gpu.passed) == {2}
    assert found["sample_id"].tolist() == expected["sample_id"].tolist()
    np.testing.assert_allclose(found["logit"], expected["logit"], atol=1e-5)


def test_a_gpu_without_room_for_one_sample_ends_the_prediction(
    toy,
    tmp_path,
    monkeypatch,
):
    train_toy(tmp_path, epochs=1)
    SmallGpu(monkeypatch, most=0)
    with pytest.raises(torch.OutOfMemoryError):
        scored(tmp_path, where(tmp_path), views=1)
    assert not list(tmp_path.glob("scores.parquet*"))


@pytest.mark.parametrize(
    "device, precision, expected",
    [("cuda", "bf16", True), ("cuda", "32", False), ("cpu", "bf16", False)],
)
def test_predictions_are_in_the_precision_of_the_training_on_a_gpu_alone(
    device, precision, expected
):
    assert in_bf16(torch.device(device), TrainingConfig(precision=precision)) is expected


def test_a_model_that_was_trained_in_bf16_is_predicted_in_it(
    toy,
    tmp_path,
    monkeypatch,
):
    train_toy(tmp_path, epochs=1, precision="bf16")
    seen = []
    forward = ResNet.forward

    def watched(model: ResNet, batch: dict) -> object:
        seen.append(torch.is_autocast_enabled("cpu"))
        return forward(model, batch)

    monkeypatch.setattr(ResNet, "forward", watched)
    plain = scored(tmp_path, where(tmp_path))
    assert not any(seen)
    plain_passes = seen.copy()
    seen.clear()
    # as on a GPU
    room = importlib.import_module("lenshunt.training.predict")
    monkeypatch.setattr(room, "in_bf16", lambda device, training: True)
    rounded = scored(tmp_path, where(tmp_path))
    assert seen == [True] * len(plain_passes)
    assert (rounded["logit"] != plain["logit"]).all()
    np.testing.assert_allclose(rounded["logit"], plain["logit"], atol=0.05)
    # eight views are averaged in float32: few values of bfloat16 would be many ties
    assert rounded["logit"].nunique() == len(rounded)


def test_the_fit_of_a_lens_stays_in_float32(monkeypatch):
    torch.manual_seed(0)
    model = build_model(small("pinn_lens"), conditioned(psf_fwhm_arcsec=0.8)).eval()
    fit, seen = pinn_room.fit_lenses, []

    def watched(params, *arguments):
        seen.append((torch.is_autocast_enabled("cpu"), params.dtype))
        return fit(params, *arguments)

    monkeypatch.setattr(pinn_room, "fit_lenses", watched)
    with torch.autocast("cpu", torch.bfloat16):
        found = mean_scores(model, toy_batch(), views=8)
    assert seen == [(False, torch.float32)] * 8
    assert {values.dtype for values in found.values()} == {torch.float32}


def test_filters_stay_as_they_are_on_a_cpu():
    model = build_model(small("resnet"), conditioned())
    found = on_device_for_prediction(model, torch.device("cpu"))
    assert found.backbone.embedder.embedder.convolution.weight.is_contiguous()
    assert not found.training
