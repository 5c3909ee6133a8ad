"""Train one model with one seed on labelled cutouts."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from lenshunt import dataset
from lenshunt.config import Grid, ModelConfig, TrainingConfig
from lenshunt.core import file_sha256
from lenshunt.models import Batch, architecture_of, build_model
from lenshunt.models.heads import feature_width
from lenshunt.schema import refuse_untrainable_labels
from lenshunt.training.balance import class_prior, refuse_online_sources, sampling_weights
from lenshunt.training.checkpoint import data_digest, save_checkpoint
from lenshunt.training.classification import Classification
from lenshunt.training.fit import fingerprint_of, finish, fit_within_memory
from lenshunt.training.lightning_module import Fitting
from lenshunt.training.loading import (
    EpochBatches,
    LoaderFactory,
    device_at_hand,
    draws_per_epoch,
    on_device,
)
from lenshunt.training.mixed import open_mixed
from lenshunt.training.online import (
    OnlineInputs,
    batches_for_statistics,
    prepare_online,
    table_for_statistics,
)
from lenshunt.training.pretrained import start_from
from lenshunt.training.statistics import fit_normalisation
from lenshunt.training.truth import TruthReadout


def open_loader(
    rank: int,
    world: int,
    *,
    indexes: list[str],
    splits: list[str],
    exclusions: str | None,
    fold: int | None = None,
    training: TrainingConfig,
    seed: int,
    shuffle: bool = False,
    **options: Any,
) -> dataset.Loader:
    """The loader of one process; module-level, so that it can be sent to another process."""
    return dataset.make_loader(
        indexes=indexes,
        splits=splits,
        exclusions=exclusions,
        fold=fold,
        batch_size=training.samples_per_batch,
        shuffle=shuffle,
        seed=seed,
        loader=training.loader,
        workers=training.workers,
        rank=rank,
        world=world,
        **options,
    )


def refuse_nothing(table: pd.DataFrame, indexes: list[str], exclusions: str | None) -> None:
    """Raise ValueError where `table` has no training sample of `indexes` left."""
    if table.empty:
        listed = f", or all are on the list {exclusions}, with the reason of each" * bool(
            exclusions
        )
        raise ValueError(
            f"nothing to train on: no sample of {', '.join(indexes)} is in split train{listed}"
        )


def train(
    *,
    indexes: list[str],
    exclusions: str | None,
    model: ModelConfig,
    training: TrainingConfig,
    seed: int,
    pretrained: str | None,
    checkpoint: str,
    history: str,
    log_dir: str,
    threads: int,
    name: str = "",
    fold: int | None = None,
    grid: Grid | None = None,
    online: OnlineInputs | None = None,
) -> None:
    """Train `model` on the train split of `indexes`; write checkpoint and history (CSV).

    training : with the model's own overrides already applied
    pretrained : checkpoint of the model's backbone family, or None for random weights
    log_dir : TensorBoard log, and the state from which a killed training resumes
    name : of the model, for the predictions; its backbone family where empty
    fold : cross-validation fold whose splits are taken; None takes the plain ones
    grid : on which the cutouts are; models that render images need its PSF
    online : lenses made while training, a share of every training batch; None makes none
    Raises ValueError for samples that must not reach a classification loss and for settings that
    are not for this model, FloatingPointError naming samples whose loss is not finite.
    """
    model.check_training(training)
    torch.set_num_threads(threads)
    options: dict[str, Any] = {
        "indexes": indexes,
        "exclusions": exclusions,
        "seed": seed,
        "fold": fold,
        "segments": architecture_of(model.architecture).needs_segments,
    }
    # Read before the training, in part or not at all: processes would wait for more until its end.
    looked_at = training.model_copy(update={"workers": 0})
    in_order = open_loader(0, 1, splits=["train"], training=looked_at, **options)
    refuse_nothing(in_order.table, indexes, exclusions)
    validation = open_loader(0, 1, splits=["val_select"], training=looked_at, **options)
    refuse_untrainable_labels(in_order.table)
    refuse_untrainable_labels(validation.table)
    weights = sampling_weights(in_order.table, training.source_weights)
    shown = open_loader(
        0, 1, splits=["train"], shuffle=True, weights=weights, training=looked_at, **options
    )
    if online is None:
        data, share, lens_fraction = None, 0.0, 0.0
        normalisation = fit_normalisation(shown, in_order.table, grid)
    else:
        refuse_online_sources(in_order.table, training.source_weights)
        data, hosts = prepare_online(
            online, exclusions=exclusions, fold=fold, training=training, seed=seed
        )
        share, lens_fraction = data.share, data.lens_fraction
        normalisation = fit_normalisation(
            batches_for_statistics(shown, hosts, share),
            table_for_statistics(in_order.table, hosts.table, share),
            grid,
        )

    def make(config: TrainingConfig) -> Fitting:
        torch.manual_seed(seed)
        network = build_model(model, normalisation)
        if pretrained:
            start_from(network, model, normalisation, pretrained)
        open_with = partial(open_loader, training=config, **options)
        shuffled: dict[str, Any] = {"splits": ["train"], "shuffle": True, "weights": weights}
        draws = draws_per_epoch(config, len(in_order.table), share)
        drawn: LoaderFactory = partial(open_with, samples_per_epoch=draws, **shuffled)
        if data is not None:
            drawn = partial(
                open_mixed,
                open_shards=partial(open_loader, **shuffled, **options),
                data=data,
                training=config,
                samples_per_epoch=draws,
                seed=seed,
            )
        truth = None
        if config.truth_weight:
            truth = TruthReadout(feature_width(network), in_order.table)
        held_out = partial(open_with, splits=["val_select"]) if len(validation.table) else None
        return Fitting(
            network,
            Classification(validation.table, config.label_smoothing),
            config,
            seed,
            drawn,
            held_out,
            model.loss_terms,
            truth,
        )

    folder = Path(log_dir)
    fingerprint = fingerprint_of(
        __name__,
        model.architecture,
        model=model.network_values(),
        training=training.model_dump(),
        seed=seed,
        fold=fold,
        data=data_digest(indexes),
        exclusions=file_sha256(exclusions) if exclusions else "",
        pretrained=file_sha256(pretrained) if pretrained else "",
        online=online.digest() if online else None,
    )
    best = fit_within_memory(make, training, folder, fingerprint)
    state = best["state"]
    if architecture_of(model.architecture).posterior_samples:
        state = with_posterior(make(best["training"]), state)
    save_checkpoint(
        checkpoint,
        kind="classifier",
        name=name or model.backbone,
        seed=seed,
        model=model.model_dump(),
        training=best["training"].model_dump(),
        online=online.digest() if online else None,
        contrastive=None,
        normalisation=normalisation.to_dict(),
        class_prior=class_prior(in_order.table, weights, share, lens_fraction),
        data_sha256=data_digest(indexes),
        epoch=best["epoch"],
        score=best["score"],
        state=state,
    )
    finish(folder, history)


def with_posterior(fitting: Fitting, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`state` with the posterior of its network, one whose `posterior_samples` are not 0.

    fitting : a fresh one of the training that `state`, the final weights, is of
    It is fitted to samples as the training draws them, without augmentation.
    """
    network = fitting.model
    network.load_state_dict(state)
    device = device_at_hand()
    network.to(device).eval()
    loader = fitting.train_loader(0, 1)
    batches = EpochBatches(loader, fitting.task.columns(loader.table), lambda: 0)
    network.fit_posterior(_batches_of(batches, network.posterior_samples, device))
    return network.cpu().state_dict()


def _batches_of(batches: EpochBatches, samples: int, device: torch.device) -> Iterator[Batch]:
    """Batches of together `samples` samples or more, if there are as many."""
    given = 0
    with tqdm(total=samples, desc="posterior", unit="sample", disable=None) as shown:
        for batch in batches:
            yield on_device(batch, device)
            given += len(batch["row"])
            shown.update(len(batch["row"]))
            if given >= samples:
                return
