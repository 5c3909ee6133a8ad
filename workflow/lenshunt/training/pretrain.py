"""Pretrain a backbone on ordinary galaxies, by regression of their catalogue values."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lenshunt.config import ModelConfig, TrainingConfig
from lenshunt.models import backbone_state, build_model
from lenshunt.provenance import file_sha256
from lenshunt.training.checkpoint import data_digest, save_checkpoint
from lenshunt.training.fit import fingerprint_of, finish, fit_within_memory
from lenshunt.training.loading import EpochBatches, Loader, draws_per_epoch, on_device
from lenshunt.training.module import Fitting
from lenshunt.training.regression import TARGETS, Regression, TargetScale, regression_report
from lenshunt.training.statistics import fit_normalisation
from lenshunt.training.train import open_loader


@torch.inference_mode()
def predict_targets(model: nn.Module, task: Regression, loader: Loader) -> np.ndarray:
    """Predicted targets of every row of the loader's table in their own units, [n, t]."""
    found = np.full((len(loader.table), len(TARGETS)), np.nan)
    device = next(model.parameters()).device
    for batch in EpochBatches(loader, task.columns(loader.table), lambda: 0):
        moved = on_device(batch, device)
        found[batch["row"].numpy()] = task.outputs(model(moved)).cpu().numpy()
    return found * task.scale.std + task.scale.mean


def pretrain(
    *,
    indexes: list[str],
    exclusions: str | None,
    model: ModelConfig,
    training: TrainingConfig,
    seed: int,
    checkpoint: str,
    history: str,
    report: str,
    log_dir: str | None = None,
    threads: int | None = None,
) -> None:
    """Pretrain the backbone of `model`; write checkpoint, history (CSV) and report (JSON).

    Regression of redshift, Sersic index, half-light radius, axis ratio and magnitudes; a missing
    value is left out of the loss. The report tells what was learned on the test split: sigma_NMAD,
    bias and outlier fraction of the redshifts, R^2 of each value.
    log_dir : the state from which a killed run resumes; beside the checkpoint where None
    """
    if threads:
        torch.set_num_threads(threads)
    options: dict[str, Any] = {
        "indexes": indexes,
        "exclusions": exclusions,
        "seed": seed,
        "segments": False,
    }
    opened = partial(open_loader, 0, 1, training=training, **options)
    in_order, validation, test = (opened(splits=[s]) for s in ("train", "val_select", "test"))
    normalisation = fit_normalisation(in_order, in_order.table)
    task = Regression(TargetScale.of(in_order.table))

    def make(config: TrainingConfig) -> Fitting:
        torch.manual_seed(seed)
        network = build_model(model, normalisation, TARGETS)
        # Nothing here says what a lens is.
        network.get_submodule("heads.logit").requires_grad_(False)
        open_with = partial(open_loader, training=config, **options)
        draws = draws_per_epoch(config, len(in_order.table))
        drawn = partial(open_with, splits=["train"], shuffle=True, samples_per_epoch=draws)
        held_out = partial(open_with, splits=["val_select"]) if len(validation.table) else None
        return Fitting(network, task, config, seed, drawn, held_out)

    folder = Path(log_dir) if log_dir else Path(checkpoint).with_suffix(".log")
    fingerprint = fingerprint_of(
        model=model.model_dump(),
        training=training.model_dump(),
        seed=seed,
        data=data_digest(indexes),
        exclusions=file_sha256(exclusions) if exclusions else "",
    )
    best = fit_within_memory(make, training, folder, fingerprint)
    network = build_model(model, normalisation, TARGETS)
    network.load_state_dict(best["state"])
    learned = regression_report(test.table, predict_targets(network.eval(), task, test))
    save_checkpoint(
        checkpoint,
        kind="backbone",
        name=model.backbone,
        seed=seed,
        model=model.model_dump(),
        training=training.model_dump(),
        online=None,
        normalisation=normalisation.to_dict(),
        class_prior={},
        data_sha256=data_digest(indexes),
        epoch=best["epoch"],
        score=best["score"],
        state=backbone_state(network),
    )
    write_report(report, {"backbone": model.backbone, "epoch": best["epoch"], **learned})
    finish(folder, history)


def write_report(path: str, content: dict[str, object]) -> None:
    """Write JSON atomically."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial_path = target.with_name(target.name + ".partial")
    partial_path.write_text(json.dumps(content, indent=2) + "\n")
    partial_path.replace(target)
