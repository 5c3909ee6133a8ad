"""Small data sets for the tests of splits, shards and loader: metadata tables and cutouts."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from lenshunt.config import SplitConfig
from lenshunt.dataset import make_splits
from lenshunt.schema import SLOTS, Metadata
from lenshunt.schema.metadata import table_from_records

NAN = float("nan")


def record(number: int, dataset: str = "demo", **changes: object) -> Metadata:
    """Metadata of one simulated object, complete in every factor that a split balances."""
    rng = np.random.default_rng(number)
    values: dict = {
        "sample_id": f"{dataset}-{number}",
        "system_id": f"{dataset}-{number}",
        "dataset": dataset,
        "raw_file": "survey.hdf5",
        "raw_index": number,
        "raw_sha256": "0" * 64,
        "label": int(number % 4 == 0),
        "label_source": "sim:demo",
        "label_confidence": 1.0,
        "z_phot": float(rng.uniform(0.1, 1.0)),
        "seeing": float(rng.uniform(0.5, 1.5)),
        "psf_fwhm": float(rng.uniform(0.5, 1.3)),
        "pixel_scale": 0.168,
        "instrument": "HSC",
        "survey": "hsc",
        "bands": ("g", "r", "i", "z", ""),
        "band_flags": (1, 1, 1, 1, 0),
        "magnitude": tuple(rng.uniform(18, 24, 5).tolist()),
        "noise_corr": (1.1, 1.2, 1.3, 1.4, 1.0),
        "variance_available": True,
        "psf_matched": True,
        "quality": 0.9,
    }
    return Metadata(**{**values, **changes})


def write_table(path: Path, records: list[Metadata]) -> str:
    """A metadata Parquet of these records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table_from_records(records).to_parquet(path, index=False)
    return str(path)


def split_table(
    path: Path, records: list[Metadata], seed: int = 1, **config: float
) -> pd.DataFrame:
    """Splits of these records, made and read back."""
    metadata = write_table(path / "metadata.parquet", records)
    out = path / "splits.parquet"
    make_splits(metadata=[metadata], config=SplitConfig(**config), seed=seed, out=str(out))
    return pd.read_parquet(out)


def pixels(sample_id: str, size: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Image and variance [5, y, x] that belong to a sample: noise seeded by its name."""
    rng = np.random.default_rng(list(sample_id.encode()))
    image = rng.normal(size=(len(SLOTS), size, size)).astype(np.float32)
    variance = rng.uniform(1, 2, image.shape).astype(np.float32)
    image[4], variance[4] = 0.0, np.inf
    variance[0, 0, 0] = np.inf
    return image, variance


def read_pixels(
    tiff: str, metadata: str, batch: int = 7
) -> Iterator[tuple[np.ndarray, np.ndarray, pd.DataFrame]]:
    """Stands in for `images.read_cutouts`: the same interface, pixels from `pixels`."""
    table = pd.read_parquet(metadata)
    for start in range(0, len(table), batch):
        part = table.iloc[start : start + batch].reset_index(drop=True)
        pairs = [pixels(name) for name in part["sample_id"]]
        yield np.stack([a for a, _ in pairs]), np.stack([b for _, b in pairs]), part


def make_shards(folder: Path, records: list[Metadata], seed: int = 1, **options: object) -> str:
    """Splits and shards of these records below `folder`; returns the index."""
    from lenshunt.dataset import write_shards

    half = len(records) // 2
    chunks = [
        ("none.tif", write_table(folder / f"chunk{i}.parquet", part))
        for i, part in enumerate((records[:half], records[half:]))
    ]
    splits = str(folder / "splits.parquet")
    metadata = [name for _, name in chunks]
    kind = {name: bool(options.pop(name, False)) for name in ("search", "held_out")}
    config = SplitConfig(folds=options.pop("folds", None))
    make_splits(metadata=metadata, config=config, seed=seed, out=splits, **kind)
    index = str(folder / "index.json")
    values: dict = {
        "quality_threshold": 0.7,
        "drop_unmatched": False,
        "folder": str(folder / "shards"),
        "samples_per_shard": 10,
        "read": read_pixels,
        **options,
    }
    write_shards(cutouts=chunks, splits=splits, index=index, **values)
    return index
