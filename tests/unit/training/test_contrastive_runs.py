"""Whole contrastive pretrainings: learning, resuming, what is kept and what is told."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import conditioned, small
from training_runs import QUICK, killed_at, paths, same_weights
from training_toy import ToySurvey, toy_images, toy_table

from lenshunt import dataset
from lenshunt.config import Contrastive, TrainingConfig
from lenshunt.training import load_checkpoint, pretrain
from lenshunt.training.contrastive import (
    ContrastiveFitting,
)
from lenshunt.training.pretrain import built
from lenshunt.training.regression import TARGETS, Regression, TargetScale

pytestmark = pytest.mark.slow

STRONG = Contrastive(projection=16, temperature=0.2)
BANDS = ("g", "r", "i", "z", "y")


def galaxies(count: int, split: str, seed: int) -> tuple:
    """Galaxies of all kinds of shapes and colours, some of them without a redshift."""
    rng = np.random.default_rng(seed)
    table = toy_table(np.full(count, -1), prefix=split).assign(split=split)
    table.loc[::3, "z_spec"] = np.nan
    image, variance = toy_images(np.full(count, -1), seed)
    y, x = np.mgrid[:32, :32] - 15.5
    for number in range(count):
        angle, ratio, size = rng.uniform(0, np.pi), rng.uniform(0.2, 1), rng.uniform(2, 6)
        u = x * np.cos(angle) + y * np.sin(angle)
        v = (y * np.cos(angle) - x * np.sin(angle)) / ratio
        shape = np.exp(-0.5 * (u**2 + v**2) / size**2)
        image[number, :4] += (rng.uniform(5, 80, 4)[:, None, None] * shape).astype(np.float32)
    return table, (image, variance)


@pytest.fixture
def survey(monkeypatch) -> ToySurvey:
    found = ToySurvey()
    for seed, (split, count) in enumerate({"train": 64, "val_select": 16, "test": 48}.items()):
        found.parts[split] = galaxies(count, split, seed)
    monkeypatch.setattr(dataset, "make_loader", found.make_loader)
    return found


def run(folder: Path, name: str, architecture: str = "resnet", **changes) -> tuple[dict, dict]:
    """Pretrain a small backbone; returns its checkpoint and its report."""
    contrastive = changes.pop("contrastive", STRONG)
    report = folder / f"{name}.json"
    pretrain(
        **paths(folder, name),
        model=small(architecture),
        training=TrainingConfig(**{"epochs": 2, **QUICK, **changes}),
        contrastive=contrastive,
        seed=2,
        report=str(report),
        threads=1,
    )
    return load_checkpoint(folder / f"{name}.pt", "backbone"), json.loads(report.read_text())


def test_galaxies_are_recognised_better_after_training(survey, tmp_path):
    mild = {"reddening_max": 0.1, "noise": 0.3, "shift_px": 2.0}
    contrastive = Contrastive(weight=1.0, projection=16, temperature=0.2, **mild)
    options = {"contrastive": contrastive, "architecture": "vit", "weight_decay": 0.0}
    _, before = run(tmp_path, "before", epochs=1, learning_rate=1e-9, **options)
    _, after = run(tmp_path, "after", epochs=12, learning_rate=5e-3, **options)
    assert before["contrastive"]["n"] == after["contrastive"]["n"] == 48
    first, last = before["contrastive"]["projection"], after["contrastive"]["projection"]
    # Chance is 1 in 48.
    assert last["retrieval_top1"] > max(2 * first["retrieval_top1"], 0.12)
    assert last["uniformity"] < first["uniformity"]
    assert after["redshift"]["sigma_nmad"] > 0


def test_a_killed_pretraining_resumes_bit_equal(survey, tmp_path, monkeypatch):
    options = {"epochs": 3, "band_dropout": 0.2, "precision": "bf16"}
    whole, whole_report = run(tmp_path, "whole", **options)
    with killed_at(2, monkeypatch):
        run(tmp_path, "cut", **options)
    state = torch.load(tmp_path / "cut.log" / "last.ckpt", weights_only=True)["state_dict"]
    assert "model.projection.0.weight" in state
    torch.manual_seed(999)
    resumed, report = run(tmp_path, "cut", **options)
    assert same_weights(resumed, whole)
    # The head is not kept: that its numbers agree tells that it was resumed, too.
    assert report == whole_report


def test_the_projection_head_is_left_behind_and_the_checkpoint_tells_of_it(survey, tmp_path):
    found, report = run(tmp_path, "a", epochs=1)
    assert all(name.startswith("backbone.") for name in found["state"])
    assert found["contrastive"] == STRONG.model_dump()
    assert report["contrastive"]["features"]["uniformity"] <= 0
    alone, report = run(tmp_path, "b", epochs=1, contrastive=None)
    assert alone["contrastive"] is None
    assert "contrastive" not in report
    assert set(alone["state"]) == set(found["state"])
    assert not same_weights(alone, found)


def test_another_contrastive_section_is_another_training(survey, tmp_path, monkeypatch, caplog):
    module = sys.modules["lenshunt.training.pretrain"]
    monkeypatch.setattr(module, "finish", lambda folder, history: None)
    run(tmp_path, "a", epochs=1)
    run(tmp_path, "a", epochs=1, contrastive=STRONG.model_copy(update={"temperature": 0.3}))
    assert "of another training" in caplog.text


def test_the_bayesian_family_is_pretrained_too(survey, tmp_path):
    found, report = run(tmp_path, "a", "bayesian_ensemble", epochs=1)
    assert any(name.startswith("backbone.vit.") for name in found["state"])
    assert report["contrastive"]["projection"]["retrieval_top1"] >= 0


def test_the_validation_loss_is_the_sum_and_the_same_every_time(survey):
    table, _ = survey.parts["val_select"]
    task = Regression(TargetScale.of(table))
    torch.manual_seed(0)
    fitting = ContrastiveFitting(
        built(small("resnet"), conditioned(), STRONG), task, TrainingConfig(**QUICK), 0,
        None, None, contrastive=STRONG, bands=BANDS,
    )  # fmt: skip
    fitting.pixel_scale_arcsec = 0.168
    fitting.averaged.eval()
    loader = survey.make_loader(splits=["val_select"], batch_size=16)
    batch = next(iter(loader))
    batch.update({k: torch.from_numpy(v[:16]) for k, v in task.columns(loader.table).items()})
    before = torch.get_rng_state()
    with torch.no_grad():
        for _ in range(2):
            fitting.validation_step(batch, 3)
        alone = task.losses(fitting.averaged.module(batch), batch)
    assert torch.equal(torch.get_rng_state(), before)
    first, second = (found["losses"] for found in fitting._found)
    assert torch.equal(first, second)
    assert (first > alone).all()
    assert fitting._found[0]["outputs"].shape == (16, len(TARGETS))
