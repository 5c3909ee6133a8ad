"""List what could not be read of a data set; stop when it is too much."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.images import merge_rejected

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    merge_rejected(
        tables=list(snakemake.input),
        out=snakemake.output[0],
        fraction_max=snakemake.params.fraction_max,
        name=snakemake.wildcards.dataset,
        files_of_many=snakemake.params.files_of_many,
    )
