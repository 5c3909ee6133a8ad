"""What every model costs: images per second and memory, at 64 and at 224 px, in one table.

`train` and `infer` are the network alone, on tensors that are on the device: on a GPU all models
in bf16, 32 images at a time; on a CPU narrow models in float32, 4 images at a time at 64 px and 2
at 224 px, on one thread and in CPU time. `1 view` and `8 views` are samples per second as the
pipeline predicts: from shards, by its loader, in its precision, one view or the mean of eight.
The last columns are the probe's, in bf16: bytes per image, and its estimate of a training step of
32 images, which is to stay below 24 GB at 224 px. What `--gpu` measures needs a GPU, and says so
where there is none.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from model_gpu import gpu_rows
from model_timing import (
    GPU,
    SEGMENTS,
    opened,
    pipeline_per_s,
    predicted_per_s,
    trained_per_s,
)
from noise_shards import noise_shards

from lenshunt.config import merged_training, model_names
from lenshunt.training.probe import forward_memory, static_bytes

BAR_GB = 24.0
#: Images per second that a GPU is to predict at 224 px.
BAR_PER_S = 1000.0
NOT_TIMED_ON_CPU = "       -"
SIZES_PX = (64, 224)
#: Images at a time of `--sweep`.
BATCHES = (1, 8, 32, 128, 512) if GPU else (1, 4, 16, 64)
#: Samples in the shards that the pipeline reads, by size.
SAMPLES = {64: 8192, 224: 2048} if GPU else {64: 8, 224: 2}
#: Networks of which `--gpu` tells more, where none is named.
TOLD_MORE = ("resnet18", "vit_small")
EPILOG = """The whole table takes two to three minutes on one CPU core, where wide models are not
timed; --full times them too, and takes far longer."""


def sweep(name: str, size_px: int) -> str:
    """One row of images per second of the network alone, by batch size."""
    model, _, training, grid = opened(name, size_px)
    speeds = [predicted_per_s(model, training, grid, count) for count in BATCHES]
    return f"{name:40s}{size_px:5d}" + "".join(f"{speed:10.1f}" for speed in speeds)


def line(name: str, size_px: int, index: str, timed: bool) -> str:
    """One row of the table. index : of shards of this size"""
    model, config, training, grid = opened(name, size_px)
    # The memory that matters is a GPU's.
    memory_as = merged_training({"precision": "bf16"}, config.training)
    count = 32 if GPU else (4 if size_px <= 64 else 2)
    columns, verdict = NOT_TIMED_ON_CPU * 4, ""
    if timed:
        infer = predicted_per_s(model, training, grid, count)
        views = [pipeline_per_s(model, training, grid, index, number) for number in (1, 8)]
        speeds = [trained_per_s(model, config, training, grid, count), infer, *views]
        columns = "".join(f"{speed:8.1f}" for speed in speeds)
        if GPU and size_px == 224:
            verdict = "  1 view " + ("reached" if views[0] > BAR_PER_S else "MISSED")
    memory = forward_memory(model, config.loss_terms, memory_as, grid, SEGMENTS, (1, 2))
    static = static_bytes(model)
    step = memory.step_bytes(32, static) / 1e9
    if size_px == 224:
        verdict = f"  GB {'reached' if step < BAR_GB else 'MISSED'}{verdict}"
    return (
        f"{name:40s}{size_px:5d}{columns}{memory.per_sample / 1e6:12.2f}"
        f"{memory.constant / 1e6:12.1f}{static / 1e6:12.1f}{step:10.2f}{verdict}"
    )


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="models; all where none is named")
    parser.add_argument("--full", action="store_true", help="time wide models on a CPU as well")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--sweep", action="store_true", help="the network alone, by batch size")
    kinds.add_argument(
        "--gpu",
        action="store_true",
        help="instead: what torch.compile gains, how busy the loader keeps a GPU, two processes; "
        f"of {' and '.join(TOLD_MORE)} where no model is named",
    )
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    torch.set_num_threads(1)
    names = asked.names or model_names()
    where = torch.cuda.get_device_name() if GPU else "one CPU core"
    with tempfile.TemporaryDirectory() as folder:
        if asked.gpu:
            for row in gpu_rows(asked.names or TOLD_MORE, Path(folder)):
                print(row, flush=True)
            return
        if asked.sweep:
            print(f"images/s on {where}, by images at a time")
            print(f"{'model':40s}{'px':>5s}" + "".join(f"{count:10d}" for count in BATCHES))
        else:
            print(f"images/s on {where}; MB: per image, constant, static; GB: training step of 32")
            speeds = "".join(f"{name:>8s}" for name in ("train", "infer", "1 view", "8 views"))
            head = f"{'model':40s}{'px':>5s}{speeds}{'MB/image':>12s}{'MB const':>12s}"
            print(f"{head}{'MB static':>12s}{'GB at 32':>10s}  < {BAR_GB:g} GB")
        indexes = {}
        for size_px in SIZES_PX:
            part = Path(folder) / str(size_px)
            part.mkdir()
            indexes[size_px] = noise_shards(part, SAMPLES[size_px], size_px, "test", SEGMENTS)
        for name in names:
            timed = GPU or asked.full or name.endswith(("_narrow", "_small"))
            for size_px in SIZES_PX:
                if not asked.sweep:
                    print(line(name, size_px, indexes[size_px], timed), flush=True)
                elif timed:
                    print(sweep(name, size_px), flush=True)


if __name__ == "__main__":
    main()
