"""Pretrain a backbone on ordinary galaxies: their catalogue values, and views of one galaxy."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lenshunt.config import Contrastive, Grid, ModelConfig, TrainingConfig
from lenshunt.core import file_sha256, write_json
from lenshunt.models import LensNetwork, Normalisation, backbone_state, build_model
from lenshunt.models.heads import Heads
from lenshunt.training.augment import augment
from lenshunt.training.checkpoint import data_digest, save_checkpoint
from lenshunt.training.contrastive import (
    ContrastiveFitting,
    ContrastiveNetwork,
    extinction_per_reddening,
    second_view,
)
from lenshunt.training.fit import fingerprint_of, finish, fit_within_memory
from lenshunt.training.lightning_module import Fitting
from lenshunt.training.loading import (
    EpochBatches,
    Loader,
    device_at_hand,
    draws_per_epoch,
    on_device,
)
from lenshunt.training.regression import TARGETS, Regression, TargetScale, regression_report
from lenshunt.training.representation import representation_report
from lenshunt.training.statistics import fit_normalisation
from lenshunt.training.train import open_loader, refuse_nothing


@torch.inference_mode()
def predict_targets(model: nn.Module, task: Regression, loader: Loader) -> np.ndarray:
    """Predicted targets of every row of the loader's table in their own units, [n, t]."""
    found = np.full((len(loader.table), len(TARGETS)), np.nan)
    device = next(model.parameters()).device
    for batch in EpochBatches(loader, task.columns(loader.table), lambda: 0):
        moved = on_device(batch, device)
        found[batch["row"].numpy()] = task.outputs(model(moved)).cpu().numpy()
    return found * task.scale.std + task.scale.mean


@torch.inference_mode()
def contrastive_report(
    model: ContrastiveNetwork,
    task: Regression,
    loader: Loader,
    training: TrainingConfig,
    contrastive: Contrastive,
    bands: tuple[str, ...],
    seed: int,
) -> dict[str, object]:
    """How well two views of the loader's n galaxies know each other, in `representation_report`.

    Of the projections, which the loss is about, and of the features, which are kept.
    """
    device = next(model.parameters()).device
    scale = float(loader.table["pixel_scale"].median()) if len(loader.table) else 1.0
    extinction = extinction_per_reddening(bands)
    found: dict[str, list[np.ndarray]] = {}
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for batch in EpochBatches(loader, task.columns(loader.table), lambda: 0):
            moved = on_device(batch, device)
            views = (
                augment(moved, training, scale),
                second_view(moved, training, contrastive, scale, extinction),
            )
            for number, prediction in enumerate(map(model, views)):
                vectors = {
                    "projection": prediction.internals["projection"],
                    "features": prediction.features,
                }
                for name, values in vectors.items():
                    found.setdefault(f"{name} {number}", []).append(values.float().cpu().numpy())
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    nothing = np.zeros((0, 1), np.float32)
    return {"n": len(loader.table)} | {
        name: representation_report(*(joined.get(f"{name} {i}", nothing) for i in (0, 1)))
        for name in ("projection", "features")
    }


def built(
    model: ModelConfig, normalisation: Normalisation, contrastive: Contrastive | None
) -> LensNetwork:
    """The network to be pretrained, with fresh weights; with a projection head where needed."""
    network = build_model(model, normalisation, TARGETS)
    for head in [module for module in network.modules() if isinstance(module, Heads)]:
        # Nothing here says what a lens is.
        head.logit.requires_grad_(False)
    return ContrastiveNetwork(network, contrastive.projection) if contrastive else network


def pretrain(
    *,
    indexes: list[str],
    exclusions: str | None,
    model: ModelConfig,
    training: TrainingConfig,
    contrastive: Contrastive | None,
    seed: int,
    checkpoint: str,
    history: str,
    report: str,
    grid: Grid | None = None,
    log_dir: str | None = None,
    threads: int | None = None,
) -> None:
    """Pretrain the backbone of `model`; write checkpoint, history (CSV) and report (JSON).

    Regression of redshift, Sersic index, half-light radius, axis ratio and magnitudes; a missing
    value is left out of the loss. With `contrastive`, two views of each galaxy are to be alike
    too; the head that this is read from is trained and left behind. The report tells what was
    learned on the test split: sigma_NMAD, bias and outlier fraction of the redshifts, R^2 of each
    value, and how often a galaxy is recognised in another view of it.
    grid : on which the cutouts are, whose PSF is kept with the backbone; unknown where None
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
    opened = partial(open_loader, 0, 1, **options)
    # Read before the training, in part or not at all: processes would wait for more until its end.
    look = partial(opened, training=training.model_copy(update={"workers": 0}))
    in_order, validation = look(splits=["train"]), look(splits=["val_select"])
    refuse_nothing(in_order.table, indexes, exclusions)
    shown = look(splits=["train"], shuffle=True)
    normalisation = fit_normalisation(shown, in_order.table, grid)
    task = Regression(TargetScale.of(in_order.table))
    bands = normalisation.bands

    def make(config: TrainingConfig) -> Fitting:
        torch.manual_seed(seed)
        network = built(model, normalisation, contrastive)
        open_with = partial(open_loader, training=config, **options)
        draws = draws_per_epoch(config, len(in_order.table))
        drawn = partial(open_with, splits=["train"], shuffle=True, samples_per_epoch=draws)
        held_out = partial(open_with, splits=["val_select"]) if len(validation.table) else None
        parts = (network, task, config, seed, drawn, held_out)
        if contrastive is None:
            return Fitting(*parts)
        return ContrastiveFitting(*parts, contrastive=contrastive, bands=bands)

    folder = Path(log_dir) if log_dir else Path(checkpoint).with_suffix(".log")
    views = contrastive.model_dump() if contrastive else None
    fingerprint = fingerprint_of(
        __name__,
        model.architecture,
        model=model.backbone_values(),
        training=training.model_dump(),
        contrastive=views,
        grid=grid.model_dump() if grid else None,
        seed=seed,
        data=data_digest(indexes),
        exclusions=file_sha256(exclusions) if exclusions else "",
    )
    best = fit_within_memory(make, training, folder, fingerprint)
    network = built(model, normalisation, contrastive)
    network.load_state_dict(best["state"])
    kept = network.network if isinstance(network, ContrastiveNetwork) else network
    save_checkpoint(
        checkpoint,
        kind="backbone",
        name=model.backbone,
        seed=seed,
        model=model.model_dump(),
        training=best["training"].model_dump(),
        online=None,
        contrastive=views,
        normalisation=normalisation.to_dict(),
        class_prior={},
        data_sha256=data_digest(indexes),
        epoch=best["epoch"],
        score=best["score"],
        state=backbone_state(kept),
    )
    test = opened(splits=["test"], training=best["training"])
    network.to(device_at_hand()).eval()
    learned = regression_report(test.table, predict_targets(network, task, test))
    if contrastive is not None and isinstance(network, ContrastiveNetwork):
        learned["contrastive"] = contrastive_report(
            network, task, test, training, contrastive, bands, seed
        )
    content = {"backbone": model.backbone, "epoch": best["epoch"], **learned}
    write_json(content, report, indent=2)
    finish(folder, history)
