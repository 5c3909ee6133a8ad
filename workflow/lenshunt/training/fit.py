"""Runs one training to its end: trainer, resuming after a kill, smaller batches on a full GPU."""

import gc
import hashlib
import json
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch.multiprocessing import ProcessRaisedException

from lenshunt.config import TrainingConfig
from lenshunt.core import code_digest, whole_file
from lenshunt.training.lightning_module import Fitting
from lenshunt.training.loading import batch_within
from lenshunt.training.progress import Progress

LOG = logging.getLogger(__name__)
PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed"}


def fingerprint_of(module: str, architecture: str, **inputs: Any) -> str:
    """Digest of all that a training is made from.

    module : dotted name of what trains; its code and that of the architecture are included
    """
    text = json.dumps({**inputs, "code": code_digest(module, [architecture])}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def resumable(last: Path, fingerprint: str) -> bool:
    """Whether `last` is the state of a training with this fingerprint."""
    if not last.exists():
        return False
    state = torch.load(last, map_location="cpu", weights_only=True)
    same = state["callbacks"]["Progress"]["fingerprint"] == fingerprint
    if not same:
        LOG.warning("%s is of another training; starting afresh", last)
    return same


def _trainer(training: TrainingConfig, folder: Path, progress: Progress) -> lightning.Trainer:
    keep_last = ModelCheckpoint(
        folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    return lightning.Trainer(
        max_epochs=training.epochs,
        devices=training.devices,
        # spawn: a script that Snakemake runs cannot be started again by its command line.
        # Not every weight is part of every loss: without a loss term, its head is of none.
        strategy="auto" if training.devices == 1 else "ddp_spawn_find_unused_parameters_true",
        # Under Slurm too: a job is one task, whose processes are started here.
        plugins=[LightningEnvironment()],
        precision=PRECISIONS[training.precision],  # type: ignore[arg-type]
        accumulate_grad_batches=training.accumulate_batches,
        deterministic=training.deterministic,
        logger=TensorBoardLogger(folder, name="", version="tensorboard"),
        callbacks=[progress, keep_last],
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )


@contextmanager
def deterministic_settings() -> Iterator[None]:
    """Puts torch's global switches for determinism back at its end."""
    # The switch is a property of the module object, which type checkers do not see.
    switches: Any = torch.utils.deterministic
    fill = switches.fill_uninitialized_memory
    before = torch.are_deterministic_algorithms_enabled()
    # Nothing here reads memory before it writes it; filling it first costs time.
    switches.fill_uninitialized_memory = False
    try:
        yield
    finally:
        switches.fill_uninitialized_memory = fill
        torch.use_deterministic_algorithms(before)


def fit(fitting: Fitting, folder: Path, fingerprint: str) -> dict[str, Any]:
    """Train, from the last finished epoch where `folder` holds one of the same training.

    Returns {"state": averaged weights of the best epoch, "epoch", "score"}.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last = folder / "last.ckpt"
    resume = resumable(last, fingerprint)
    if resume:
        LOG.info("resuming from %s", last)
    else:
        for old in (folder / "tensorboard").glob("events.out.*"):
            old.unlink()
    # Lightning's advice on loaders, logging steps and products is about other set-ups.
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    trainer = _trainer(fitting.training_config, folder, Progress(folder, fingerprint))
    with warnings.catch_warnings(), deterministic_settings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer.fit(fitting, ckpt_path=str(last) if resume else None, weights_only=True)
    return torch.load(folder / "best.pt", map_location="cpu", weights_only=True)


def _ran_out_of_memory(error: Exception) -> bool:
    """Whether a training failed for want of GPU memory, in this process or in one of several."""
    # Processes of a distributed training hand on no more than the text of their traceback.
    return isinstance(error, torch.OutOfMemoryError) or "OutOfMemoryError" in str(error)


def in_smaller_batches(training: TrainingConfig) -> TrainingConfig:
    """The same samples per step, accumulated of batches of half the size or less."""
    step = training.samples_per_batch * training.accumulate_batches
    batch = batch_within(step, training.samples_per_batch // 2)
    return training.model_copy(update={"batch_size": batch, "accumulate_batches": step // batch})


def fit_within_memory(
    make: Callable[[TrainingConfig], Fitting],
    training: TrainingConfig,
    folder: Path,
    fingerprint: str,
) -> dict[str, Any]:
    """`fit`, again with smaller batches, as many samples per step, when the GPU's memory is full.

    Returns what `fit` does, and "training", the settings of the training that fitted.
    Raises ValueError where the samples of a step cannot be cut into smaller equal batches.
    """
    while True:
        resumed_by = f"{fingerprint} batch {training.samples_per_batch}"
        try:
            return {**fit(make(training), folder, resumed_by), "training": training}
        except (torch.OutOfMemoryError, ProcessRaisedException) as error:
            # Batch normalisation has no spread to divide by in a batch of one.
            if not _ran_out_of_memory(error) or training.samples_per_batch < 4:
                raise
            smaller = in_smaller_batches(training)
        # Outside of the handler: its traceback holds on to the step that did not fit.
        gc.collect()
        torch.cuda.empty_cache()
        training = smaller
        LOG.warning(
            "out of GPU memory; trying batches of %d, accumulated %d times",
            training.batch_size,
            training.accumulate_batches,
        )


def finish(folder: Path, history: str) -> None:
    """Copy the history to its place and remove what only a resumed training would need."""
    with whole_file(history) as partial:
        shutil.copyfile(folder / "history.csv", partial)
    for name in ("last.ckpt", "best.pt", "history.csv"):
        (folder / name).unlink(missing_ok=True)
