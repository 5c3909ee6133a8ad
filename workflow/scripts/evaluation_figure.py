"""Draw one figure of the evaluation of an experiment."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.reporting.figures.evaluated import Evaluated
from lenshunt.reporting.figures.evaluation import draw_evaluation

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    evaluated = Evaluated(
        predictions=dict(zip(snakemake.params.names, snakemake.input.predictions, strict=True)),
        metrics_csv=snakemake.input.metrics,
        cutouts=list(zip(snakemake.input.cutouts, snakemake.input.metadata, strict=True)),
        title=snakemake.params.title,
    )
    draw_evaluation(snakemake.wildcards.what, evaluated, snakemake.output.pdf)
