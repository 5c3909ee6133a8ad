"""Lenses made while training: batches of injected lenses and hosts from batches of hosts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch

from lenshunt.injection.hosts import host_noise, host_shape
from lenshunt.injection.inject import HOST_CONFIDENCE, inject
from lenshunt.injection.real_sources import RealSource
from lenshunt.records import SLOTS, Cutout, Metadata

Batch = dict[str, torch.Tensor]


@dataclass
class OnlineLenses:
    """Batches of the loader in, batches of the same keys out, half of them lenses.

    population : of `draw_population`, for the survey of the hosts
    psf : float32 [band, h, w], the effective PSF of all hosts: the grid's target once matched
    pixel_scale_arcsec, bands : of the hosts; "" in a band slot without data
    lens_fraction : of the samples of every batch, to the nearest whole number
    Every batch is drawn from (seed, epoch, rank, worker, batch number) alone: the same numbers
    give the same lenses, and no two workers give equal ones. `epoch` is set before each epoch.
    The noise of hosts that are matched to a common PSF is correlated; the Poisson noise of the
    arcs is not: it is a small part of the sum for hosts limited by the sky.
    """

    population: pd.DataFrame
    psf: np.ndarray
    pixel_scale_arcsec: float
    bands: tuple[str, str, str, str, str]
    seed: int
    lens_fraction: float = 0.5
    snr_min: float = 20.0
    rank: int = 0
    worker: int = 0
    epoch: int = 0
    sources: list[RealSource] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 0.0 <= self.lens_fraction <= 1.0:
            raise ValueError(f"lens_fraction is {self.lens_fraction}, expected 0 to 1")

    def batches(self, hosts: Iterable[Batch]) -> Iterator[Batch]:
        """One batch per batch of hosts: images, variances, labels and confidences replaced."""
        for number, batch in enumerate(hosts):
            key = [self.seed, self.epoch, self.rank, self.worker, number]
            yield self.simulated(batch, np.random.default_rng(key))

    def simulated(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """A new batch; added keys: `theta_e` (arcsec, NaN for hosts).

        Hosts that cannot carry a visible lens stay hosts; the next ones of a random order take
        their place. Raises ValueError where too few of the batch can.
        """
        count = len(batch["image"])
        wanted = round(self.lens_fraction * count)
        image, variance = batch["image"].clone(), batch["variance"].clone()
        label = torch.zeros(count)
        theta_e = torch.full((count,), torch.nan)
        made = 0
        for row in rng.permutation(count):
            if made == wanted:
                break
            host = self._host(batch, int(row))
            if host is None:
                continue
            lens = inject(rng, host, self.population, "online", self.sources, self.snr_min, tries=5)
            if lens is None:
                continue
            image[row] = torch.from_numpy(lens.lens.image)
            variance[row] = torch.from_numpy(lens.lens.variance)
            label[row], theta_e[row] = 1.0, lens.truth["theta_e"]
            made += 1
        if made < wanted:
            raise ValueError(
                f"only {made} of {count} hosts can carry a lens with S/N above {self.snr_min}, "
                f"{wanted} are wanted; lower lens_fraction or snr_min, or use brighter hosts"
            )
        confidence = torch.where(label > 0, 1.0, HOST_CONFIDENCE)
        return {
            **batch, "image": image, "variance": variance,
            "label": label, "confidence": confidence, "theta_e": theta_e,
        }  # fmt: skip

    def _host(self, batch: Batch, row: int) -> Cutout | None:
        """One sample as a record; None where it is no host (no galaxy, or a masked core)."""
        flags = tuple(int(flag) for flag in batch["band_flags"][row])
        metadata = Metadata(
            sample_id=f"row-{row}",
            system_id=f"row-{row}",
            dataset="online",
            raw_file="online",
            raw_index=row,
            raw_sha256="0" * 64,
            label=-1,
            label_source="unlabelled",
            label_confidence=0.0,
            pixel_scale=self.pixel_scale_arcsec,
            instrument="online",
            survey="online",
            bands=tuple(name if flag else "" for name, flag in zip(self.bands, flags, strict=True)),
            band_flags=flags,
        )
        noise_corr = batch.get("noise_corr")
        host = Cutout(
            image=batch["image"][row].float().numpy(),
            variance=batch["variance"][row].float().numpy(),
            metadata=metadata,
            psf=self.psf.astype(np.float32),
            noise_corr=np.ones(len(SLOTS), np.float32)
            if noise_corr is None
            else noise_corr[row].float().numpy(),
        )
        try:
            host_shape(host)
            host_noise(host)
        except ValueError:
            return None
        return host
