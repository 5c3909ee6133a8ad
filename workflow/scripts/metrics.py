"""Measure the metrics of the Lens Finding Challenge, with intervals."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.evaluation import evaluate

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    evaluate(
        predictions=dict(zip(snakemake.params.names, snakemake.input.predictions, strict=True)),
        fusions={"fused": snakemake.input.fusion},
        out_csv=snakemake.output.csv,
        out_tex=snakemake.output.tex,
        bootstraps=snakemake.params.bootstraps,
        seed=snakemake.params.seed,
    )
