"""Lenses painted onto galaxies: in a data set (reader injection), or while training (`online`)."""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from lenshunt.config.base import Fractions, Strict, refuse_repeats
from lenshunt.config.dataset_section import DatasetSection, held_out_for_the_test


class HardNegativeKinds(Fractions):
    """Fractions of the kinds of look-alikes, summing to 1; a kind that is not named has none."""

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
    (label 0, obs:matched), which share the system of the host's own record, and often a look-alike
    too: the host with painted light of the arcs' flux and colours that no lens has bent. `survey`
    is that of the hosts, auto included.
    """

    tells_survey: ClassVar[bool] = True

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
    """Chance of a painted look-alike (label 0, sim:injection) beside a lens and its host."""
    hard_negative_kinds: HardNegativeKinds = HardNegativeKinds(
        companions=0.25, companion=0.15, tangential=0.20, single_image=0.15, ring=0.10, spiral=0.15
    )
    """Kinds of the look-alikes. By default companions 0.25, companion 0.15, tangential 0.20,
    single_image 0.15, ring 0.10, spiral 0.15."""

    def problems(self, key: str, datasets: Mapping[str, DatasetSection]) -> Iterator[str]:
        """Sentences about this section; as of every data set, and of its hosts and sources."""
        yield from super().problems(key, datasets)
        yield from unfit_hosts(f"{key}.hosts", self.hosts, datasets)
        yield from self._unlike_hosts(key, datasets.get(self.hosts))
        yield from unfit_sources(f"{key}.sources", self.sources, datasets)
        if not self.held_out:
            remedy = f"name another data set, or hold {key.removeprefix('datasets.')} out too"
            for part, names in (("hosts", [self.hosts]), ("sources", self.sources)):
                yield from held_out_for_the_test(f"{key}.{part}", names, remedy, datasets)
        low, high = self.theta_e_arcsec
        if not 0 <= low < high:
            yield (
                f"{key}.theta_e_arcsec: [{low}, {high}] is no range; give a smaller and a "
                "larger radius"
            )
        if self.made_by is not None:
            yield (
                f"{key}.made_by: {self.made_by}, but injected lenses have no raw files; "
                "leave the key out"
            )

    def _unlike_hosts(self, key: str, hosts: DatasetSection | None) -> Iterator[str]:
        if hosts is None or isinstance(hosts, InjectionDataset):
            return
        if hosts.survey != self.survey:
            yield (
                f"{key}.survey: {self.survey}, but its hosts ({self.hosts}) are of "
                f"{hosts.survey}; give the survey of the hosts"
            )
        if "chunks" in self.model_fields_set and self.chunks != hosts.chunks:
            yield (
                f"{key}.chunks: {self.chunks}, but its hosts ({self.hosts}) are in "
                f"{hosts.chunks}; leave the key out, it follows the hosts"
            )


class Online(Strict):
    """A share of every training batch is painted while it is loaded: arcs of new lenses on the
    galaxies of `hosts`, and other such galaxies without arcs as their negatives.

    Only the training split of the hosts is used, without objects whose twin is validated, tested
    or searched, and without known lenses. Validation and test never see online samples. Their
    labels are of sim:injection and obs:matched; `training.source_weights` shares out the rest of
    the batch.
    """

    hosts: list[str] = Field(min_length=1)
    """Data sets of role pretrain, negatives or labelled (its negatives), on the experiment's
    grid. Cutouts whose PSF is not matched to the grid carry no arcs."""
    share: float = Field(0.5, gt=0, lt=1)
    """Fraction of each training batch that is made online."""
    lens_fraction: float = Field(0.5, gt=0, lt=1)
    """Fraction of lenses among the samples made online."""
    snr_min: float = Field(20.0, gt=0)
    """Least S/N of the arcs over the noise and 5 per cent of the host's light."""
    sources: list[str] = []
    """Data sets of HST galaxies whose light is lensed; clumpy Sersic galaxies where none."""
    sources_max: int = Field(2000, ge=1)
    """HST galaxies that are held in memory."""
    population_size: int = Field(5000, ge=100)
    """Lenses drawn for the seeing and depth of the hosts, of which each host gets one that its
    galaxy could be."""

    @model_validator(mode="after")
    def _nothing_twice(self) -> Self:
        refuse_repeats(self, ("hosts", "sources"))
        return self


def check_online(
    key: str,
    online: Online,
    grid: str,
    only_evaluated: set[str],
    datasets: Mapping[str, DatasetSection],
) -> Iterator[str]:
    """What does not fit together.

    key : of this section; grid : of the experiment; only_evaluated : data sets that it tests
    with and does not train on
    """
    for name in online.hosts:
        yield from unfit_hosts(f"{key}.hosts", name, datasets)
        if name in datasets and grid not in datasets[name].grids:
            yield f"{key}.hosts: {name} is not made on grid {grid}; add it to its grids"
        if name in only_evaluated:
            yield (
                f"{key}.hosts: {name} is evaluated as a data set that was not trained on; take it "
                "out of the hosts, or out of `evaluate`"
            )
    yield from unfit_sources(f"{key}.sources", online.sources, datasets)
    for part, names in (("hosts", online.hosts), ("sources", online.sources)):
        yield from held_out_for_the_test(f"{key}.{part}", names, "name another data set", datasets)


def _not_defined(key: str, name: str, datasets: Mapping[str, DatasetSection]) -> str:
    known = ", ".join(sorted(n for n, d in datasets.items() if not isinstance(d, InjectionDataset)))
    return f"{key}: {name!r} is not defined; known: {known or 'none'}"


def unfit_hosts(key: str, name: str, datasets: Mapping[str, DatasetSection]) -> Iterator[str]:
    """Why galaxies of data set `name`, of `key`, cannot carry lenses."""
    hosts = datasets.get(name)
    if hosts is None:
        yield _not_defined(key, name, datasets)
    elif isinstance(hosts, InjectionDataset):
        yield (
            f"{key}: {name} holds injected lenses itself; name the data set of its "
            f"galaxies ({hosts.hosts})"
        )
    else:
        if hosts.role == "search":
            yield (
                f"{key}: {name} has role search, and what is searched is never trained on; "
                "name a data set of role pretrain or negatives"
            )
        if hosts.lenses_only:
            yield f"{key}: {name} holds lenses only; name a data set of galaxies"


def unfit_sources(
    key: str, names: list[str], datasets: Mapping[str, DatasetSection]
) -> Iterator[str]:
    """Why galaxies of data sets `names`, of `key`, cannot be lensed."""
    for name in names:
        sources = datasets.get(name)
        if sources is None:
            yield _not_defined(key, name, datasets)
        elif (
            sources.telescope != "hst"
            or sources.lenses_only
            or isinstance(sources, InjectionDataset)
        ):
            yield (
                f"{key}: {name} (reader {sources.reader}, survey {sources.survey}) is no data "
                "set of HST galaxies, sharp enough to be lensed; name one (reader hst_galaxies), "
                "or none for clumpy Sersic galaxies"
            )
        elif sources.role == "search":
            yield (
                f"{key}: {name} has role search, and what is searched is never trained on; "
                "name a data set of another role"
            )
