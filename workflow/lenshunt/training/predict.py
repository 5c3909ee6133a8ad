"""Score cutouts with a trained model."""

import gc
import logging
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from lenshunt import dataset
from lenshunt.config import ModelConfig, TrainingConfig
from lenshunt.core import write_parquet
from lenshunt.dataset.loader import Mode
from lenshunt.models import Batch, LensNetwork, Normalisation, build_model, condition_table
from lenshunt.schema import COLUMNS, SLOTS
from lenshunt.training.checkpoint import load_checkpoint
from lenshunt.training.loading import EpochBatches, Loader, device_at_hand, on_device
from lenshunt.training.moved_segments import MIRROR, QUARTER_TURN, moved_segments

LOG = logging.getLogger(__name__)


def dihedral_views(batch: Batch) -> list[Batch]:
    """The eight rotations by 90 degrees and mirror images of a batch; no pixel is interpolated."""
    views: list[Batch] = []
    turned = batch
    for _ in range(4):
        flipped: Batch = {
            **turned, "image": turned["image"].flip(3), "variance": turned["variance"].flip(3)
        }  # fmt: skip
        image, variance = (torch.rot90(turned[key], 1, (2, 3)) for key in ("image", "variance"))
        following: Batch = {**turned, "image": image, "variance": variance}
        if "segments" in turned:
            flipped["segments"] = moved_segments(turned["segments"], MIRROR)
            following["segments"] = moved_segments(turned["segments"], QUARTER_TURN)
        views.extend((turned, flipped))
        turned = following
    return views


@torch.inference_mode()
def mean_scores(model: LensNetwork, batch: Batch, views: int = 8) -> dict[str, torch.Tensor]:
    """`logit` and the model's own scores of each sample, [b]: means over `views` of it, 1 or 8.

    A lens has no up and no handedness. An invariant model needs one view: the others are equal.
    """
    found: dict[str, torch.Tensor] = {}
    shown = [batch] if views == 1 or model.invariant else dihedral_views(batch)
    for view in shown:
        prediction = model(view)
        values = {"logit": prediction.logit}
        values.update({name: prediction.auxiliary[name] for name in model.scores})
        for name, value in values.items():
            found[name] = found.get(name, 0.0) + value.float() / len(shown)
    return found


def in_bf16(device: torch.device, training: TrainingConfig) -> bool:
    """Whether predictions are autocast to bf16: where the training and its validation were.

    Not on a CPU, which is slow in it.
    """
    return device.type == "cuda" and training.precision == "bf16"


def on_device_for_prediction(
    model: LensNetwork, device: torch.device, compiled: bool = False
) -> LensNetwork:
    """The model in evaluation mode on `device`; on a GPU its filters lie channels last.

    A CPU has no use for that: the networks turn their images themselves.
    """
    order = torch.channels_last if device.type == "cuda" else torch.preserve_format
    model = model.to(device=device, memory_format=order).eval()  # type: ignore[call-overload]
    if compiled:
        model.compile()
    return model


def _parts(batch: Batch, size: int) -> Iterator[Batch]:
    """Consecutive parts of a batch, of `size` samples and the last of what is left."""
    for start in range(0, len(batch["image"]), size):
        yield {name: values[start : start + size] for name, values in batch.items()}  # type: ignore


def scores_within_memory(
    model: LensNetwork, batch: Batch, views: int, size: int
) -> tuple[dict[str, torch.Tensor], int]:
    """`mean_scores` of a batch on the host, and how many samples at a time the GPU has room for.

    size : samples to try; half as many, and half again, where its memory is full
    """
    device = next(model.parameters()).device
    while True:
        try:
            parts = [mean_scores(model, on_device(p, device), views) for p in _parts(batch, size)]
            return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}, size
        except torch.OutOfMemoryError:
            if size == 1:
                raise
        # Outside of the handler: its traceback holds on to the pass that did not fit.
        gc.collect()
        torch.cuda.empty_cache()
        size = max(min(size, len(batch["image"])) // 2, 1)
        LOG.warning("out of GPU memory; predicting %d samples at a time", size)


def check_grid(normalisation: Normalisation, loader: Loader, where: str) -> None:
    """Raises ValueError where the cutouts' grid or bands are not those of the training."""
    scale = loader.table["pixel_scale"].to_numpy(float)
    off = np.abs(scale / normalisation.pixel_scale_arcsec - 1.0) > 0.01
    if off.any():
        raise ValueError(
            f'{where}: trained on {normalisation.pixel_scale_arcsec:.4g}" pixels, sample '
            f'{loader.table["sample_id"].to_numpy()[off][0]} has {scale[off][0]:.4g}"; '
            "predict on the grid of the experiment"
        )
    if tuple(normalisation.bands) != SLOTS:
        raise ValueError(f"{where}: trained on bands {normalisation.bands}, cutouts have {SLOTS}")


def check_bands(normalisation: Normalisation, table: pd.DataFrame, where: str) -> None:
    """Raises ValueError where an object has none of the bands of the training's images."""
    seen = [name for name in normalisation.bands if name not in normalisation.bands_unseen]
    dark = ~(table[[f"band_flags_{name}" for name in seen]] > 0).any(axis=1).to_numpy()
    if dark.any():
        names = table["sample_id"].to_numpy()[dark]
        raise ValueError(
            f"{where}: trained on images in {', '.join(seen)}, of which {dark.sum()} samples have "
            f"none: {', '.join(names[:10])}; train on a data set that has their bands, or take "
            "them out of this one"
        )


def check_size(normalisation: Normalisation, batch: Batch, where: str) -> None:
    """Raises ValueError where the images are not of the size that the model was trained on."""
    size = tuple(batch["image"].shape[2:])
    if size != (normalisation.size_px, normalisation.size_px):
        raise ValueError(
            f"{where}: trained on {normalisation.size_px} pixels, cutouts have {size}; "
            "predict on the grid of the experiment"
        )


def marked(table: pd.DataFrame, exclusions: str | None) -> np.ndarray:
    """Whether each row is on the exclusion list, bool [n]."""
    if exclusions is None:
        return np.zeros(len(table), bool)
    return dataset.excluded_rows(table, dataset.read_exclusions(exclusions))


def predict_scores(
    model: LensNetwork,
    normalisation: Normalisation,
    loader: Loader,
    where: str,
    views: int = 8,
    bf16: bool = False,
) -> dict[str, np.ndarray]:
    """`logit` and the model's own scores of every row of the loader's table, float64 [n] each.

    where : named in errors; bf16 : autocast the network, whose fits and heads stay in float32
    Raises FloatingPointError naming samples without a finite logit.
    """
    columns = {"metadata": condition_table(loader.table)}
    device = next(model.parameters()).device
    rows: list[np.ndarray] = []
    scores: list[dict[str, torch.Tensor]] = []
    size = None
    batches = EpochBatches(loader, columns, lambda: 0)
    for batch in tqdm(batches, desc="scoring", unit="batch", disable=None):
        check_size(normalisation, batch, where)
        size = size or len(batch["image"])
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            found, size = scores_within_memory(model, batch, views, size)
        # A copy: the batch's own may lie in memory that is shared with a loader process.
        rows.append(batch["row"].numpy().copy())
        scores.append(found)
    # Only now back to the host: in between, a GPU would wait for it after every batch.
    table = {name: np.full(len(loader.table), np.nan) for name in ("logit", *model.scores)}
    for row, found in zip(rows, scores, strict=True):
        for name, values in found.items():
            table[name][row] = values.cpu().numpy()
    bad = ~np.isfinite(table["logit"])
    if bad.any():
        names = loader.table["sample_id"].to_numpy()[bad]
        raise FloatingPointError(
            f"{where}: {bad.sum()} samples have no finite logit: {', '.join(names[:10])} ..."
        )
    return table


def predict(
    *,
    checkpoint: str,
    indexes: list[str],
    splits: list[str],
    exclusions: str | None,
    out: str,
    test_only: Sequence[str] = (),
    fold: int | None = None,
    batch_size: int = 256,
    views: int = 8,
    threads: int | None = None,
    workers: int = 0,
    loader: Mode = "auto",
) -> None:
    """Write the scores of all cutouts in `splits` as Parquet.

    test_only : indexes of data sets that the model was not trained on; only their split `test`
        is scored, so that they can neither choose nor calibrate a model.
    fold : cross-validation fold whose splits are taken; None takes the plain ones
    batch_size : samples at a time; fewer where the GPU's memory does not hold them
    threads : of this process on the CPU; None leaves what there are
    workers, loader : loader processes, and how shards are read; see `dataset.make_loader`
    Columns: those of the metadata, `split`, `excluded` (on the exclusion list: not to be used
    for calibration), `logit` (mean over `views` of the image, 1 or 8), `model`, `seed`, and the
    further scores of the architecture.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    content = load_checkpoint(checkpoint, "classifier")
    normalisation = Normalisation.from_dict(content["normalisation"])
    training = TrainingConfig(**content["training"])
    model = build_model(ModelConfig(**content["model"]), normalisation)
    model.load_state_dict(content["state"])
    device = device_at_hand()
    model = on_device_for_prediction(model, device, training.compile)
    parts = []
    for sets, wanted in ((indexes, splits), (list(test_only), ["test"])):
        if not sets:
            continue
        # The exclusion list marks rows here, it does not remove them.
        samples = dataset.make_loader(
            indexes=sets,
            splits=wanted,
            exclusions=None,
            fold=fold,
            batch_size=batch_size,
            shuffle=False,
            seed=0,
            segments=model.needs_segments,
            loader=loader,
            workers=workers,
        )
        check_grid(normalisation, samples, checkpoint)
        check_bands(normalisation, samples.table, checkpoint)
        bf16 = in_bf16(device, training)
        scores = predict_scores(model, normalisation, samples, checkpoint, views, bf16)
        parts.append(samples.table[[*COLUMNS, "split"]].assign(**scores))
    table = pd.concat(parts, ignore_index=True)
    table = table.assign(
        excluded=marked(table, exclusions), model=content["name"], seed=content["seed"]
    )
    own = [name for name in model.scores if name not in COLUMNS]
    table = table[[*COLUMNS, "split", "excluded", "logit", "model", "seed", *own]]
    write_parquet(table, out)
