"""Measure all kinds of diagnostics of one trained model, and write their numbers and curves."""

import importlib
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from lenshunt.config import SegmentsConfig
from lenshunt.core import write_csv, write_json
from lenshunt.evaluation.diagnostics.common import CURVE_COLUMNS, Diagnostic, Panel, load_trained
from lenshunt.evaluation.diagnostics.kinds import KINDS, kinds_of, rests_on
from lenshunt.evaluation.diagnostics.sample import PER_CLASS, draw_sample
from lenshunt.training.predict import check_grid


def measure_file(
    *,
    checkpoint: str,
    baseline: str | None,
    indexes: Sequence[str],
    exclusions: str | None,
    fold: int | None,
    segmentation: SegmentsConfig,
    seed: int,
    out_numbers: Path | str,
    out_curves: Path | str,
    per_class: int | None = None,
) -> None:
    """Measure every kind of diagnostics that the model of `checkpoint` has on test samples.

    baseline : checkpoint of the plain model that it is compared with
    indexes, exclusions, fold : as of the experiment's loader; its split `test` is sampled
    segmentation : how the segments of the samples were found
    seed : of the sample and of all that is drawn; the same for every training of a model
    out_numbers : JSON, per kind what it rests on, how many samples, its numbers and panels
    out_curves : CSV with columns kind and CURVE_COLUMNS
    per_class : samples of each class at most; None takes what the most demanding kind asks for

    Only kinds that compare with the baseline get it (their BASELINE).
    Raises ValueError for cutouts that are not on the grid of the training, for a model that has no
    kind of diagnostics, for curves of a panel that the kind does not have, and for numbers that are
    infinite.
    """
    subject = load_trained(checkpoint)
    plain = None if baseline is None else load_trained(baseline)
    kinds = kinds_of(subject.config)
    if not kinds:
        raise ValueError(
            f"{checkpoint}: architecture {subject.config.architecture} has no diagnostics"
        )
    modules = {kind: importlib.import_module(KINDS[kind]) for kind in kinds}
    asked = [getattr(module, "PER_CLASS", PER_CLASS) for module in modules.values()]
    needing = [trained for trained in (subject, plain) if trained is not None]
    test = draw_sample(
        indexes=indexes,
        exclusions=exclusions,
        fold=fold,
        segments=any(trained.network.needs_segments for trained in needing),
        segmentation=segmentation,
        seed=seed,
        per_class=per_class or max(asked),
    )
    for trained in needing:
        check_grid(trained.normalisation, test, checkpoint if trained is subject else str(baseline))
    tables, told = [], {}
    for kind, module in modules.items():
        # a kind that draws random numbers gets the same ones whatever came before it
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            rival = plain if module.BASELINE else None
            found: Diagnostic = module.measure(subject, rival, test, seed)
        tables.append(checked_curves(found.curves, module.PANELS, kind).assign(kind=kind))
        told[kind] = {
            "rests_on": rests_on(kind, subject.name, plain.name if plain else None),
            "counts": found.counts,
            "numbers": _plain_numbers(found.numbers, kind),
            "panels": {name: asdict(panel) for name, panel in module.PANELS.items()},
        }
    content = {
        "model": subject.name,
        "seed_of_training": subject.seed,
        "seed_of_sample": seed,
        "kinds": told,
    }
    curves = pd.concat(tables, ignore_index=True)[["kind", *CURVE_COLUMNS]]
    write_csv(curves, out_curves, "%.7g")
    write_json(content, out_numbers, allow_nan=False)


def checked_curves(curves: pd.DataFrame, panels: dict[str, Panel], kind: str) -> pd.DataFrame:
    """`curves`. Raises ValueError for wrong columns and for panels that `panels` does not name."""
    if list(curves.columns) != list(CURVE_COLUMNS):
        raise ValueError(f"{kind}: curves have columns {list(curves.columns)}, not {CURVE_COLUMNS}")
    strangers = sorted(set(curves["panel"]) - set(panels))
    if strangers:
        raise ValueError(f"{kind}: no panel {', '.join(strangers)} in PANELS")
    return curves


def _plain_numbers(numbers: dict[str, float], kind: str) -> dict[str, Any]:
    """Floats for JSON; what is not defined, NaN, becomes null. Infinity is a ValueError."""
    infinite = [name for name, value in numbers.items() if math.isinf(value)]
    if infinite:
        raise ValueError(f"{kind}: {', '.join(infinite)} infinite")
    return {
        name: None if math.isnan(value) else float(f"{value:.7g}")
        for name, value in numbers.items()
    }
