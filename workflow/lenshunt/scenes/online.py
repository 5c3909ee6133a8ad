"""Lenses made while training: samples painted on hosts as these come, each its own record."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lenshunt.scenes.hosts import UnsuitableHostError, host_noise, host_shape, survey_of
from lenshunt.scenes.inject import inject, matched_negative, suited_host
from lenshunt.scenes.population import draw_population
from lenshunt.scenes.real_sources import RealSource
from lenshunt.scenes.selection import Selection
from lenshunt.schema import REFERENCE_BANDS, SLOTS, Cutout, Metadata, is_trainable_source

#: Name of the data set of samples that exist only while a network is trained.
ONLINE = "online"
#: Lenses that are tried on a host before the next host is taken.
_TRIES = 5


@dataclass(frozen=True)
class Sample:
    """One training sample: a lens (label 1) or a host without arcs (label 0).

    place : of its host in the stream of hosts, 0, 1, ...
    """

    place: int
    cutout: Cutout


@dataclass(frozen=True)
class OnlineLenses:
    """Makes samples of hosts that are matched to one PSF.

    population : of `draw_population`, for the survey of the hosts
    psf : float32 [h, w], effective PSF of all hosts in all bands: the target of their grid
    snr_min : as in `inject`
    sources : HST galaxies whose light is lensed; clumpy Sersic galaxies where none
    The noise of matched hosts is correlated, and their `noise_corr` counts in the S/N of the arcs.
    The Poisson noise of the arcs has the variance per pixel that the matched hosts have for their
    own light, but is drawn for each pixel alone: over an aperture it is too low by the root of
    `noise_corr`, which matters only where the arcs are brighter than the sky.
    """

    population: pd.DataFrame
    psf: np.ndarray
    snr_min: float = 20.0
    sources: list[RealSource] = field(default_factory=list)

    def samples(
        self, rng: np.random.Generator, hosts: Iterable[Cutout], lenses: int, negatives: int
    ) -> list[Sample]:
        """`lenses` lenses, then `negatives` hosts without arcs, no host twice.

        A host that cannot carry arcs (no galaxy, a masked core), or that is no such galaxy as the
        lenses of the population are (magnitude, colour, redshift), is left out: it would be a
        negative of a kind that no lens is made of. So is one on which no visible lens is found
        where a lens is wanted; no lens is tried on a negative.
        Raises ValueError where the hosts come to an end before.
        """
        found: list[Sample] = []
        place = -1
        for place, host in enumerate(hosts):
            made = self._lens(rng, host) if len(found) < lenses else self._negative(host)
            if made is not None:
                found.append(Sample(place, made))
            if len(found) == lenses + negatives:
                return found
        if len(found) == lenses + negatives:
            return found
        raise ValueError(
            f"only {len(found)} of {place + 1} hosts made a sample, {lenses} lenses of S/N above "
            f"{self.snr_min:g} and {negatives} galaxies without arcs are wanted; lower snr_min, "
            "or name hosts that are brighter and centred on their galaxies"
        )

    def _lens(self, rng: np.random.Generator, host: Cutout) -> Cutout | None:
        try:
            made = inject(
                rng, host, self.population, ONLINE, self.sources, self.snr_min, tries=_TRIES
            )
        except UnsuitableHostError:
            return None
        return made.lens if made else None

    def _negative(self, host: Cutout) -> Cutout | None:
        """The host without arcs; None where a lens could not be made of it either."""
        try:
            suited_host(host, self.population)
        except UnsuitableHostError:
            return None
        return matched_negative(host, ONLINE)


def matched_host(
    image: np.ndarray,
    variance: np.ndarray,
    noise_corr: np.ndarray,
    metadata: Metadata,
    psf: np.ndarray,
) -> Cutout:
    """A host of the pixels of a loader, float32 [band, y, x], with one PSF [h, w] in all bands."""
    stack = np.broadcast_to(psf, (len(SLOTS), *psf.shape))
    return Cutout(image, variance, metadata, stack, noise_corr)


def _is_galaxy(host: Cutout) -> bool:
    """Whether the host has a galaxy in its middle whose noise and shape can be measured."""
    try:
        host_shape(host)
        host_noise(host)
    except UnsuitableHostError:
        return False
    return True


def suitable_hosts(table: pd.DataFrame) -> np.ndarray:
    """Rows [n] of a metadata table that may be hosts of online lenses: bool.

    Matched to the common PSF at which arcs are painted; neither lenses nor objects that their
    source calls neither lens nor clear negative.
    """
    labelled = table["label_source"].map(is_trainable_source).astype(bool)
    clear = (table["label"] == 0) | ((table["label"] == -1) & ~labelled)
    return (clear & table["psf_matched"].astype(bool)).to_numpy()


def population_for(hosts: Iterable[Cutout], size: int, snr_min: float, seed: int) -> pd.DataFrame:
    """Lenses that the survey of these hosts shows: their own seeing and depth decide.

    In the band nearest to i that all hosts have, or else that most have.
    """
    kept = [host for host in hosts if _is_galaxy(host)]
    if not kept:
        raise ValueError(
            "none of the hosts has a galaxy in its middle and a variance; name other hosts"
        )
    flags = np.array([one.metadata.band_flags for one in kept]).sum(axis=0)
    band = max(REFERENCE_BANDS, key=lambda slot: flags[SLOTS.index(slot)])
    rng = np.random.default_rng([seed, size])
    return draw_population(rng, size, survey_of(kept, band), Selection(snr_min=snr_min))
