"""Fuse the scores of a search, shift them to the sky and rank them."""

from typing import TYPE_CHECKING

from lenshunt.evaluation import rank_candidates
from lenshunt.provenance import logged_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    rank_candidates(
        predictions=list(snakemake.input.predictions),
        calibrations=list(snakemake.input.calibrations),
        fusion=snakemake.input.fusion,
        prevalence=snakemake.params.prevalence,
        out_ecsv=snakemake.output.ecsv,
        out_parquet=snakemake.output.parquet,
    )
