"""Draw the diagnostics of all trainings of one model."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.reporting.figures.diagnostics import draw_diagnostics

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    draw_diagnostics(
        numbers=list(snakemake.input.numbers),
        curves=list(snakemake.input.curves),
        out=snakemake.output.pdf,
    )
