"""Galleries of cutouts in colour: top candidates, false positives, missed lenses."""

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lenshunt.config import FUSED
from lenshunt.core.robust import mad_sigma
from lenshunt.evaluation import labelled_rows, read_predictions
from lenshunt.images import read_cutouts
from lenshunt.reporting.figures.evaluated import Evaluated
from lenshunt.reporting.figures.style import COLOURS, PAGE_INCHES, paper_style, save, undefined
from lenshunt.schema import SLOTS, read_metadata

Kind = Literal["candidates", "false_positives", "missed_lenses"]
COLUMNS = 6
#: Grey of a pixel that no band shows.
MASKED = 0.4
#: Factors per band slot that make a typical galaxy (g - i about 1 mag) look neutral.
BALANCE = dict(zip(SLOTS, (2.0, 1.2, 0.9, 0.75, 0.65), strict=True))


def draw_false_positives(evaluated: Evaluated, out: str) -> None:
    """The non-lenses that the fused scores rank highest, as `draw_gallery` shows them."""
    _draw_of_fused(evaluated, "false_positives", out)


def draw_missed_lenses(evaluated: Evaluated, out: str) -> None:
    """The lenses that the fused scores rank lowest, as `draw_gallery` shows them."""
    _draw_of_fused(evaluated, "missed_lenses", out)


def _draw_of_fused(evaluated: Evaluated, kind: Kind, out: str) -> None:
    draw_gallery(
        predictions=evaluated.predictions[FUSED],
        cutouts=list(evaluated.cutouts),
        title=evaluated.title,
        kind=kind,
        out=out,
    )


def draw_gallery(
    *,
    predictions: str,
    cutouts: list[tuple[str, str]],
    title: str,
    out: str,
    kind: Kind,
    top: int = 24,
) -> None:
    """Colour images of the `top` objects of one kind, most telling first.

    predictions : table of predictions, or for kind `candidates` also the list that
    `rank_candidates` wrote; cutouts : (TIFF, metadata) of every chunk that may hold them.
    A candidate list that is empty says so; an object whose cutout is missing is an error.
    """
    chosen = chosen_objects(predictions, kind, top)
    images = images_of(list(chosen["sample_id"]), cutouts)
    absent = [name for name in chosen["sample_id"] if name not in images]
    if absent:
        raise ValueError(
            f"{predictions}: {len(absent)} objects are in none of the cutout files, first "
            f"{absent[0]}; name the chunks of its data set"
        )
    with paper_style():
        rows = -(-max(1, len(chosen)) // COLUMNS)
        cell = PAGE_INCHES / COLUMNS
        figure = Figure(figsize=(PAGE_INCHES, rows * (cell + 0.25) + 0.35))
        axes = figure.subplots(rows, COLUMNS, squeeze=False)
        figure.suptitle(title, fontsize=9)
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, (_, row) in zip(axes.flat, chosen.iterrows(), strict=False):
            _cell(axis, row, *images[row["sample_id"]])
        if chosen.empty:
            undefined(axes[0, COLUMNS // 2], f"no {kind.replace('_', ' ')} in this set")
        save(figure, out)


def chosen_objects(predictions: str, kind: Kind, top: int) -> pd.DataFrame:
    """The `top` rows of a kind: columns sample_id and score (probability), and metadata.

    candidates : highest scores of split `search`; false_positives : highest scores of the
    non-lenses in the test split; missed_lenses : lowest scores of its lenses
    """
    table = pd.read_parquet(predictions)
    if "rank" in table and kind == "candidates":
        return table.sort_values("rank").head(top)
    extra = ("logit_calibrated", "probability")
    table = read_predictions(predictions, extra)
    if kind == "candidates":
        rows = table[table["split"] == "search"]
    else:
        wanted = 0 if kind == "false_positives" else 1
        rows = labelled_rows(table, "test", predictions)
        rows = rows[rows["label"] == wanted]
    rising = kind == "missed_lenses"
    order = ["logit_calibrated", "sample_id"]
    return rows.sort_values(order, ascending=[rising, True]).head(top)


def images_of(
    names: list[str], cutouts: list[tuple[str, str]]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Image [5, y, x] and variance of each sample, read from the chunks that hold them."""
    wanted = set(names)
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for tiff, metadata in cutouts:
        if not wanted & set(read_metadata(metadata, ["sample_id"])["sample_id"]):
            continue
        for image, variance, table in read_cutouts(tiff, metadata):
            for place, name in enumerate(table["sample_id"]):
                if name in wanted:
                    found[name] = (image[place], variance[place])
    return found


def asinh_rgb(image: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Colour image [y, x, 3], 0..1, by the asinh stretch of Lupton et al. 2004.

    image [5, y, x] nJy, variance [5, y, x]. Red to blue are the reddest, the middle and the
    bluest band with data among i r g, or among all where those are fewer than two; one band
    gives grey, a pixel that no band shows MASKED. Linear within about three sigma of the sky;
    colour is kept at every brightness.
    """
    usable = np.isfinite(variance)
    present = [i for i in range(len(SLOTS)) if usable[i].any()]
    optical = [i for i in present if SLOTS[i] in "gri"]
    bands = optical if len(optical) >= 2 else present
    if not bands:
        return np.full((*image.shape[1:], 3), MASKED)
    planes = {i: np.where(usable[i], image[i] * BALANCE[SLOTS[i]], 0.0) for i in bands}
    red, blue = planes[bands[-1]], planes[bands[0]]
    green = planes[bands[len(bands) // 2]] if len(bands) > 2 else (red + blue) / 2
    channels = np.stack([red, green, blue], axis=-1).astype(float)
    brightness = channels.mean(axis=-1)
    sky = np.median(brightness)
    sigma = mad_sigma(brightness) or 1.0
    channels, brightness = channels - sky, brightness - sky
    soft, white = 3 * sigma, max(float(np.quantile(brightness, 0.995)), 10 * sigma)
    stretched = np.arcsinh(brightness / soft) / np.arcsinh(white / soft)
    # asinh(x) / x tends to one over the softening where there is only sky.
    flat = np.abs(brightness) < 1e-3 * soft
    scale = np.where(
        flat, 1 / (soft * np.arcsinh(white / soft)), stretched / np.where(flat, 1, brightness)
    )
    rgb = 0.08 + 0.92 * channels * scale[..., None]
    # Too bright a pixel is dimmed as a whole: clipping one channel would change its colour.
    rgb = np.clip(rgb / np.maximum(rgb.max(axis=-1, keepdims=True), 1), 0, 1)
    rgb[~usable[bands].any(axis=0)] = MASKED
    return rgb


def _cell(axis: Axes, row: pd.Series, image: np.ndarray, variance: np.ndarray) -> None:
    """One object: colour image, name, probability (red where it errs), what is known of a lens."""
    axis.imshow(asinh_rgb(image, variance), interpolation="nearest")
    name = str(row["sample_id"])
    axis.set_title(name if len(name) <= 22 else "..." + name[-19:], fontsize=5, pad=2)
    words = [f"p = {row['probability']:.2g}"]
    if "einstein_radius" in row and np.isfinite(row["einstein_radius"]):
        words.append(f'{row["einstein_radius"]:.1f}"')
    if "flux_ratio" in row and np.isfinite(row["flux_ratio"]):
        words.append(f"f = {row['flux_ratio']:.2g}")
    label = row.get("label", -1)
    errs = label >= 0 and (row["probability"] > 0.5) != (label == 1)
    axis.text(
        0.5,
        -0.02,
        ", ".join(words),
        fontsize=5.5,
        ha="center",
        va="top",
        color=COLOURS[1] if errs else "black",
        transform=axis.transAxes,
    )
