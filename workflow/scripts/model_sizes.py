"""Count the trainable values of every model of an experiment."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.reporting.model_sizes import write_model_sizes

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    write_model_sizes(
        checkpoints=dict(zip(snakemake.params.names, snakemake.input, strict=True)),
        out=snakemake.output[0],
    )
