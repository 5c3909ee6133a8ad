"""What every model costs: images per second and memory, at 64 and at 224 px, in one table.

`python tests/bench/models.py [--full] [--sweep] [MODEL ...]`: on a CPU narrow models, 4 images at a
time at 64 px and 2 at 224 px, on one thread and in CPU time; on a GPU all models in batches of 32.
The last columns are the probe's, in bf16: bytes per image, and its estimate of a training step of
32 images, which is to stay below 24 GB at 224 px. `--sweep` instead: images per second of
predictions by the number of images at a time.
"""

import argparse
import time
from collections.abc import Callable

import pandas as pd
import torch

from lenshunt.config import Grid, ModelConfig, TrainingConfig, load_model_config, merged_training
from lenshunt.models import LensNetwork, build_model
from lenshunt.provenance import ROOT
from lenshunt.training.adversarial import attacked
from lenshunt.training.augment import augment
from lenshunt.training.classification import Classification
from lenshunt.training.loading import on_device
from lenshunt.training.probe import (
    example_batch,
    example_normalisation,
    forward_memory,
    static_bytes,
)
from lenshunt.training.terms import sample_losses

BAR_GB = 24.0
SEGMENTS = 8
GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
NOT_TIMED_ON_CPU = "       -"
REPEATS = 10 if GPU else 2
#: Images at a time of `--sweep`.
BATCHES = (1, 8, 32, 128, 512) if GPU else (1, 4, 16, 64)


def seconds(job: Callable[[], object], repeats: int) -> float:
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


def predicted_per_s(model: LensNetwork, training: TrainingConfig, grid: Grid, count: int) -> float:
    """Images per second of a forward pass of one view, `count` at a time."""
    batch = on_device(example_batch(count, grid, SEGMENTS), DEVICE)

    @torch.inference_mode()
    def infer() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=training.precision == "bf16"):
            model(batch)

    model.eval()
    return count / seconds(infer, REPEATS)


def trained_per_s(
    model: LensNetwork, config: ModelConfig, training: TrainingConfig, grid: Grid, count: int
) -> float:
    """Images per second of a training step, `count` at a time."""
    batch = on_device(example_batch(count, grid, SEGMENTS), DEVICE)
    task = Classification(pd.DataFrame({"label": [], "flux_ratio": []}))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
    autocast = torch.autocast(DEVICE.type, torch.bfloat16, enabled=training.precision == "bf16")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            seen = augment(batch, training, grid.pixel_scale_arcsec)
            if training.adversarial:
                seen = attacked(model, task.losses, seen, training.adversarial)
            losses = sample_losses(model, task.losses, seen, config.loss_terms, 30.0)
        losses.mean().backward()
        optimizer.step()

    model.train()
    return count / seconds(step, REPEATS)


def opened(name: str, size_px: int) -> tuple[LensNetwork, ModelConfig, TrainingConfig, Grid]:
    """A model of config/models with random weights on the device, and what it is timed with."""
    config = load_model_config(ROOT / "config" / "models" / f"{name}.yaml")
    # A CPU is slow in bf16.
    training = merged_training({"precision": "bf16" if GPU else "32"}, config.training)
    grid = Grid(psf_fwhm_arcsec=1.0, pixel_scale_arcsec=0.168, size_px=size_px)
    torch.manual_seed(0)
    model = build_model(config, example_normalisation(grid))
    return model.to(DEVICE, memory_format=torch.channels_last), config, training, grid


def sweep(name: str, size_px: int) -> str:
    """One row of images per second by batch size."""
    model, _, training, grid = opened(name, size_px)
    speeds = [predicted_per_s(model, training, grid, count) for count in BATCHES]
    return f"{name:28s}{size_px:5d}" + "".join(f"{speed:10.1f}" for speed in speeds)


def line(name: str, size_px: int, timed: bool) -> str:
    """One row of the table."""
    model, config, training, grid = opened(name, size_px)
    # The memory that matters is a GPU's.
    memory_as = merged_training({"precision": "bf16"}, config.training)
    count = 32 if GPU else (4 if size_px <= 64 else 2)
    columns = NOT_TIMED_ON_CPU * 2
    if timed:
        trained = trained_per_s(model, config, training, grid, count)
        columns = f"{trained:8.1f}{predicted_per_s(model, training, grid, count):8.1f}"
    memory = forward_memory(model, config.loss_terms, memory_as, grid, SEGMENTS, (1, 2))
    static = static_bytes(model)
    step = memory.step_bytes(32, static) / 1e9
    verdict = ("reached" if step < BAR_GB else "MISSED") if size_px == 224 else ""
    return (
        f"{name:28s}{size_px:5d}{columns}{memory.per_sample / 1e6:12.2f}"
        f"{memory.constant / 1e6:12.1f}{static / 1e6:12.1f}{step:10.2f}  {verdict}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="models; all where none is named")
    parser.add_argument("--full", action="store_true", help="time wide models on a CPU as well")
    parser.add_argument("--sweep", action="store_true", help="predictions by batch size")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    names = arguments.names or sorted(p.stem for p in (ROOT / "config/models").glob("*.yaml"))
    where = torch.cuda.get_device_name() if GPU else "one CPU core"
    if arguments.sweep:
        print(f"images/s on {where}, by images at a time")
        print(f"{'model':28s}{'px':>5s}" + "".join(f"{count:10d}" for count in BATCHES))
    else:
        print(f"images/s on {where}; MB: per image, constant, static; GB: training step of 32")
        head = (
            f"{'model':28s}{'px':>5s}{'train':>8s}{'infer':>8s}{'MB/image':>12s}{'MB const':>12s}"
        )
        print(f"{head}{'MB static':>12s}{'GB at 32':>10s}  < {BAR_GB:g} GB")
    for name in names:
        timed = GPU or arguments.full or name.endswith(("_narrow", "_small"))
        for size_px in (64, 224):
            if not arguments.sweep:
                print(line(name, size_px, timed), flush=True)
            elif timed:
                print(sweep(name, size_px), flush=True)


if __name__ == "__main__":
    main()
