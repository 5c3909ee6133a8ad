"""List the objects that a training must not see since they are scored elsewhere."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to, optional_file
from lenshunt.dataset import write_exclusions

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    write_exclusions(
        splits=dict(zip(snakemake.params.datasets, snakemake.input.splits, strict=True)),
        train=snakemake.params.datasets,
        evaluate=snakemake.params.evaluate,
        radius_arcsec=snakemake.params.radius_arcsec,
        known_lenses=list(snakemake.input.get("known_lenses", [])),
        known_radius_arcsec=snakemake.params.known_radius_arcsec,
        folds=snakemake.params.folds,
        labelled=snakemake.params.labelled,
        hosts=snakemake.params.hosts,
        matched=optional_file(snakemake.input.get("matched", [])),
        out=snakemake.output[0],
    )
