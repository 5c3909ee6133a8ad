"""How large a batch may be: memory of forward passes, measured before any training."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from lenshunt.config import Grid, LossTerm, ModelConfig, TrainingConfig
from lenshunt.core import write_json
from lenshunt.images.segments import GEOMETRY
from lenshunt.models import CONDITIONS, Batch, LensNetwork, Normalisation, build_model
from lenshunt.models.registry import count_parameters
from lenshunt.schema import SLOTS
from lenshunt.training.augment import augment
from lenshunt.training.classification import Classification
from lenshunt.training.loading import batch_within, device_at_hand, on_device
from lenshunt.training.terms import sample_losses

LOG = logging.getLogger(__name__)

#: What a training step takes at its peak, beside what is there at all times, in units of what its
#: forward pass leaves behind: gradients of layers, workspaces and copies of weights come on top.
#: With this factor, profiled steps of 12 models (wide and narrow, 64 and 224 px, float32 and bf16,
#: on a CPU) took 0.54 to 0.95 of the estimate, most where weights outweigh a small batch; without
#: it 0.86 to 1.41. tests/unit/training/test_probe.py holds a model of each kind to that.
BACKWARD_FACTOR = 1.75
#: Share of the GPU's memory that is planned for; fragmentation and the CUDA context take the rest.
MEMORY_SHARE = 0.9
#: Numbers of samples of the two forward passes that tell memory per sample from what is constant.
SAMPLES = (4, 8)


@dataclass(frozen=True)
class ForwardMemory:
    """Bytes that a forward pass takes beside the weights: constant + n samples x per_sample."""

    constant: float
    per_sample: float

    def step_bytes(self, samples: int, static: int) -> int:
        """Estimated peak of a training step. static : bytes that are there at all times."""
        return static + round(BACKWARD_FACTOR * (self.constant + samples * self.per_sample))


def static_bytes(model: nn.Module, devices: int = 1) -> int:
    """Weights, gradients, both moments of AdamW and the averaged copy of a model, in bytes.

    Several devices exchange gradients through a second copy of them.
    """
    state = sum(t.nbytes for t in [*model.parameters(), *model.buffers()])
    trained = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    return 2 * state + trained * (3 if devices == 1 else 4)


def example_normalisation(grid: Grid) -> Normalisation:
    """Statistics of a training set that is not there yet; none of them changes a shape."""
    count = len(CONDITIONS)
    return Normalisation(
        band_sigma_njy=(1.0,) * len(SLOTS),
        size_px=grid.size_px,
        pixel_scale_arcsec=grid.pixel_scale_arcsec,
        conditions=CONDITIONS,
        condition_mean=(0.0,) * count,
        condition_std=(1.0,) * count,
        psf_fwhm_arcsec=grid.psf_fwhm_arcsec,
        psf_moffat_beta=grid.moffat_beta,
    )


def example_batch(count: int, grid: Grid, segments: int) -> Batch:
    """`count` lenses of noise with all that a batch can have, as many `segments` as shards keep.

    What takes most memory: every band and every condition is there, no segment is padding.
    """
    random = torch.Generator().manual_seed(count)
    shape = (count, len(SLOTS), grid.size_px, grid.size_px)
    flux = 50.0 + 10.0 * torch.randn(count, segments, len(SLOTS), generator=random)
    place = torch.randn(count, segments, 2, generator=random)
    rest = torch.tensor([0.6, 40.0, 0.4]).expand(count, segments, len(GEOMETRY) - 2)
    return {
        "image": torch.randn(shape, generator=random),
        "variance": torch.ones(shape),
        "band_flags": torch.ones(count, len(SLOTS)),
        "metadata": torch.zeros(count, len(CONDITIONS)),
        "segments": torch.cat([flux, torch.ones_like(flux), place, rest], dim=2),
        "label": torch.ones(count),
        "confidence": torch.ones(count),
        "theta_e": torch.full((count,), 1.0),
    }


def forward_bytes(
    model: LensNetwork,
    terms: Mapping[str, LossTerm],
    training: TrainingConfig,
    batch: Batch,
    pixel_scale_arcsec: float,
) -> int:
    """Bytes that one forward pass of a training step takes beside the weights.

    In train mode, with its graph kept, on the device of the model: the peak that a GPU counts; on
    a CPU, which counts none, the batch before and after augmentation and what the graph saves.
    """
    device = next(model.parameters()).device
    gpu = device.type == "cuda"
    before = 0
    if gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    task = Classification(pd.DataFrame({"label": [], "flux_ratio": []}))
    seen = augment(on_device(batch, device), training, pixel_scale_arcsec)
    with (
        counting_saved_bytes([*model.parameters(), *model.buffers(), *_tensors(seen)]) as saved,
        torch.autocast(device.type, torch.bfloat16, enabled=training.precision == "bf16"),
    ):
        # Far in the training, every term of the loss has its full weight.
        losses = sample_losses(model.train(), task.losses, seen, terms, float(training.epochs))
    if gpu:
        torch.cuda.synchronize(device)
        found = torch.cuda.max_memory_allocated(device) - before
    else:
        found = saved.total + sum(t.nbytes for t in [*_tensors(batch), *_tensors(seen)])
    del losses  # and with it the graph, which had to live until here
    return found


def _tensors(batch: Batch) -> list[torch.Tensor]:
    return [value for value in batch.values() if isinstance(value, torch.Tensor)]


def forward_memory(
    model: LensNetwork,
    terms: Mapping[str, LossTerm],
    training: TrainingConfig,
    grid: Grid,
    segments: int,
    samples: tuple[int, int] = SAMPLES,
) -> ForwardMemory:
    """Memory of forward passes of two numbers of `samples`, split into constant and per sample."""

    def passed(count: int) -> int:
        batch = example_batch(count, grid, segments)
        return forward_bytes(model, terms, training, batch, grid.pixel_scale_arcsec)

    if next(model.parameters()).is_cuda:
        passed(samples[0])  # libraries take their workspaces in the first pass, once for all
    few, more = map(passed, samples)
    per_sample = (more - few) / (samples[1] - samples[0])
    return ForwardMemory(max(few - samples[0] * per_sample, 0.0), per_sample)


def largest_batch(memory: ForwardMemory, static: int, limit_bytes: float, where: str) -> int:
    """Most samples whose training step fits into `limit_bytes`.

    Raises ValueError naming `where` if there are not two of them, the least that has a spread for
    batch normalisation.
    """
    room = (limit_bytes - memory.step_bytes(0, static)) / (BACKWARD_FACTOR * memory.per_sample)
    if room < 2:
        raise ValueError(
            f"{where}: a batch of 2 takes about {memory.step_bytes(2, static) / 1e9:.3g} GB, "
            f"{limit_bytes / 1e9:.3g} GB are there; make the model narrower or grids.size_px "
            "smaller, or set training.batch_size to a number to try it all the same"
        )
    return int(room)


def probe(
    *,
    name: str,
    model: ModelConfig,
    training: TrainingConfig,
    grids: Mapping[str, Grid],
    segments: int,
    out: str,
) -> None:
    """Write the batch sizes of one model as JSON: its memory, by grid, and what it leaves room for.

    name : of the model; training : with the model's own overrides applied
    segments : rows of packed segments in a batch
    Without a GPU nothing limits a batch but `training.batch_size_cpu`, and the file says so.
    """
    device = device_at_hand()
    total = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None
    content: dict[str, Any] = {
        "model": name,
        "architecture": model.architecture,
        "device": torch.cuda.get_device_name(device) if total else "cpu",
        "device_bytes": total,
        "measured": "peak of the GPU's memory counters in forward passes"
        if total
        else "no GPU: batch sizes are those configured for a CPU (training.batch_size_cpu); bytes "
        "are those of the batch and of the tensors saved for the backward pass",
        "precision": training.precision,
        "backward_factor": BACKWARD_FACTOR,
        "grids": {},
    }
    effective = training.effective_batch // training.devices
    for key, grid in grids.items():
        network = build_model(model, example_normalisation(grid))
        network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        memory = forward_memory(network, model.loss_terms, training, grid, segments)
        static = static_bytes(network, training.devices)
        largest = training.batch_size_cpu
        if total:
            where = f"{name} at {grid.size_px} px on {content['device']}"
            largest = largest_batch(memory, static, MEMORY_SHARE * total, where)
        batch = batch_within(effective, largest)
        content["grids"][key] = {
            "size_px": grid.size_px,
            "parameters": count_parameters(network),
            "static_bytes": static,
            **{f"{part}_bytes": round(value) for part, value in asdict(memory).items()},
            "largest_batch": largest,
            "batch_size": batch,
            "accumulate_batches": effective // batch,
            "step_bytes": memory.step_bytes(batch, static),
        }
        LOG.info("%s at %d px: %s", name, grid.size_px, content["grids"][key])
    write_json(content, out, indent=2)


def with_probed_batch(
    training: TrainingConfig, path: str | None, grid: str, views: int = 1
) -> TrainingConfig:
    """The same settings with a number as batch_size, from the probe at `path` on this grid.

    path : None where batch_size is a number already; then nothing changes
    views : images of each sample that pass through the network in one step
    Raises ValueError where the probe was made in another precision.
    """
    if path is None:
        return training
    content = json.loads(Path(path).read_text())
    if content["precision"] != training.precision:
        raise ValueError(
            f"{path}: probed in precision {content['precision']}, trained in "
            f"{training.precision}; give this training a number as batch_size"
        )
    effective = training.effective_batch // training.devices
    batch = batch_within(effective, content["grids"][grid]["largest_batch"] // views)
    LOG.info(
        "batches of %d, accumulated %d times on each of %d devices (%s)",
        batch,
        effective // batch,
        training.devices,
        path,
    )
    update = {"batch_size": batch, "accumulate_batches": effective // batch}
    return training.model_copy(update=update)


@dataclass
class SavedBytes:
    """Storages that the graph holds on to, each counted once however many views of it there are.

    storages : by address; they are kept, so that no address is given out a second time
    """

    storages: dict[int, torch.UntypedStorage] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(storage.nbytes() for storage in self.storages.values())


@contextmanager
def counting_saved_bytes(known: Iterable[torch.Tensor]) -> Iterator[SavedBytes]:
    """Counts what autograd saves of the operations inside.

    known : tensors that are there in any case (weights, the batch) and do not count
    """
    there = {tensor.untyped_storage().data_ptr() for tensor in known}
    found = SavedBytes()

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in there:
            found.storages[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield found
