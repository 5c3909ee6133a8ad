"""Hosts read from the records of a data set, one at a time; which of them are tried, and seeds."""

import hashlib
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

import numpy as np
import pandas as pd

from lenshunt.config import InjectionDataset
from lenshunt.schema import (
    SLOTS,
    Cutout,
    CutoutBatch,
    RecordReader,
    is_trainable_source,
    read_metadata,
    reference_band,
)
from lenshunt.schema.metadata import records_from_table

#: Records read at a time.
BATCH = 32
#: What the choice of hosts needs to know.
HOST_COLUMNS = (
    "sample_id",
    "system_id",
    "label",
    "label_source",
    "ra",
    "dec",
    *(f"band_flags_{slot}" for slot in SLOTS),
    *(f"magnitude_{slot}" for slot in SLOTS),
)
#: Reasons of hosts that are not tried.
LENS, UNCLEAR, FAINT, BEYOND = (
    "a lens is no host",
    "neither lens nor clear negative",
    "fainter than host_magnitude_max, or without a magnitude",
    "beyond hosts_max",
)


def seed_of(seed: int, *names: str) -> list[int]:
    """Seed of a random generator from the run's seed and names, the same on every machine."""
    digest = hashlib.sha256("\0".join([str(seed), *names]).encode()).digest()
    return np.frombuffer(digest, "<u4").tolist()


def cutouts_of(
    pixels: Path | str, metadata: Path | str, wanted: Set[str] | None = None
) -> Iterator[Cutout]:
    """Records of one chunk, or those of `wanted` sample ids, in the file's order; few in memory."""
    stacks: dict[tuple[str, ...], np.ndarray] = {}
    for batch in RecordReader(pixels, metadata).batches(BATCH):
        names = batch.metadata["sample_id"]
        rows = np.flatnonzero(names.isin(wanted) if wanted is not None else names.notna())
        records = records_from_table(batch.metadata.iloc[rows])
        for row, record in zip(rows, records, strict=True):
            ids = tuple(batch.psf_id[row])
            if ids not in stacks:
                # neighbours share one stack of PSFs; many different ones are not kept
                stacks = {ids: _psf_stack(batch, ids)} if any(ids) else {}
            yield Cutout(
                image=batch.image[row],
                variance=batch.variance[row],
                metadata=record,
                psf=stacks.get(ids),
                noise_corr=batch.noise_corr[row],
            )


def _psf_stack(batch: CutoutBatch, ids: Sequence[str]) -> np.ndarray:
    """PSFs [band, h, w] of one record, smaller ones with zeros around; zeros in absent bands."""
    images = [batch.psfs[name] if name else None for name in ids]
    sides = [image.shape for image in images if image is not None]
    height, width = (max(side[axis] for side in sides) for axis in (0, 1))
    stack = np.zeros((len(ids), height, width), np.float32)
    for band, image in enumerate(images):
        if image is not None:
            y, x = (
                (side - own) // 2 for side, own in zip((height, width), image.shape, strict=True)
            )
            stack[band, y : y + image.shape[0], x : x + image.shape[1]] = image
    return stack


def read_hosts(metadata: Sequence[str]) -> pd.DataFrame:
    """HOST_COLUMNS of all records of the hosts, with their `chunk`."""
    parts = [read_metadata(path, HOST_COLUMNS).assign(chunk=k) for k, path in enumerate(metadata)]
    return pd.concat(parts, ignore_index=True)


def choose_hosts(
    hosts: pd.DataFrame, near: pd.DataFrame, dataset: InjectionDataset, name: str, seed: int
) -> pd.DataFrame:
    """Which hosts are tried: columns sample_id, chunk, order, reason ("" where tried).

    hosts : of `read_hosts`; near : known lens at each host, columns file and name, "" where none
    order : place in a random order that depends on seed and names alone; of more than
        dataset.hosts_max the first ones are tried, so that one host more changes one host
    """
    # of the band in which arcs are compared with it: unknown there is unknown
    band = reference_band(hosts[[f"band_flags_{slot}" for slot in SLOTS]])
    magnitudes = hosts[[f"magnitude_{slot}" for slot in SLOTS]].to_numpy(float)
    magnitude = magnitudes[np.arange(len(hosts)), band]
    unclear = (hosts["label"] == -1) & hosts["label_source"].map(is_trainable_source).astype(bool)
    known = "known lens " + near["name"] + " (" + near["file"] + ")"
    reason = np.select(
        [
            (near["file"] != "").to_numpy(),
            (hosts["label"] == 1).to_numpy(),
            unclear.to_numpy(),
            ~(magnitude <= dataset.host_magnitude_max),
        ],
        [known.to_numpy(object), LENS, UNCLEAR, FAINT],
        default="",
    )
    keys = [seed_of(seed, name, "order", sample) for sample in hosts["sample_id"]]
    chosen = hosts[["sample_id", "chunk"]].assign(reason=reason)
    free = np.flatnonzero(chosen["reason"] == "")
    order = np.full(len(chosen), -1)
    order[sorted(free, key=lambda row: keys[row])] = np.arange(len(free))
    if dataset.hosts_max is not None:
        chosen.loc[order >= dataset.hosts_max, "reason"] = BEYOND
    return chosen.assign(order=order).astype({"reason": "str"})
