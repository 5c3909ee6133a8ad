"""Draw growth curves before and after PSF matching."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.reporting.figures.psf import draw_psf_qa

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    draw_psf_qa(
        kernels=snakemake.input.kernels,
        table=snakemake.input.table,
        out=snakemake.output.pdf,
    )
