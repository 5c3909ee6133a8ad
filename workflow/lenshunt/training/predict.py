"""Score cutouts with a trained model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from lenshunt import dataset
from lenshunt.config import ModelConfig
from lenshunt.models import Batch, Normalisation, build_model, condition_table
from lenshunt.records import COLUMNS, SLOTS
from lenshunt.training.checkpoint import load_checkpoint
from lenshunt.training.loading import EpochBatches, Loader, on_device


def dihedral_views(batch: Batch) -> list[Batch]:
    """The eight rotations by 90 degrees and mirror images of a batch; no pixel is interpolated."""
    views: list[Batch] = []
    for turns in range(4):
        image, variance = (torch.rot90(batch[key], turns, (2, 3)) for key in ("image", "variance"))
        views.append({**batch, "image": image, "variance": variance})
        views.append({**batch, "image": image.flip(3), "variance": variance.flip(3)})
    return views


@torch.inference_mode()
def mean_logits(model: nn.Module, batch: Batch) -> torch.Tensor:
    """Logit of each sample, mean over its eight views, [b]: a lens has no up and no handedness."""
    return torch.stack([model(view).logit for view in dihedral_views(batch)]).mean(dim=0)


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


def predict_logits(
    model: nn.Module, normalisation: Normalisation, loader: Loader, where: str
) -> np.ndarray:
    """Logit of every row of the loader's table, float64 [n]; `where` is named in errors.

    Raises FloatingPointError naming samples without a finite logit.
    """
    columns = {"metadata": condition_table(loader.table)}
    logits = np.full(len(loader.table), np.nan)
    device = next(model.parameters()).device
    batches = EpochBatches(loader, columns, lambda: 0)
    for batch in tqdm(batches, desc="scoring", unit="batch", disable=None):
        check_size(normalisation, batch, where)
        rows = batch["row"].numpy()
        logits[rows] = mean_logits(model, on_device(batch, device)).cpu().numpy()
    bad = ~np.isfinite(logits)
    if bad.any():
        names = loader.table["sample_id"].to_numpy()[bad]
        raise FloatingPointError(
            f"{where}: {bad.sum()} samples have no finite logit: {', '.join(names[:10])} ..."
        )
    return logits


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
) -> None:
    """Write the scores of all cutouts in `splits` as Parquet.

    test_only : indexes of data sets that the model was not trained on; only their split `test`
        is scored, so that they can neither choose nor calibrate a model.
    fold : cross-validation fold whose splits are taken; None takes the plain ones
    Columns: those of the metadata, `split`, `excluded` (on the exclusion list: not to be used
    for calibration), `logit` (mean over eight views), `model`, `seed`.
    """
    content = load_checkpoint(checkpoint, "classifier")
    normalisation = Normalisation.from_dict(content["normalisation"])
    model = build_model(ModelConfig(**content["model"]), normalisation)
    model.load_state_dict(content["state"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device).eval()
    parts = []
    for sets, wanted in ((indexes, splits), (list(test_only), ["test"])):
        if not sets:
            continue
        # The exclusion list marks rows here, it does not remove them.
        loader = dataset.make_loader(
            indexes=sets,
            splits=wanted,
            exclusions=None,
            fold=fold,
            batch_size=batch_size,
            shuffle=False,
            seed=0,
            segments=False,
        )
        check_grid(normalisation, loader, checkpoint)
        scores = predict_logits(model, normalisation, loader, checkpoint)
        parts.append(loader.table[[*COLUMNS, "split"]].assign(logit=scores))
    table = pd.concat(parts, ignore_index=True)
    table = table.assign(
        excluded=marked(table, exclusions), model=content["name"], seed=content["seed"]
    )
    table = table[[*COLUMNS, "split", "excluded", "logit", "model", "seed"]]
    target = Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    table.to_parquet(partial, index=False)
    partial.replace(target)
