"""Shift the fused scores of a search to the sky's prevalence and rank them."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.search import rank_candidates

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    rank_candidates(
        predictions=snakemake.input.predictions,
        parameters=snakemake.input.parameters,
        prevalence=snakemake.params.prevalence,
        out_ecsv=snakemake.output.ecsv,
        out_parquet=snakemake.output.parquet,
    )
