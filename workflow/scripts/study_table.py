"""Tabulate the models of an experiment, seeds averaged."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.evaluation import study_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    study_table(
        predictions=dict(zip(snakemake.params.names, snakemake.input.predictions, strict=True)),
        members=snakemake.params.members,
        metrics_csv=snakemake.input.metrics,
        parameters=snakemake.input.sizes,
        out_csv=snakemake.output.csv,
        out_tex=snakemake.output.tex,
        bootstraps=snakemake.params.bootstraps,
        seed=snakemake.params.seed,
    )
