"""Pretraining on a toy survey: what it reports and where, and a training that starts from it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import small
from training_runs import QUICK, paths
from training_toy import ToySurvey, alternating, toy_table

from lenshunt.config import Contrastive, LossTerm, ModelConfig, TrainingConfig
from lenshunt.training import load_checkpoint, pretrain, train

pytestmark = pytest.mark.slow


def without_labels(survey: ToySurvey) -> None:
    """Make ordinary galaxies of all that a pretraining reads."""
    for split in ("train", "val_select", "test"):
        count = len(survey.parts[split][0])
        table = toy_table(np.full(count, -1), prefix=split).assign(split=split)
        survey.parts[split] = (table, survey.parts[split][1])


def pretrained(folder: Path, architecture: str) -> dict:
    """Pretrain a small backbone; returns its checkpoint."""
    pretrain(
        **paths(folder, "pre"),
        model=small(architecture),
        training=TrainingConfig(epochs=2, **QUICK),
        contrastive=Contrastive(),
        seed=1,
        report=str(folder / "report.json"),
        threads=1,
    )
    return load_checkpoint(folder / "pre.pt", "backbone")


def test_pretraining_reports_and_its_backbone_starts_a_training(toy, tmp_path):
    without_labels(toy)
    shared = pretrained(tmp_path, "film_resnet")["state"]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["redshift"]["sigma_nmad"] > 0
    assert report["r_squared"]["axis_ratio"] is None
    toy.parts.update(ToySurvey(train=alternating(16), val_select=alternating(8)).parts)
    where = {**paths(tmp_path), "log_dir": str(tmp_path / "log")}
    started = {}
    for architecture in ("resnet", "film_resnet"):
        train(
            **where,
            model=small(architecture),
            training=TrainingConfig(epochs=1, **{**QUICK, "learning_rate": 1e-9, "ema_decay": 0.0}),
            seed=2,
            pretrained=str(tmp_path / "pre.pt"),
            threads=1,
        )
        started[architecture] = load_checkpoint(where["checkpoint"], "classifier")["state"]
    for state in started.values():
        for name in (n for n in shared if n.endswith("convolution.weight")):
            torch.testing.assert_close(state[name], shared[name], atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="holds a backbone, a classifier is wanted"):
        load_checkpoint(tmp_path / "pre.pt", "classifier")


def test_the_report_is_computed_where_the_gpu_is_and_the_weights_are_kept_on_the_host(
    toy,
    tmp_path,
    monkeypatch,
):
    """A device that computes nothing stands for the GPU."""
    module = sys.modules["lenshunt.training.pretrain"]
    seen = []

    def predict_targets(model, task, loader):
        seen.append(next(model.parameters()).device.type)
        return np.zeros((len(loader.table), 9))

    def contrastive_report(model, task, loader, *others):
        seen.append(next(model.parameters()).device.type)
        return {"n": len(loader.table)}

    monkeypatch.setattr(module, "device_at_hand", lambda: torch.device("meta"))
    monkeypatch.setattr(module, "predict_targets", predict_targets)
    monkeypatch.setattr(module, "contrastive_report", contrastive_report)
    without_labels(toy)
    state = pretrained(tmp_path, "resnet")["state"]
    assert seen == ["meta", "meta"]
    assert {values.device.type for values in state.values()} == {"cpu"}
    assert json.loads((tmp_path / "report.json").read_text())["contrastive"] == {"n": 12}


def test_words_and_what_is_settled_before_a_training_are_no_part_of_what_it_depends_on():
    model = small("pinn_lens").model_copy(
        update={"loss_terms": {"physics": LossTerm(weight=0.1)}, "training": {"epochs": 3}}
    )
    reworded = model.model_copy(update={"description": "A lens.", "base": "b", "training": {}})
    assert reworded.network_values() == model.network_values()
    plain = model.model_copy(update={"loss_terms": {}, "pretrained": False})
    assert plain.network_values() != model.network_values()
    assert plain.backbone_values() == model.backbone_values()
    wider = model.model_copy(update={"parameters": {**model.parameters, "width": 64}})
    assert wider.backbone_values() != model.backbone_values()
    # Checkpoints are read back as configurations.
    assert ModelConfig(**model.network_values()).loss_terms == model.loss_terms
