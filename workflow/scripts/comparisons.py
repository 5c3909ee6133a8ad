"""Compare the models of an experiment on its test sets."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.evaluation import compare

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    compare(
        predictions=dict(zip(snakemake.params.names, snakemake.input.predictions, strict=True)),
        comparisons={name: tuple(pair) for name, pair in snakemake.params.comparisons.items()},
        out_csv=snakemake.output.csv,
        out_tex=snakemake.output.tex,
        bootstraps=snakemake.params.bootstraps,
        seed=snakemake.params.seed,
    )
