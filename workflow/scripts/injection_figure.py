"""Draw the injected lenses beside the population that they are of, and published ones."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.reporting.figures.injection import draw_injected

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    draw_injected(
        truth=list(snakemake.input.truth),
        population=snakemake.input.population,
        out=snakemake.output.pdf,
    )
