"""Make the PSF-matching kernels of one data set for one grid, with their QA."""

from typing import TYPE_CHECKING

from lenshunt.config import Grid
from lenshunt.core import logged_to
from lenshunt.images import make_kernels

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    make_kernels(
        chunks=list(zip(snakemake.input.pixels, snakemake.input.metadata, strict=True)),
        grid=Grid(**snakemake.params.grid),
        out=snakemake.output.kernels,
        table=snakemake.output.table,
    )
