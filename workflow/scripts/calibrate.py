"""Calibrate the scores of one model on its calibration split."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.evaluation import calibrate

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    calibrate(
        predictions=snakemake.input[0],
        out=snakemake.output.predictions,
        parameters=snakemake.output.parameters,
    )
