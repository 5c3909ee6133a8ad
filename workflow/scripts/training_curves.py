"""Draw the training curves of one experiment."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.reporting.figures.training import draw_training_curves

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    draw_training_curves(
        histories=dict(zip(snakemake.params.names, snakemake.input, strict=True)),
        out=snakemake.output.pdf,
    )
