"""Paint lenses on the hosts of one chunk: records of lenses and hosts, and the truth."""

from typing import TYPE_CHECKING

from lenshunt.config import dataset_from
from lenshunt.core import logged_to
from lenshunt.scenes.injected_chunk import inject_chunk

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    inject_chunk(
        name=snakemake.wildcards.dataset,
        dataset=dataset_from(snakemake.params.dataset),
        chunk=int(snakemake.wildcards.chunk),
        seed=snakemake.params.seed,
        hosts=snakemake.input.hosts,
        population=snakemake.input.population,
        sources=snakemake.input.sources,
        host_pixels=snakemake.input.pixels,
        host_metadata=snakemake.input.metadata,
        **dict(snakemake.output.items()),
    )
