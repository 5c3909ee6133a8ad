"""List the objects that a training must not see since they are scored elsewhere."""

from typing import TYPE_CHECKING

from lenshunt.dataset import write_exclusions
from lenshunt.provenance import logged_to

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    write_exclusions(
        splits=dict(zip(snakemake.params.datasets, snakemake.input, strict=True)),
        train=snakemake.params.datasets,
        evaluate=snakemake.params.evaluate,
        radius_arcsec=snakemake.params.radius_arcsec,
        out=snakemake.output[0],
    )
