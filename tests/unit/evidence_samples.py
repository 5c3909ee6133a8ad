"""Small networks and toy test sets for the tests of the evidence."""

import numpy as np
import torch
from test_models_inputs import conditioned
from test_models_registry import small
from training_toy import MemoryLoader, alternating, toy_images, toy_table

from lenshunt.evidence.common import Trained
from lenshunt.models import build_model


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
    """The same batches with segments [n, segment, column]."""

    def __init__(self, loader: MemoryLoader, segments: torch.Tensor) -> None:
        super().__init__(loader.table, (loader.image, loader.variance), loader.batch_size)
        self.segments = segments

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        return {**super().batch(rows), "segments": self.segments[rows]}
