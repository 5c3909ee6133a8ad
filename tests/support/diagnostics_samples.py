"""Small networks, toy test sets and checkpoints of them for the tests of the diagnostics."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from small_models import conditioned, small
from training_toy import MemoryLoader, alternating, toy_images, toy_table

from lenshunt import dataset
from lenshunt.config import SegmentsConfig
from lenshunt.evaluation.diagnostics import measure_file
from lenshunt.evaluation.diagnostics.common import Trained
from lenshunt.models import CONDITIONS, build_model
from lenshunt.training.checkpoint import FIELDS, save_checkpoint


def untrained(architecture: str, **changes) -> Trained:
    """A small network as training would start with it."""
    torch.manual_seed(0)
    config = small(architecture, **changes)
    normalisation = conditioned()
    return Trained(build_model(config, normalisation).eval(), normalisation, architecture, config)


def toy_test(n: int = 24, batch_size: int = 10) -> MemoryLoader:
    """Lenses of known Einstein radius and S/N in turn with non-lenses, in bands g r i z of HSC."""
    labels = alternating(n)
    filters = ("HSC_G", "HSC_R", "HSC_I", "HSC_Z", "")
    rng = np.random.default_rng(0)
    lens = labels == 1
    table = toy_table(labels, bands=filters).assign(
        einstein_radius=np.where(lens, rng.uniform(0.7, 2.0, n), np.nan),
        arc_snr=np.where(lens, rng.uniform(5, 60, n), np.nan),
    )
    return MemoryLoader(table, toy_images(labels), batch_size)


class WithSegments(MemoryLoader):
    """The same batches with segments [n, segment, column], found as the defaults say."""

    segmentation = SegmentsConfig()

    def __init__(self, loader: MemoryLoader, segments: torch.Tensor) -> None:
        super().__init__(loader.table, (loader.image, loader.variance), loader.batch_size)
        self.segments = segments

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        return {**super().batch(rows), "segments": self.segments[rows]}


class Shards:
    """The samples of a toy loader by their rows, as the loader's data set gives them."""

    def __init__(self, loader) -> None:
        self.loader = loader

    def __getitem__(self, rows):
        return self.loader.batch(rows)


def toy_loaders(monkeypatch) -> dict:
    """`make_loader` gives 60 toys; returns what it was asked for."""
    asked: dict = {}

    def make_loader(**arguments):
        asked.update(arguments)
        loader = toy_test(60)
        loader.dataset = Shards(loader)
        return loader

    monkeypatch.setattr(dataset, "make_loader", make_loader, raising=False)
    return asked


def saved(folder: Path, trained: Trained, training: dict | None = None, seed: int = 1) -> str:
    """A checkpoint of a toy network."""
    path = folder / f"{trained.name}-{seed}.ckpt"
    config = trained.config.model_copy(update={"training": training or {}})
    made_by_saving = {"schema", "commit", "versions"}
    fields = dict.fromkeys(name for name in FIELDS if name not in made_by_saving)
    fields.update(
        kind="classifier",
        name=trained.name,
        seed=seed,
        model=config.model_dump(),
        normalisation=trained.normalisation.to_dict(),
        state=trained.network.state_dict(),
    )
    save_checkpoint(path, **fields)
    return str(path)


def measured(folder: Path, subject: str, baseline: str | None, name: str = "a", **changes):
    """Numbers and curves as they are in the files NAME.json and NAME.csv."""
    measure_file(
        **{
            "checkpoint": subject,
            "baseline": baseline,
            "indexes": ["index.json"],
            "exclusions": "none.parquet",
            "fold": 2,
            "segmentation": SegmentsConfig(),
            "seed": 4,
            "out_numbers": folder / f"{name}.json",
            "out_curves": folder / f"{name}.csv",
            "per_class": 10,
            **changes,
        }
    )
    return json.loads((folder / f"{name}.json").read_text()), pd.read_csv(folder / f"{name}.csv")


def batch_of(n: int = 6) -> dict[str, torch.Tensor]:
    return {**toy_test(n).batch(np.arange(n)), "metadata": torch.rand(n, len(CONDITIONS))}


def with_film(**changes) -> Trained:
    """A FiLM network that has learned to listen, at random."""
    subject = untrained("film_resnet")
    normalisation = conditioned(**changes)
    network = build_model(subject.config, normalisation).eval()
    torch.manual_seed(1)
    for layer in network.film.values():
        torch.nn.init.normal_(layer.linear.weight, std=0.3)
    return Trained(network, normalisation, "film", subject.config)


def values(diagnostics, panel: str) -> np.ndarray:
    return diagnostics.curves[diagnostics.curves["panel"] == panel]["value"].to_numpy()
