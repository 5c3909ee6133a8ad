"""What lenses made while training are made from: hosts, population, sources."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from lenshunt import dataset
from lenshunt.config import Grid, Online, TrainingConfig
from lenshunt.core import file_sha256
from lenshunt.dataset import Batch, Loader
from lenshunt.images.psf import target_psf
from lenshunt.scenes.inject import HOST_CONFIDENCE
from lenshunt.scenes.online import (
    ONLINE,
    OnlineLenses,
    matched_host,
    population_for,
    suitable_hosts,
)
from lenshunt.scenes.source_store import read_sources
from lenshunt.schema import Cutout
from lenshunt.schema.metadata import records_from_table
from lenshunt.training.checkpoint import data_digest
from lenshunt.training.statistics import SIGMA_IMAGES

#: Hosts whose noise tells the depth of their survey.
SURVEY_HOSTS = 128


@dataclass(frozen=True)
class OnlineInputs:
    """The section `online` of an experiment, with the files that it stands for.

    hosts : shard indexes; sources : HDF5 of `write_sources`, or None; grid : of the experiment
    """

    config: Online
    grid: Grid
    hosts: list[str]
    sources: str | None = None

    def digest(self) -> dict[str, Any]:
        """All that the online samples depend on, as plain values."""
        return {
            "config": self.config.model_dump(),
            "grid": self.grid.model_dump(),
            "hosts": data_digest(self.hosts),
            "sources": file_sha256(self.sources) if self.sources else "",
        }


@dataclass(frozen=True)
class OnlineHosts:
    """The training split of the hosts, without those on the exclusion list of the experiment."""

    indexes: list[str]
    exclusions: str | None
    fold: int | None

    def table(self) -> pd.DataFrame:
        """Metadata of the hosts."""
        return dataset.read_table(self.indexes, ["train"], self.exclusions, self.fold)

    def loader(self, **options: Any) -> Loader:
        """Loader of the hosts; `options` of `make_loader`."""
        return dataset.make_loader(
            indexes=self.indexes,
            splits=["train"],
            exclusions=self.exclusions,
            fold=self.fold,
            # painted samples have none
            segments=False,
            **options,
        )


@dataclass(frozen=True)
class OnlineData:
    """What the online samples of one training are made of.

    share, lens_fraction : of each batch, and of lenses among its online samples
    """

    hosts: OnlineHosts
    lenses: OnlineLenses
    share: float
    lens_fraction: float


def prepare_online(
    inputs: OnlineInputs,
    *,
    exclusions: str | None,
    fold: int | None,
    training: TrainingConfig,
    seed: int,
) -> tuple[OnlineData, Loader]:
    """Draw the population that the survey of the hosts shows, read the sources.

    Returns the data, and the loader of the hosts in order.
    Raises ValueError where the exclusion list, or PSFs that are not matched, leave no host.
    """
    online, psf = inputs.config, target_psf(inputs.grid)
    opened = OnlineHosts(inputs.hosts, exclusions, fold)
    loader = opened.loader(batch_size=training.samples_per_batch, loader=training.loader)
    suitable = suitable_hosts(loader.table)
    if not suitable.any():
        raise ValueError(
            f"{', '.join(online.hosts)}: no object of the training split can be a host of online "
            "lenses (excluded, a lens, or its PSF not matched to the grid); name other hosts"
        )
    rows = survey_rows(loader.table["dataset"], suitable)
    hosts = (
        host
        for start in range(0, len(rows), training.samples_per_batch)
        for host in _cutouts_of(loader, rows[start : start + training.samples_per_batch], psf)
    )
    lenses = OnlineLenses(
        population=population_for(hosts, online.population_size, online.snr_min, seed),
        psf=psf,
        snr_min=online.snr_min,
        sources=read_sources(inputs.sources) if inputs.sources else [],
    )
    return OnlineData(opened, lenses, online.share, online.lens_fraction), loader


def survey_rows(names: pd.Series, suitable: np.ndarray) -> np.ndarray:
    """Rows of the hosts that are measured: the first of every data set, as many of each.

    names : data set of every host [n]; suitable : bool [n]
    """
    allowed = names[suitable]
    each = -(-SURVEY_HOSTS // allowed.nunique())
    return np.flatnonzero(suitable)[(allowed.groupby(allowed).cumcount() < each).to_numpy()]


def _cutouts_of(loader: Loader, rows: np.ndarray, psf: np.ndarray) -> Iterator[Cutout]:
    batch = loader.dataset[rows]
    return cutouts(batch, loader.table, psf, np.ones(len(rows), bool))


def cutouts(
    batch: Batch, table: pd.DataFrame, psf: np.ndarray, kept: np.ndarray
) -> Iterator[Cutout]:
    """Hosts of those samples of a batch where `kept` is true, with their metadata."""
    records = records_from_table(table.iloc[batch["row"].numpy()[kept]])
    for place, record in zip(np.flatnonzero(kept), records, strict=True):
        image, variance, corr = (
            batch[name][place].numpy() for name in ("image", "variance", "noise_corr")
        )
        yield matched_host(image, variance, corr, record, psf)


def online_table(hosts: pd.DataFrame) -> pd.DataFrame:
    """Metadata of what may be made of hosts [n]: n negatives, then the n lenses of the same hosts.

    Fluxes of a lens are those of its host; what arcs add is drawn anew every time.
    """
    name = ONLINE + "-" + hosts["sample_id"]
    common: dict[str, Any] = {
        "dataset": ONLINE,
        "einstein_radius": np.nan,
        "flux_ratio": np.nan,
        "arc_snr": np.nan,
    }
    negatives = hosts.assign(
        **common, sample_id=name + "-host", label=0, label_source="obs:matched",
        label_confidence=HOST_CONFIDENCE,
    )  # fmt: skip
    lenses = hosts.assign(
        **common, sample_id=name + "-lens", label=1, label_source="sim:injection",
        label_confidence=1.0,
    )  # fmt: skip
    return pd.concat([negatives, lenses], ignore_index=True)


def batches_for_statistics(loader: Loader, hosts: Loader, share: float) -> Iterator[Batch]:
    """As many of the first samples of both loaders as their shares, SIGMA_IMAGES together."""
    return chain(
        _leading(loader, round(SIGMA_IMAGES * (1.0 - share))),
        _leading(hosts, round(SIGMA_IMAGES * share)),
    )


def _leading(batches: Iterable[Batch], images: int) -> Iterator[Batch]:
    """The first batches, cut to `images` samples."""
    left = images
    for batch in batches:
        if left <= 0:
            return
        yield {name: values[:left] for name, values in batch.items()}
        left -= len(batch["row"])


def table_for_statistics(table: pd.DataFrame, hosts: pd.DataFrame, share: float) -> pd.DataFrame:
    """Metadata of training samples [n] and of online ones in their share of the whole."""
    suitable = hosts[suitable_hosts(hosts)]
    wanted = min(len(suitable), max(round(0.5 * len(table) * share / (1.0 - share)), 1))
    evenly = np.linspace(0, len(suitable) - 1, wanted).astype(int)
    return pd.concat([table, online_table(suitable.iloc[evenly])], ignore_index=True)
