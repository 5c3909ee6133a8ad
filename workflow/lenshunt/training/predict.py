"""Score cutouts with a trained model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from lenshunt import dataset
from lenshunt.config import ModelConfig
from lenshunt.models import Batch, LensNetwork, Normalisation, build_model, condition_table
from lenshunt.records import COLUMNS, SLOTS
from lenshunt.training.checkpoint import load_checkpoint
from lenshunt.training.loading import EpochBatches, Loader, on_device
from lenshunt.training.moved_segments import MIRROR, QUARTER_TURN, moved_segments


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


def predict_scores(
    model: LensNetwork, normalisation: Normalisation, loader: Loader, where: str, views: int = 8
) -> dict[str, np.ndarray]:
    """`logit` and the model's own scores of every row of the loader's table, float64 [n] each.

    where : named in errors. Raises FloatingPointError naming samples without a finite logit.
    """
    columns = {"metadata": condition_table(loader.table)}
    found = {name: np.full(len(loader.table), np.nan) for name in ("logit", *model.scores)}
    device = next(model.parameters()).device
    batches = EpochBatches(loader, columns, lambda: 0)
    for batch in tqdm(batches, desc="scoring", unit="batch", disable=None):
        check_size(normalisation, batch, where)
        rows = batch["row"].numpy()
        for name, values in mean_scores(model, on_device(batch, device), views).items():
            found[name][rows] = values.cpu().numpy()
    bad = ~np.isfinite(found["logit"])
    if bad.any():
        names = loader.table["sample_id"].to_numpy()[bad]
        raise FloatingPointError(
            f"{where}: {bad.sum()} samples have no finite logit: {', '.join(names[:10])} ..."
        )
    return found


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
) -> None:
    """Write the scores of all cutouts in `splits` as Parquet.

    test_only : indexes of data sets that the model was not trained on; only their split `test`
        is scored, so that they can neither choose nor calibrate a model.
    fold : cross-validation fold whose splits are taken; None takes the plain ones
    Columns: those of the metadata, `split`, `excluded` (on the exclusion list: not to be used
    for calibration), `logit` (mean over `views` of the image, 1 or 8), `model`, `seed`, and the
    further scores of the architecture.
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
            segments=model.needs_segments,
        )
        check_grid(normalisation, loader, checkpoint)
        scores = predict_scores(model, normalisation, loader, checkpoint, views)
        parts.append(loader.table[[*COLUMNS, "split"]].assign(**scores))
    table = pd.concat(parts, ignore_index=True)
    table = table.assign(
        excluded=marked(table, exclusions), model=content["name"], seed=content["seed"]
    )
    own = [name for name in model.scores if name not in COLUMNS]
    table = table[[*COLUMNS, "split", "excluded", "logit", "model", "seed", *own]]
    target = Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    table.to_parquet(partial, index=False)
    partial.replace(target)
