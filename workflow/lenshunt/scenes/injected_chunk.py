"""One chunk of an injected data set: records of lenses and hosts, truth, hosts left out."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from lenshunt.config import InjectionDataset
from lenshunt.images.rejected import write_rejected
from lenshunt.scenes.host_look_alikes import LookAlike, inject_look_alike
from lenshunt.scenes.host_records import cutouts_of, seed_of
from lenshunt.scenes.hosts import UnsuitableHostError
from lenshunt.scenes.inject import Injected, inject
from lenshunt.scenes.plan import skipped_before
from lenshunt.scenes.real_sources import RealSource
from lenshunt.scenes.skipped import counted, report, write_skipped
from lenshunt.scenes.source_store import read_sources
from lenshunt.scenes.truth import LOOK_ALIKE_COLUMNS, truth_row, write_truth
from lenshunt.schema import Cutout, RecordWriter


def inject_chunk(
    *,
    name: str,
    dataset: InjectionDataset,
    chunk: int,
    seed: int,
    hosts: str,
    population: str,
    sources: str,
    host_pixels: str,
    host_metadata: str,
    pixels: str,
    metadata: str,
    rejected: str,
    truth: str,
    hard_negatives: str,
    skipped: str,
) -> None:
    """Make records of lenses, hosts and painted look-alikes of the hosts in one chunk.

    hosts, population, sources : of `plan_injection`, the same for all chunks
    host_pixels, host_metadata : records of the hosts' data set, this chunk
    pixels, metadata : HDF5 and Parquet of the records: a lens, its host, and where there is one
        its look-alike in turn
    rejected : ECSV of raw files that could not be read: none here, the hosts' own table has them
    truth, hard_negatives : Parquet, one row for each; skipped : ECSV of the hosts without a lens,
        with the reason
    What is painted on a host depends on the population, the seed and the host's name alone.
    """
    plan = pd.read_parquet(hosts)
    plan = plan[plan["chunk"] == chunk]
    tried = set(plan.loc[plan["reason"] == "", "sample_id"])
    painter = _Painter(name, dataset, seed, pd.read_parquet(population), read_sources(sources))
    left_out = skipped_before(plan)
    rows, look_alikes = [], []
    with RecordWriter(pixels, metadata) as writer:
        records = cutouts_of(host_pixels, host_metadata, tried)
        for host in tqdm(records, total=len(tried), desc=f"injecting {name}", unit="host",
                         disable=None):  # fmt: skip
            made = painter.lens(host)
            if isinstance(made, str):
                left_out.append((host.metadata.sample_id, made))
                continue
            writer.add(made.lens)
            writer.add(made.host)
            rows.append(truth_row(made))
            look_alike = painter.look_alike(host)
            if look_alike is not None:
                writer.add(look_alike.record)
                look_alikes.append(look_alike.truth)
    write_rejected([], 2 * len(rows) + len(look_alikes), rejected)
    write_truth(rows, truth)
    write_truth(look_alikes, hard_negatives, LOOK_ALIKE_COLUMNS)
    write_skipped(left_out, len(rows), skipped)
    print(
        f"{name}, chunk {chunk}: {len(rows)} lenses and {len(look_alikes)} look-alikes on "
        f"{len(tried)} hosts"
    )
    print(report(counted([reason for _, reason in left_out])))


@dataclass(frozen=True)
class _Painter:
    """What all hosts of an injected data set are painted with."""

    name: str
    dataset: InjectionDataset
    seed: int
    population: pd.DataFrame
    sources: list[RealSource]

    def lens(self, host: Cutout) -> Injected | str:
        """The lens made of a host, or why there is none."""
        least, tries = self.dataset.snr_min, self.dataset.tries
        try:
            made = inject(
                self._rng(host), host, self.population, self.name, self.sources, least, tries
            )
        except UnsuitableHostError as fault:
            return fault.reason
        return made or f"none of {tries} lenses is seen with S/N above {least:g}"

    def look_alike(self, host: Cutout) -> LookAlike | None:
        """That of a host that carries a lens too; None by chance, or where it is not seen."""
        rng, section = self._rng(host, "hard negative"), self.dataset
        if rng.random() >= section.hard_negatives:
            return None
        kinds = section.hard_negative_kinds.model_dump()
        return inject_look_alike(
            rng, host, self.population, self.name, self.sources, section.snr_min, section.tries,
            kinds,
        )  # fmt: skip

    def _rng(self, host: Cutout, *what: str) -> np.random.Generator:
        names = (self.name, host.metadata.sample_id, *what)
        return np.random.default_rng(seed_of(self.seed, *names))
