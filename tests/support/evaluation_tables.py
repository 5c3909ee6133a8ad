"""Made-up tables of predictions for the tests of evaluation and of its figures."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from lenshunt.evaluation import calibrate
from lenshunt.schema import Metadata
from lenshunt.schema.metadata import table_from_records

NaN = float("nan")


def metadata_table(
    n: int,
    *,
    dataset: str = "demo",
    lens_fraction: float = 0.5,
    survey: str = "hsc",
    source: str = "sim:bologna",
    seed: int = 0,
    undetectable: int = 0,
) -> pd.DataFrame:
    """Metadata of n objects; lenses come first and have log-spread flux ratios."""
    return _metadata_table(n, dataset, lens_fraction, survey, source, seed, undetectable).copy()


@cache
def _metadata_table(
    n: int,
    dataset: str,
    lens_fraction: float,
    survey: str,
    source: str,
    seed: int,
    undetectable: int,
) -> pd.DataFrame:
    """Made once: a study scores the same objects by many models."""
    rng = np.random.default_rng(seed)
    n_lens = round(n * lens_fraction)
    trainable = not source.startswith(("pretrain:", "weak:")) and source != "unlabelled"
    records = []
    for i in range(n):
        label = int(i < n_lens) if trainable else -1
        lensing = (rng.uniform(0.5, 3), 10 ** rng.uniform(-1.7, 0), rng.uniform(3, 100))
        names = ("einstein_radius", "flux_ratio", "arc_snr")
        records.append(
            Metadata(
                sample_id=f"{dataset}-{i:05d}",
                system_id=f"{dataset}-{i:05d}",
                dataset=dataset,
                raw_file=f"{dataset}.fits",
                raw_index=i,
                raw_sha256="0" * 64,
                label=label,
                label_source=source,
                label_confidence=1.0,
                z_phot=float(rng.uniform(0.1, 1.0)),
                pixel_scale=0.168,
                instrument="HSC",
                survey=survey,
                ra=float(rng.uniform(0, 360)) if source == "unlabelled" else NaN,
                dec=float(rng.uniform(-60, 60)) if source == "unlabelled" else NaN,
                bands=("g", "r", "i", "z", "y"),
                band_flags=(1, 1, 1, 1, 1),
                magnitude=(NaN, 20.5, float(rng.uniform(17, 23)), NaN, NaN),
                flags="edge;undetectable" if i < undetectable else "",
                **(dict(zip(names, lensing, strict=True)) if label == 1 else {}),
            )
        )
    return table_from_records(records)


def prediction_table(
    n: int,
    *,
    split: str | None = None,
    separation: float = 2.0,
    stretch: float = 1.0,
    model: str = "resnet18",
    model_seed: int = 0,
    score_seed: int = 1,
    **metadata: object,
) -> pd.DataFrame:
    """Predictions whose logits are calibrated for `stretch` 1 at a lens fraction of one half.

    Splits alternate between val_select, val_calibrate, test and train, unless one is given.
    Scores of the two classes are normal, of unit width, `separation` apart.
    """
    table = metadata_table(n, **metadata)  # type: ignore[arg-type]
    rng = np.random.default_rng(score_seed)
    lens = (table["label"] == 1).to_numpy()
    score = rng.normal(size=n) + separation * (lens - 0.5)
    names = np.array(["val_select", "val_calibrate", "test", "train"])
    table["split"] = split if split else names[np.arange(n) % 4]
    table["excluded"] = False
    # The log of the likelihood ratio of two unit normals is separation x score.
    table["logit"] = stretch * separation * score
    table["model"], table["seed"] = model, model_seed
    return table


def written(table: pd.DataFrame, folder: Path, name: str = "predictions") -> str:
    """Path of `table` as a Parquet file."""
    path = folder / f"{name}.parquet"
    table.to_parquet(path, index=False)
    return str(path)


def run_calibrate(table, folder, name="p", **options):
    """The table with calibrated logits, and the parameters of the calibration."""
    path = written(table, folder, name)
    out, parameters = folder / f"{name}-cal.parquet", folder / f"{name}.json"
    calibrate(predictions=path, out=str(out), parameters=str(parameters), **options)
    return pd.read_parquet(out), json.loads(parameters.read_text())
