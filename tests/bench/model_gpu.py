"""What only a GPU tells: the gain by torch.compile, how busy its loader keeps it, two processes."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from model_timing import (
    DEVICE,
    GPU,
    SEGMENTS,
    WORKERS,
    epoch_seconds,
    opened,
    predicted_per_s,
    seconds,
    trained_per_s,
    training_step,
)
from noise_shards import noise_shards
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from lenshunt.dataset import make_loader
from lenshunt.models import condition_table
from lenshunt.training.loading import EpochBatches, on_device
from lenshunt.training.probe import example_batch

#: Share of an epoch that the GPU is to compute.
BAR_BUSY = 0.9
#: Two processes are to do this share of twice the work of one: 3.6 of 4.
BAR_SCALING = 0.9
BATCH, SIZE_PX, SAMPLES = 128, 64, 16_384


def gpu_rows(names: Sequence[str], folder: Path) -> Iterator[str]:
    """Lines of text; without a GPU each says that there is none."""
    measures: dict[str, Callable[[str, Path], str]] = {
        "torch.compile": compiled,
        "busy share": busy,
        "two processes": scaled,
    }
    for name in names:
        for what, measure in measures.items():
            text = measure(name, folder) if GPU else "no GPU"
            yield f"{name:28s}{what:16s}{text}"


def compiled(name: str, _: Path) -> str:
    """Images per second at 224 px, as it is and compiled."""
    found = []
    for compiling in (False, True):
        model, config, training, grid = opened(name, 224)
        if compiling:
            model.compile()
        predicted = predicted_per_s(model, training, grid, BATCH)
        found.append((trained_per_s(model, config, training, grid, BATCH), predicted))
    (train, infer), (train_compiled, infer_compiled) = found
    return (
        f"train {train:.0f} -> {train_compiled:.0f}, infer {infer:.0f} -> {infer_compiled:.0f} "
        "images/s at 224 px"
    )


def busy(name: str, folder: Path) -> str:
    """Time of training steps on tensors that are on the GPU, over that of the same from shards.

    What is missing to 1 is what the GPU waits for the loader and for its copies.
    """
    part = folder / name
    part.mkdir()
    index = noise_shards(part, SAMPLES, SIZE_PX, "train", SEGMENTS)
    model, config, training, grid = opened(name, SIZE_PX)
    loader = make_loader(
        indexes=[index],
        splits=["train"],
        batch_size=BATCH,
        shuffle=True,
        segments=model.needs_segments,
        workers=WORKERS,
    )
    batches = EpochBatches(loader, {"metadata": condition_table(loader.table)}, lambda: 0)
    step = training_step(model, config, training, grid)
    loaded = epoch_seconds(step, batches)
    one = on_device(next(iter(batches)), DEVICE)
    share = epoch_seconds(step, [one] * len(loader)) / loaded
    verdict = "reached" if share > BAR_BUSY else "MISSED"
    return f"{share:.3f} at {SIZE_PX} px, {WORKERS} loader processes ({verdict})"


def scaled(name: str, folder: Path) -> str:
    """Images per second of two processes with a GPU each, over twice that of one."""
    if torch.cuda.device_count() < 2:
        return "one GPU: two are needed"
    speeds = []
    for world in (1, 2):
        out = folder / f"{name}-{world}.txt"
        arguments = (world, name, BATCH, str(folder / f"{name}-{world}.meeting"), str(out))
        torch.multiprocessing.spawn(run_rank, arguments, nprocs=world)
        speeds.append(float(out.read_text()))
    share = speeds[1] / (2 * speeds[0])
    verdict = "reached" if share > BAR_SCALING else "MISSED"
    return f"{speeds[0]:.0f} -> {speeds[1]:.0f} images/s, {share:.2f} of twice as many ({verdict})"


def run_rank(rank: int, world: int, name: str, count: int, meeting: str, out: str) -> None:
    """One of `world` processes: writes the images per second of all together to `out`."""
    if GPU:
        torch.cuda.set_device(rank)
    distributed.init_process_group(
        "nccl" if GPU else "gloo", f"file://{meeting}", rank=rank, world_size=world
    )
    model, config, training, grid = opened(name, SIZE_PX)
    shared: Any = DistributedDataParallel(model, find_unused_parameters=True)
    # the step asks the network for its own terms of the loss
    shared.loss_terms = model.loss_terms
    step = training_step(shared, config, training, grid)
    batch = on_device(example_batch(count, grid, SEGMENTS), DEVICE)
    spent = seconds(lambda: step(batch))
    if rank == 0:
        Path(out).write_text(str(world * count / spent))
    distributed.destroy_process_group()
