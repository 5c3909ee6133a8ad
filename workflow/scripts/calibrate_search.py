"""Calibrate the scores of a search as the experiment's own scores were."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.evaluation import apply_calibration

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    apply_calibration(
        predictions=snakemake.input.predictions,
        parameters=snakemake.input.parameters,
        out=snakemake.output[0],
    )
