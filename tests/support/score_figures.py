"""A study of 17 models with two seeds each and their fusion, and how to read a figure of it."""

from pathlib import Path

import numpy as np
import pandas as pd
from evaluation_tables import prediction_table, written
from matplotlib.figure import Figure, FigureBase
from matplotlib.legend import Legend

MODELS = [f"model_number_{i}_narrow_without_something" for i in range(17)]
#: Two test sets, of unequal lens fractions.
SETS = {"even": 0.5, "rare": 0.1}


def study_predictions(folder: Path, n: int = 240) -> dict[str, str]:
    """Paths of 35 calibrated tables by label; later models separate the classes better."""
    labels = {f"{model}-{seed}": (model, seed) for model in MODELS for seed in (1, 2)}
    paths = {}
    for number, (label, (model, seed)) in enumerate([*labels.items(), ("fused", ("fused", -1))]):
        parts = [
            prediction_table(
                n, dataset=name, lens_fraction=fraction, model=model, model_seed=seed,
                separation=1 + number / 20, score_seed=100 * number + part,
            )
            for part, (name, fraction) in enumerate(SETS.items())
        ]  # fmt: skip
        table = pd.concat(parts, ignore_index=True)
        paths[label] = written(table.assign(logit_calibrated=table["logit"]), folder, label)
    return paths


def study_histories(folder: Path, epochs: int = 10) -> dict[str, str]:
    """Paths of 34 training histories by label."""
    rng = np.random.default_rng(0)
    paths = {}
    for number, model in enumerate(MODELS):
        for seed in (1, 2):
            epoch = np.arange(epochs)
            fall = np.exp(-epoch / (3 + number)) + 0.02 * rng.normal(size=epochs)
            columns = {"epoch": epoch, "train_loss": 0.9 * fall, "val_loss": fall}
            columns |= {"val_partial_auc": 1 - 0.5 * fall, "val_fnr_low": fall}
            path = folder / f"{model}-{seed}.csv"
            pd.DataFrame(columns).to_csv(path, index=False)
            paths[f"{model}-{seed}"] = str(path)
    return paths


def legends(figure: FigureBase) -> list[Legend]:
    """Legends of a figure and of its parts."""
    found = list(figure.legends)
    for part in figure.subfigs:
        found += legends(part)
    return found


def entries(figure: FigureBase) -> list[str]:
    """Texts of all legends, in order."""
    return [text.get_text() for legend in legends(figure) for text in legend.get_texts()]


def shown_axes(figure: FigureBase) -> list:
    """Panels that are not switched off."""
    return [axis for axis in figure.get_axes() if axis.axison]


def assert_nothing_is_cut_off(figure: Figure) -> None:
    """All legends, titles and labels lie on the page, and none on another."""
    figure.draw_without_rendering()
    page = figure.bbox
    # Titles and labels of whole blocks of panels.
    texts = [text for part in (figure, *figure.subfigs) for text in part.texts]
    boxes = [legend.get_window_extent() for legend in legends(figure)]
    panels = [axis.get_tightbbox() for axis in shown_axes(figure)]
    for box in [*boxes, *panels]:
        assert min(box.x0, box.y0) >= -1, box
        assert page.x1 - box.x1 >= -1, box
        assert page.y1 - box.y1 >= -1, box
    everything = boxes + panels + [text.get_window_extent() for text in texts]
    for i, box in enumerate(everything):
        assert not any(box.overlaps(other) for other in everything[i + 1 :])
