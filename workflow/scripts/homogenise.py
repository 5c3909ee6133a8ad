"""Match every cutout of one chunk to the target PSF and write a 16-bit file."""

from typing import TYPE_CHECKING

from lenshunt.config import Grid, QualityConfig
from lenshunt.core import logged_to
from lenshunt.images import homogenise_chunk

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    homogenise_chunk(
        pixels=snakemake.input.pixels,
        metadata=snakemake.input.metadata,
        kernels=snakemake.input.kernels,
        grid=Grid(**snakemake.params.grid),
        quality=QualityConfig(**snakemake.params.quality),
        out=snakemake.output.cutouts,
        out_metadata=snakemake.output.metadata,
    )
