"""Tabulate what the models of an experiment cost."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.reporting.costs import write_costs

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    runs = [(model, int(seed)) for model, seed in snakemake.params.runs]
    write_costs(
        parameters=snakemake.input.sizes,
        trained=dict(zip(runs, snakemake.params.trained, strict=True)),
        predicted=dict(zip(runs, snakemake.params.predicted, strict=True)),
        out_csv=snakemake.output.csv,
        out_tex=snakemake.output.tex,
    )
