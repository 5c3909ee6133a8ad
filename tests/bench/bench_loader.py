"""Loading a training epoch, beside WebDataset's default decode of the same shards."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset
from harness import Row, best_of
from noise_shards import noise_shards

from lenshunt.config import ModelConfig
from lenshunt.dataset import make_loader, read_index, read_table, shard_source
from lenshunt.models import Normalisation, build_model
from lenshunt.schema import SLOTS

SAMPLES, SIZE, BATCH, STEPS = 1400, 64, 32, 8


def _consume(batches: object) -> int:
    return sum(len(batch["image"]) for batch in batches)  # type: ignore[attr-defined]


def _training_step() -> Callable[[dict[str, torch.Tensor]], None]:
    """One optimiser step of a plain ResNet-18 on a batch."""
    normalisation = Normalisation(
        band_sigma_njy=(1.0,) * len(SLOTS), size_px=SIZE, pixel_scale_arcsec=0.168
    )
    model = build_model(ModelConfig(architecture="resnet", backbone="resnet18"), normalisation)
    optimiser = torch.optim.AdamW(model.parameters())

    def step(batch: dict[str, torch.Tensor]) -> None:
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            logit = model(batch).logit
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logit.float(), batch["label"])
        loss.backward()
        optimiser.step()

    return step


def _step_row(options: dict[str, Any]) -> Row:
    """Training steps fed by the loader, beside the same steps on tensors in memory."""
    draws = {"weights": np.ones(len(read_table(options["indexes"], options["splits"])))}
    loader = make_loader(**options, **draws, samples_per_epoch=STEPS * BATCH, loader="memmap")
    in_memory = list(loader)
    step = _training_step()
    step(in_memory[0])
    ours, peer = [], []
    batches = iter(loader)
    # Step by step in turn, and medians: another load on the machine slows both alike.
    for known in in_memory:
        start = time.perf_counter()
        step(next(batches))
        loaded = time.perf_counter()
        step(known)
        ours.append(loaded - start)
        peer.append(time.perf_counter() - loaded)
    what = f"training step, ResNet-18, batch {BATCH}; the same on tensors in memory"
    return Row(what, float(np.median(ours)), float(np.median(peer)), 0.95)


def bench() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        index = noise_shards(Path(name), SAMPLES, SIZE, "train")
        tars = [str(Path(name) / shard.name) for shard in read_index(index).shards]

        def peer() -> int:
            samples = webdataset.WebDataset(tars, shardshuffle=False).decode()
            return sum(1 for _ in samples)

        def peer_batched() -> int:
            samples = webdataset.WebDataset(tars, shardshuffle=False).shuffle(500).decode()
            arrays = samples.to_tuple("image.npy", "variance.npy", "json").batched(BATCH)
            return sum(len(image) for image, _, _ in arrays)

        options: dict[str, Any] = {
            "indexes": [index],
            "splits": ["train"],
            "batch_size": BATCH,
            "shuffle": True,
        }
        mapped = make_loader(**options, loader="memmap")
        # Otherwise the small shards of this benchmark would stay in memory and none be streamed.
        shard_source.RESIDENT_BYTES = 0.0
        streamed = make_loader(**options, loader="stream")
        assert _consume(mapped) == _consume(streamed) == peer() == peer_batched()
        seconds, seconds_batched = best_of(peer), best_of(peer_batched)
        what = f"{len(mapped.table)} samples of 5x64x64"
        fresh = best_of(lambda: _consume(make_loader(**options, loader="stream")))
        step_row = _step_row(options)
        memory, stream = best_of(lambda: _consume(mapped)), best_of(lambda: _consume(streamed))
    return [
        step_row,
        Row(f"epoch, memmap, {what}; webdataset decode", memory, seconds, 6.0),
        Row(f"epoch, stream, {what}; webdataset decode", stream, seconds, 1.5),
        Row("the same, memmap; webdataset shuffle + decode + batch", memory, seconds_batched, None),
        Row("the same, stream; webdataset shuffle + decode + batch", stream, seconds_batched, None),
        Row("first epoch, stream, checksums verified; webdataset decode", fresh, seconds, None),
    ]
