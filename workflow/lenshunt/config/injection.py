"""Data sets of injected lenses: arcs of a lens population on the galaxies of another data set."""

from typing import ClassVar, Literal

from pydantic import Field

from lenshunt.config.base import Fractions
from lenshunt.config.section import DatasetSection


class HardNegativeKinds(Fractions):
    """Fractions of the kinds of hard negatives, summing to 1; a kind that is not named has none."""

    companions: float = Field(0.0, ge=0, le=1)
    """Two to four unlensed galaxies of one colour around the Einstein radius."""
    companion: float = Field(0.0, ge=0, le=1)
    """One unlensed galaxy near the Einstein radius."""
    tangential: float = Field(0.0, ge=0, le=1)
    """An edge-on disc that happens to lie tangentially."""
    single_image: float = Field(0.0, ge=0, le=1)
    """A source outside the region of multiple images: sheared, one image."""
    ring: float = Field(0.0, ge=0, le=1)
    """A ring of star formation around the host."""
    spiral: float = Field(0.0, ge=0, le=1)
    """Two to four blue arms in the host's light."""


class InjectionDataset(DatasetSection):
    """Lenses made of the galaxies of another data set, each beside its galaxy as the negative.

    Every host that can carry a visible lens gives a lens (label 1, sim:injection) and a host
    (label 0, obs:matched), which share the system of the host's own record, and often a hard
    negative too: the host with light of the arcs' flux and colours that no lens has bent. `survey`
    is that of the hosts, auto included.
    """

    headers_tell_survey: ClassVar[bool] = True

    reader: Literal["injection"]
    """Not a raw format: the records are made from those of `hosts`."""
    role: Literal["labelled"] = "labelled"
    """Always labelled."""
    chunks: int = Field(1, ge=1)
    """As many as the hosts have; leave it out."""
    hosts: str
    """Key of `datasets` whose galaxies carry the lenses; role pretrain, negatives or labelled
    (then its negatives). Known lenses (key known_lenses) are no hosts."""
    sources: list[str] = []
    """Data sets of HST galaxies whose light is lensed; clumpy Sersic galaxies where none."""
    hosts_max: int | None = Field(None, ge=1)
    """Hosts that are tried, the same in every run; none tries all."""
    host_magnitude_max: float = 22.0
    """Faintest host, AB, in i or the nearest band; nine in ten lens galaxies of the population
    are brighter."""
    band: Literal["g", "r", "i", "z", "y"] = "i"
    """Band whose seeing and depth, measured on the hosts, decide which lenses are found."""
    population: int = Field(5000, ge=100)
    """Lenses drawn, of which every host gets one that its galaxy could be."""
    theta_e_arcsec: tuple[float, float] = (0.5, 3.0)
    """Einstein radii of the population."""
    magnification_min: float = Field(3.0, ge=1)
    """Least magnification of the lenses of the population."""
    snr_min: float = Field(20.0, gt=0)
    """Least S/N of the arcs, in the population over the noise, and when painted over the noise
    and 5 per cent of the host's light."""
    tries: int = Field(20, ge=1)
    """Lenses tried on a host before it is given up."""
    sources_max: int = Field(2000, ge=1)
    """HST galaxies that are held in memory."""
    hard_negatives: float = Field(0.5, ge=0, le=1)
    """Chance of a hard negative (label 0, sim:injection) beside a lens and its host."""
    hard_negative_kinds: HardNegativeKinds = HardNegativeKinds(
        companions=0.25, companion=0.15, tangential=0.20, single_image=0.15, ring=0.10, spiral=0.15
    )
    """Kinds of the hard negatives. By default companions 0.25, companion 0.15, tangential 0.20,
    single_image 0.15, ring 0.10, spiral 0.15."""
