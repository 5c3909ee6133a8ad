"""Find the arcs and companions in every homogenised cutout of one chunk."""

from typing import TYPE_CHECKING

from lenshunt.config import Grid, SegmentsConfig
from lenshunt.core import logged_to
from lenshunt.images import segment_chunk

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    segment_chunk(
        cutouts=snakemake.input.cutouts,
        metadata=snakemake.input.metadata,
        grid=Grid(**snakemake.params.grid),
        config=SegmentsConfig(**snakemake.params.segments),
        out=snakemake.output[0],
    )
