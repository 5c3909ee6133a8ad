"""Draw random lenses and non-lenses of one data set on one grid."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.reporting.figures.sample_gallery import draw_sample_gallery

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    draw_sample_gallery(
        cutouts=list(zip(snakemake.input.cutouts, snakemake.input.metadata, strict=True)),
        each=snakemake.params.each,
        seed=snakemake.params.seed,
        title=f"{snakemake.wildcards.dataset} on grid {snakemake.wildcards.grid}",
        out=snakemake.output.pdf,
    )
