"""Read one chunk of a data set into provenance-tagged records."""

from typing import TYPE_CHECKING

from lenshunt.config import dataset_from
from lenshunt.core import logged_to
from lenshunt.images import prepare_chunk

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    prepare_chunk(
        name=snakemake.wildcards.dataset,
        dataset=dataset_from(snakemake.params.dataset),
        chunk=int(snakemake.wildcards.chunk),
        chunks=snakemake.params.chunks,
        manifest=snakemake.input.manifest,
        pixels=snakemake.output.pixels,
        metadata=snakemake.output.metadata,
        rejected=snakemake.output.rejected,
    )
