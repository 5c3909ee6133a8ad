"""Images per second of one model: its network alone, and as the pipeline trains and predicts."""

import os
import time
from collections.abc import Callable, Iterable

import pandas as pd
import torch

from lenshunt.config import Grid, ModelConfig, TrainingConfig, load_model_config, merged_training
from lenshunt.core import ROOT
from lenshunt.dataset import make_loader
from lenshunt.models import Batch, LensNetwork, build_model
from lenshunt.training.adversarial import attacked
from lenshunt.training.augment import augment
from lenshunt.training.classification import Classification
from lenshunt.training.loading import on_device
from lenshunt.training.predict import in_bf16, predict_scores
from lenshunt.training.probe import example_batch, example_normalisation
from lenshunt.training.terms import sample_losses

SEGMENTS = 8
GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
REPEATS = 10 if GPU else 2
#: Loader processes beside a GPU; a CPU has to load by itself.
WORKERS = min(os.cpu_count() or 1, 8) if GPU else 0


def seconds(job: Callable[[], object], repeats: int = REPEATS) -> float:
    """Least time of a call after one to warm up: of the GPU's work, or CPU time of this process."""
    clock = time.perf_counter if GPU else time.process_time
    times = []
    for _ in range(repeats + 1):
        start = clock()
        job()
        if GPU:
            torch.cuda.synchronize()
        times.append(clock() - start)
    return min(times[1:])


def opened(name: str, size_px: int) -> tuple[LensNetwork, ModelConfig, TrainingConfig, Grid]:
    """A model of config/models with random weights on the device, and what it is timed with."""
    config = load_model_config(ROOT / "config" / "models" / f"{name}.yaml")
    # A CPU is slow in bf16.
    training = merged_training({"precision": "bf16" if GPU else "32"}, config.training)
    grid = Grid(psf_fwhm_arcsec=1.0, pixel_scale_arcsec=0.168, size_px=size_px)
    torch.manual_seed(0)
    model = build_model(config, example_normalisation(grid))
    return model.to(DEVICE, memory_format=torch.channels_last), config, training, grid


def predicted_per_s(model: LensNetwork, training: TrainingConfig, grid: Grid, count: int) -> float:
    """Images per second of the network alone: one view of `count` samples on the device."""
    batch = on_device(example_batch(count, grid, SEGMENTS), DEVICE)

    @torch.inference_mode()
    def infer() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=in_bf16(DEVICE, training)):
            model(batch)

    model.eval()
    return count / seconds(infer)


def pipeline_per_s(
    model: LensNetwork, training: TrainingConfig, grid: Grid, index: str, views: int
) -> float:
    """Samples per second as rule `predict` scores them: from shards, `views` of each.

    index : of shards whose split `test` holds them
    """
    loader = make_loader(
        indexes=[index],
        splits=["test"],
        batch_size=256,
        segments=model.needs_segments,
        workers=WORKERS,
    )
    model.eval()
    known, bf16 = example_normalisation(grid), in_bf16(DEVICE, training)
    repeats = 3 if GPU else 1
    spent = seconds(lambda: predict_scores(model, known, loader, "bench", views, bf16), repeats)
    return len(loader.table) / spent


def training_step(
    model: LensNetwork, config: ModelConfig, training: TrainingConfig, grid: Grid
) -> Callable[[Batch], None]:
    """A step of the optimiser on a batch on the device, as a training takes it."""
    task = Classification(pd.DataFrame({"label": [], "flux_ratio": []}))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
    autocast = torch.autocast(DEVICE.type, torch.bfloat16, enabled=training.precision == "bf16")

    def step(batch: Batch) -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            seen = augment(batch, training, grid.pixel_scale_arcsec)
            if training.adversarial:
                seen = attacked(model, task.losses, seen, training.adversarial)
            losses = sample_losses(model, task.losses, seen, config.loss_terms, 30.0)
        losses.mean().backward()
        optimizer.step()

    model.train()
    return step


def trained_per_s(
    model: LensNetwork, config: ModelConfig, training: TrainingConfig, grid: Grid, count: int
) -> float:
    """Images per second of a training step, `count` at a time."""
    batch = on_device(example_batch(count, grid, SEGMENTS), DEVICE)
    step = training_step(model, config, training, grid)
    return count / seconds(lambda: step(batch))


def epoch_seconds(step: Callable[[Batch], None], batches: Iterable[Batch]) -> float:
    """Time of the steps on all batches, brought to the device where they are not there."""

    def epoch() -> None:
        for batch in batches:
            step(on_device(batch, DEVICE))

    return seconds(epoch, 2)
