"""Fuse the calibrated scores of several models."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.evaluation import fuse

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    fuse(
        predictions=list(snakemake.input.predictions),
        fitted=snakemake.input.get("fitted"),
        fusion=snakemake.params.fusion,
        out=snakemake.output.predictions,
        parameters=snakemake.output.parameters,
    )
