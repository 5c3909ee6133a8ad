"""Draw candidates on the critical curves of a cluster."""

from typing import TYPE_CHECKING

from lenshunt.config import Cluster, dataset_from
from lenshunt.core import logged_to, optional_file
from lenshunt.reporting.figures.overlay import draw_overlay

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    values = snakemake.params.dataset
    draw_overlay(
        cluster=Cluster(**snakemake.params.cluster),
        name=snakemake.wildcards.cluster,
        candidates=optional_file(snakemake.input.get("candidates", [])),
        dataset=dataset_from(values) if values else None,
        numbers=snakemake.input.numbers,
        out=snakemake.output.pdf,
    )
