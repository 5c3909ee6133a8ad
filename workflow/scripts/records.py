"""Read one chunk of a data set into provenance-tagged records."""

from typing import TYPE_CHECKING

from lenshunt.config import dataset_from
from lenshunt.core import logged_to, read_manifest
from lenshunt.images import prepare_chunk
from lenshunt.readers import read_chunk

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    raw = read_chunk(
        snakemake.wildcards.dataset,
        dataset_from(snakemake.params.dataset),
        chunk=int(snakemake.wildcards.chunk),
        chunks=snakemake.params.chunks,
        manifest=read_manifest(snakemake.input.manifest),
    )
    prepare_chunk(
        name=snakemake.wildcards.dataset,
        objects=raw.objects,
        count=raw.count,
        star_field=raw.star_field,
        pixels=snakemake.output.pixels,
        metadata=snakemake.output.metadata,
        rejected=snakemake.output.rejected,
    )
