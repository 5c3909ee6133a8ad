"""Runs of an injected data set in a folder: hosts in chunks, their plan, and what is painted."""

import json
from typing import Any

import numpy as np
from injection_samples import host
from pyarrow import parquet

from lenshunt.config import InjectionDataset
from lenshunt.dataset.known_lenses import nearest_known_lens
from lenshunt.scenes.host_records import read_hosts
from lenshunt.scenes.injected_chunk import inject_chunk
from lenshunt.scenes.plan import plan_injection
from lenshunt.schema import Cutout, RecordWriter

RADII = {"galaxy": 10.0, "group": 15.0, "cluster": 30.0}
PRODUCTS = ("pixels", "metadata", "rejected", "truth", "hard_negatives", "skipped")


def section(**keys) -> InjectionDataset:
    values = {"survey": "hsc", "grids": ["ground"], "population": 300, "tries": 5}
    values |= {"hard_negatives": 0.0, **keys}
    return InjectionDataset(reader="injection", hosts="hosts", **values)


def hosts_of(count, first=0) -> list[Cutout]:
    """Galaxies of i = 20 at their own places on the sky, as a pretraining data set has them."""
    return [
        host(number).with_metadata(
            ra=10.0 + 0.1 * number, dec=1.0, magnitude=(22.4, 21.0, 20.2, np.nan, np.nan),
            label_source="pretrain:galaxiesml", z_phot=0.4,
        )
        for number in range(first, first + count)
    ]  # fmt: skip


class Injection:
    """Hosts in chunks in a folder, and what is made of them."""

    def __init__(self, folder, chunks, dataset=None, sources=(), known=(), seed=5):
        self.folder, self.dataset, self.seed = folder, dataset or section(), seed
        self.hosts = [self._write(f"hosts-{k}", part) for k, part in enumerate(chunks)]
        self.sources = [self._write("sources", sources)] if sources else []
        table = read_hosts([metadata for _, metadata in self.hosts])
        self.plan = {
            "out_hosts": str(folder / "hosts.parquet"),
            "out_population": str(folder / "population.parquet"),
            "out_sources": str(folder / "sources.h5"),
        }
        near = nearest_known_lens(table.assign(label_source="obs:matched"), list(known), RADII)
        plan_injection(
            name="painted", dataset=self.dataset, hosts=table, near=near, seed=seed,
            host_chunks=self.hosts, source_chunks=self.sources, **self.plan,
        )  # fmt: skip

    def _write(self, stem, records):
        paths = str(self.folder / f"{stem}.h5"), str(self.folder / f"{stem}.parquet")
        with RecordWriter(*paths) as writer:
            for record in records:
                writer.add(record)
        return paths

    def paint(self, chunk, to="painted") -> dict[str, str]:
        """Paths of the products of one chunk."""
        out = {name: str(self.folder / f"{to}-{chunk}.{name}") for name in PRODUCTS}
        pixels, metadata = self.hosts[chunk]
        inject_chunk(
            name="painted", dataset=self.dataset, chunk=chunk, seed=self.seed,
            hosts=self.plan["out_hosts"], population=self.plan["out_population"],
            sources=self.plan["out_sources"], host_pixels=pixels, host_metadata=metadata, **out,
        )  # fmt: skip
        return out


def survey_in(population: str) -> dict[str, Any]:
    """The fields of the `Survey` for which a population was drawn, from its file."""
    return json.loads(parquet.read_schema(population).metadata[b"survey"])
