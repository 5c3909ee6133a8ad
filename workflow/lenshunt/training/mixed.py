"""Training batches of which a share is painted while they are loaded: lenses and their hosts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from lenshunt.config import TrainingConfig
from lenshunt.dataset import Batch, Loader, ShardDataset, in_runs
from lenshunt.models import CONDITIONS, condition_table
from lenshunt.scenes.online import OnlineLenses, suitable_hosts
from lenshunt.schema import Cutout
from lenshunt.training.online import OnlineData, cutouts, online_table
from lenshunt.training.truth import TRUTHS, true_values

#: Hosts that a batch may use up, in units of the online samples in it, and beyond those.
HOSTS_PER_SAMPLE, HOSTS_MORE = 10, 50
#: Conditions that arcs change.
_SNR = CONDITIONS.index("log_snr")
_MAGNITUDE = slice(CONDITIONS.index("magnitude_g"), CONDITIONS.index("magnitude_y") + 1)


@dataclass(frozen=True)
class Item:
    """One batch to be made: its number, rows of shards and of hosts, how many become lenses."""

    epoch: int
    number: int
    rows: np.ndarray
    hosts: np.ndarray
    lenses: int


class MixedDataset(Dataset[Batch]):
    """Batches of shard samples followed by online samples; `row` points into `table`.

    table : the shards' samples, then the `online_table` of the hosts
    A batch is a function of (seed, epoch, rank, batch number) and the data alone: whichever
    process makes it. It holds `metadata` too, the conditions of each sample, since arcs change the
    magnitudes of their host, and `TRUTHS`, since every lens is drawn anew; segments are left out,
    painted samples have none.
    """

    def __init__(
        self, shards: ShardDataset, hosts: ShardDataset, lenses: OnlineLenses, key: list[int]
    ) -> None:
        self.shards, self.hosts, self.lenses, self.key = shards, hosts, lenses, key
        self.table = pd.concat(
            [shards.samples.table, online_table(hosts.samples.table)], ignore_index=True
        )
        self.conditions = condition_table(self.table)
        self.truths = true_values(shards.samples.table)
        self.suitable = suitable_hosts(hosts.samples.table)
        if shards.samples.shape != hosts.samples.shape:
            raise ValueError(
                f"the hosts of online lenses are {hosts.samples.shape} pixels [band, y, x], the "
                f"other training samples {shards.samples.shape}; make both on one grid"
            )

    def __getitem__(self, item: Item) -> Batch:
        parts: list[Batch] = []
        if len(item.rows):
            known = self.shards[item.rows]
            known.pop("segments", None)
            known["metadata"] = torch.from_numpy(self.conditions[item.rows])
            truths = {name: torch.from_numpy(of[item.rows]) for name, of in self.truths.items()}
            known.update(truths)
            parts.append(known)
        if len(item.hosts):
            parts.append(self._online(item))
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _online(self, item: Item) -> Batch:
        """Lenses and negatives made of the hosts of an item; of others where some cannot serve."""
        rng = np.random.default_rng([*self.key, item.epoch, item.number])
        used: list[int] = []
        samples = self.lenses.samples(
            rng, self._stream(item, used), item.lenses, len(item.hosts) - item.lenses
        )
        made = [sample.cutout for sample in samples]
        metadata = [one.metadata for one in made]
        label = np.array([one.label for one in metadata])
        known = {name: [getattr(m, name) for m in metadata] for name in ("label", *TRUTHS.values())}
        truths = true_values(pd.DataFrame(known))
        host = np.array([used[sample.place] for sample in samples])
        n, n_hosts = len(self.shards), len(self.hosts)
        row = n + host + label * n_hosts
        conditions = self.conditions[row].copy()
        for values, one in zip(conditions, metadata, strict=True):
            values[_MAGNITUDE] = one.magnitude
            values[_SNR] = np.log10(one.snr) if one.snr > 0 else np.nan
        return {
            "image": torch.from_numpy(np.stack([one.image for one in made])),
            "variance": torch.from_numpy(np.stack([one.variance for one in made])),
            "noise_corr": torch.from_numpy(np.stack([one.noise_corr for one in made])),
            "band_flags": torch.tensor([one.band_flags for one in metadata]).float(),
            "label": torch.from_numpy(label.astype(np.float32)),
            "confidence": torch.tensor([one.label_confidence for one in metadata]),
            "psf_matched": torch.tensor([one.psf_matched for one in metadata]),
            "row": torch.from_numpy(row.astype(np.int64)),
            "metadata": torch.from_numpy(conditions),
            **{name: torch.from_numpy(values) for name, values in truths.items()},
        }

    def _stream(self, item: Item, used: list[int]) -> Iterator[Cutout]:
        """The hosts of an item, then others of the same shards, so that no shard is opened.

        used : row of every host that was handed out
        """
        table, number = self.hosts.samples.table, self.hosts.samples.shard_number
        rng = np.random.default_rng([*self.key, item.epoch, item.number, 1])
        rows = item.hosts
        while len(used) < HOSTS_PER_SAMPLE * len(item.hosts) + HOSTS_MORE:
            every = np.ones(len(rows), bool)
            hosts = cutouts(self.hosts[rows], table, self.lenses.psf, every)
            for row, host in zip(rows, hosts, strict=True):
                used.append(int(row))
                yield host
            at_hand = np.isin(number, number[item.hosts]) & self.suitable
            rows = rng.choice(np.flatnonzero(at_hand), max(len(item.hosts) // 4, 1))


def mixed_plan(
    shards: Loader, hosts: Loader, batch_size: int, lens_fraction: float, workers: int, epoch: int
) -> list[Item]:
    """Items of one epoch of one rank: every batch has its share of both kinds, to one sample.

    shards, hosts : planned without workers; their epochs together make this one
    """
    rows, host_rows = (np.concatenate(loader.plan(epoch)) for loader in (shards, hosts))
    total = len(rows) + len(host_rows)
    ends = np.minimum(np.arange(0, total + batch_size, batch_size), total)
    online_ends = (ends * len(host_rows) + total // 2) // total
    lens_ends = np.floor(online_ends * lens_fraction + 0.5).astype(int)
    items = [
        Item(
            epoch,
            number,
            rows[ends[number] - online_ends[number] : ends[number + 1] - online_ends[number + 1]],
            host_rows[online_ends[number] : online_ends[number + 1]],
            int(lens_ends[number + 1] - lens_ends[number]),
        )
        for number in range(len(ends) - 1)
    ]
    streaming = "stream" in (shards.mode, hosts.mode)
    return in_runs(items, workers if streaming else 0)


def open_mixed(
    rank: int,
    world: int,
    *,
    open_shards: Callable[..., Loader],
    data: OnlineData,
    training: TrainingConfig,
    samples_per_epoch: int,
    seed: int,
) -> Loader:
    """Loader of training batches with online samples among them, for one process.

    open_shards : `train.open_loader` of the samples that are not made online; it is given rank,
        world, training and samples_per_epoch
    samples_per_epoch : over all ranks, both kinds together
    The same batches come for any number of workers, and after a resume in the middle of an epoch;
    only their order depends on `workers` where shards are streamed, as it does without hosts.
    """
    per_rank = samples_per_epoch // world
    online = round(per_rank * data.share)
    if not 0 < online < per_rank:
        raise ValueError(
            f"an epoch of {per_rank} samples has no room for a share of {data.share:g} online "
            "ones; raise training.samples_per_epoch"
        )
    # worker processes are those of the loader that is returned
    planned = training.model_copy(update={"workers": 0})
    shards = open_shards(
        rank, world, training=planned, samples_per_epoch=(per_rank - online) * world
    )
    hosts = data.hosts.loader(
        batch_size=training.samples_per_batch,
        shuffle=True,
        # hosts are drawn independently of the samples beside them
        seed=int(np.random.SeedSequence([seed, 1]).generate_state(1)[0]),
        loader=training.loader,
        rank=rank,
        world=world,
        weights=suitable_hosts(data.hosts.table()).astype(float),
        samples_per_epoch=online * world,
    )
    mixed = MixedDataset(shards.dataset, hosts.dataset, data.lenses, [seed, rank])
    plan = partial(
        mixed_plan, shards, hosts, training.samples_per_batch, data.lens_fraction, training.workers
    )
    return Loader(mixed, plan, table=mixed.table, mode=shards.mode, workers=training.workers)
