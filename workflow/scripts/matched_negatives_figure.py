"""Draw lens hosts and negatives before and after matching."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.reporting.figures.matched_negatives import draw_matching

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    draw_matching(
        matched=snakemake.input.parquet,
        quality=snakemake.input.table,
        out=snakemake.output.pdf,
    )
