"""Choose hosts for injected lenses, away from known ones, and draw the population for them."""

from typing import TYPE_CHECKING

from lenshunt.config import dataset_from
from lenshunt.core import logged_to
from lenshunt.dataset.known_lenses import nearest_known_lens
from lenshunt.scenes.host_records import read_hosts
from lenshunt.scenes.plan import plan_injection

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    given = snakemake.input
    hosts = read_hosts(list(given.metadata))
    plan_injection(
        name=snakemake.wildcards.dataset,
        dataset=dataset_from(snakemake.params.dataset),
        hosts=hosts,
        # a host becomes a negative of this source
        near=nearest_known_lens(
            hosts.assign(label_source="obs:matched"),
            list(given.get("known_lenses", [])),
            snakemake.params.known_radius_arcsec,
        ),
        host_chunks=list(zip(given.pixels, given.metadata, strict=True)),
        source_chunks=list(zip(given.source_pixels, given.source_metadata, strict=True)),
        seed=snakemake.params.seed,
        out_hosts=snakemake.output.hosts,
        out_population=snakemake.output.population,
        out_sources=snakemake.output.sources,
    )
