"""A toy survey for the tests of training: round galaxies, and lenses with a blob beside them."""

import numpy as np
import pandas as pd
import torch

from lenshunt.schema import Metadata
from lenshunt.schema.metadata import table_from_records

SIZE = 32


def toy_table(labels: np.ndarray, prefix: str = "toy", **changes: object) -> pd.DataFrame:
    """Metadata of one sample per label."""
    records = []
    for number, label in enumerate(labels):
        values: dict[str, object] = {
            "sample_id": f"{prefix}-{number}",
            "system_id": f"{prefix}-{number}",
            "dataset": prefix,
            "raw_file": "toy.fits",
            "raw_index": number,
            "raw_sha256": "0" * 64,
            "label": int(label),
            "label_source": "sim:demo" if label >= 0 else "pretrain:galaxiesml",
            "label_confidence": 1.0,
            "z_spec": 0.1 + 0.02 * (number % 30),
            "pixel_scale": 0.168,
            "psf_fwhm": 0.7 + 0.01 * (number % 9),
            "instrument": "toy",
            "survey": "hsc",
            "band_flags": (1, 1, 1, 1, 0),
            "magnitude": (22.0, 21.0, 20.0 + 0.1 * (number % 10), 19.5, float("nan")),
            "sersic_index": 1.0 + (number % 4),
            "half_light_radius": 0.5 + 0.1 * (number % 5),
            "flux_ratio": 0.05 if label == 1 else float("nan"),
        }
        records.append(Metadata(**{**values, **changes}))
    return table_from_records(records)


def toy_images(labels: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Image and variance, float32 [n, 5, SIZE, SIZE]; band y absent, one masked pixel each."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    image = rng.normal(0.0, 1.0, (len(labels), 5, SIZE, SIZE))
    image += 40 * np.exp(-(x**2 + y**2) / 18)
    for number in np.flatnonzero(labels == 1):
        angle = rng.uniform(0, 2 * np.pi)
        dx, dy = x - 8 * np.cos(angle), y - 8 * np.sin(angle)
        image[number] += 12 * np.exp(-(dx**2 + dy**2) / 6)
    variance = np.ones_like(image)
    image[:, 4], variance[:, 4] = 0.0, np.inf
    image[:, 1, 3, 5], variance[:, 1, 3, 5] = 0.0, np.inf
    return image.astype(np.float32), variance.astype(np.float32)


class MemoryLoader:
    """Stand-in for the dataset room's loader: arrays at hand."""

    def __init__(
        self,
        table: pd.DataFrame,
        images: tuple[np.ndarray, np.ndarray],
        batch_size: int = 16,
        shuffle: bool = False,
        seed: int = 0,
        weights: np.ndarray | None = None,
        samples_per_epoch: int | None = None,
    ) -> None:
        self.table, self.image, self.variance = table, *images
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.weights, self.draws = weights, samples_per_epoch or len(table)
        self.epoch = 0

    def __len__(self) -> int:
        return -(-self.draws // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self):
        rows = np.arange(len(self.table))
        if self.shuffle:
            rng = np.random.default_rng([self.seed, self.epoch])
            rows = rng.choice(rows, self.draws, replace=self.weights is not None, p=self.weights)
        for start in range(0, len(rows), self.batch_size):
            yield self.batch(rows[start : start + self.batch_size])

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """The batch of these rows."""
        part = self.table.iloc[rows]
        flags = part[[f"band_flags_{slot}" for slot in "grizy"]].to_numpy(np.float32)
        return {
            "image": torch.from_numpy(self.image[rows]),
            "variance": torch.from_numpy(self.variance[rows]),
            "noise_corr": torch.ones(len(rows), 5),
            "band_flags": torch.from_numpy(flags),
            "row": torch.from_numpy(np.asarray(rows, np.int64)),
            "label": torch.from_numpy(part["label"].to_numpy(np.float32)),
            "confidence": torch.from_numpy(part["label_confidence"].to_numpy(np.float32)),
        }


class ToySurvey:
    """Splits by name, and a `make_loader` over them with the dataset room's arguments."""

    def __init__(self, **labels: np.ndarray) -> None:
        self.parts = {}
        for seed, (split, values) in enumerate(sorted(labels.items())):
            table = toy_table(values, prefix=split).assign(split=split)
            self.parts[split] = (table, toy_images(values, seed))

    def make_loader(self, *, splits: list[str], batch_size: int, **options: object) -> MemoryLoader:
        kept = ("shuffle", "seed", "weights", "samples_per_epoch")
        tables = [self.parts[name] for name in splits]
        table = pd.concat([part for part, _ in tables], ignore_index=True)
        images = tuple(np.concatenate([pixels[i] for _, pixels in tables]) for i in (0, 1))
        chosen = {name: options[name] for name in kept if name in options}
        return MemoryLoader(table, images, batch_size, **chosen)


def alternating(n: int) -> np.ndarray:
    """Labels 0 1 0 1 ..."""
    return np.arange(n) % 2


def batch_of(count: int = 8) -> dict[str, torch.Tensor]:
    """A batch of as many lenses as galaxies."""
    labels = alternating(count)
    return MemoryLoader(toy_table(labels), toy_images(labels)).batch(np.arange(count))
