"""Shards of galaxies that can be hosts, and of ordinary training samples, for online lenses."""

from pathlib import Path

import numpy as np
import pandas as pd
from dataset_samples import make_shards
from injection_samples import BANDS, host

from lenshunt.config import Grid, Online, TrainingConfig
from lenshunt.dataset import write_exclusions
from lenshunt.schema import Metadata
from lenshunt.training import OnlineInputs

GRID = Grid(psf_fwhm_arcsec=0.8, pixel_scale_arcsec=0.168, size_px=48)
SECTION = Online(hosts=["galaxies"], snr_min=8.0, population_size=100)


def galaxy(number: int, dataset: str = "galaxies", **changes: object) -> Metadata:
    """A red galaxy of HSC, spread over the sky; unlabelled."""
    values: dict = {
        "sample_id": f"{dataset}-{number}", "system_id": f"{dataset}-{number}",
        "dataset": dataset, "raw_file": "galaxies.hdf5", "raw_index": number,
        "raw_sha256": "0" * 64, "label": -1, "label_source": "pretrain:galaxiesml",
        "label_confidence": 0.0, "z_phot": 0.3 + 0.01 * (number % 20), "pixel_scale": 0.168,
        "psf_fwhm": 0.8, "instrument": "HSC", "survey": "hsc", "bands": BANDS,
        "band_flags": (1, 1, 1, 0, 0), "ra": 10.0 + 0.1 * number, "dec": 1.0,
        "magnitude": (22.4, 21.0, 20.2, float("nan"), float("nan")), "snr": 90.0,
        "variance_available": True, "psf_matched": True, "quality": 0.9,
    }  # fmt: skip
    return Metadata(**{**values, **changes})


def labelled(number: int, dataset: str = "labelled", **changes: object) -> Metadata:
    """An ordinary sample of a classification, elsewhere on the sky."""
    values: dict = {
        "label": number % 2, "label_source": "sim:demo", "label_confidence": 1.0,
        "ra": 10.0 + 0.1 * number, "dec": 60.0,
    }  # fmt: skip
    return galaxy(number, dataset, **{**values, **changes})


def read_galaxies(tiff: str, metadata: str, batch: int = 7):
    """Stands in for `images.read_cutouts`: the pixels of `host`, one galaxy per raw_index."""
    table = pd.read_parquet(metadata)
    for start in range(0, len(table), batch):
        part = table.iloc[start : start + batch].reset_index(drop=True)
        hosts = [host(int(number)) for number in part["raw_index"]]
        yield np.stack([h.image for h in hosts]), np.stack([h.variance for h in hosts]), part


def shards_of(folder: Path, records: list[Metadata]) -> str:
    """Index of the shards of these records; their splits lie beside it."""
    return make_shards(folder, records, read=read_galaxies)


def excluded(folder: Path, datasets: dict[str, Path], hosts: list[str], **options) -> str:
    """Exclusion list of an experiment on these data sets, as the workflow writes it."""
    out = str(folder / "exclusions.parquet")
    write_exclusions(
        splits={name: str(path / "splits.parquet") for name, path in datasets.items()},
        train=list(datasets), evaluate=[name for name in datasets if name not in hosts],
        radius_arcsec=2.0, out=out, hosts=hosts, **options,
    )  # fmt: skip
    return out


def inputs(hosts: str, **changes: object) -> OnlineInputs:
    return OnlineInputs(SECTION.model_copy(update=changes), GRID, [hosts])


def training(**changes: object) -> TrainingConfig:
    return TrainingConfig(**{"batch_size": 8, "precision": "32", "epochs": 1, **changes})
