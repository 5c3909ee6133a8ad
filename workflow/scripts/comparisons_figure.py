"""Draw the differences between the models of an experiment."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.reporting.figures.comparisons import draw_comparisons

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    draw_comparisons(comparisons_csv=snakemake.input[0], out=snakemake.output.pdf)
