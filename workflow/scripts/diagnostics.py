"""Measure what the architecture of a model promises, on one of its trainings."""

from typing import TYPE_CHECKING

from lenshunt.config import SegmentsConfig
from lenshunt.core import logged_to
from lenshunt.evaluation.diagnostics import measure_file

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    measure_file(
        checkpoint=snakemake.input.checkpoint,
        baseline=snakemake.input.baseline or None,
        indexes=list(snakemake.input.indexes),
        exclusions=snakemake.input.exclusions,
        fold=snakemake.params.fold,
        segmentation=SegmentsConfig(**snakemake.params.segments),
        seed=snakemake.params.seed,
        out_numbers=snakemake.output.numbers,
        out_curves=snakemake.output.curves,
    )
