"""Compare candidates with the published mass models of a cluster."""

from typing import TYPE_CHECKING

from lenshunt.config import Cluster, dataset_from
from lenshunt.core import logged_to, optional_file
from lenshunt.search.cluster import write_cluster_products

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    values = snakemake.params.dataset
    write_cluster_products(
        cluster=Cluster(**snakemake.params.cluster),
        name=snakemake.wildcards.cluster,
        candidates=optional_file(snakemake.input.get("candidates", [])),
        dataset=dataset_from(values) if values else None,
        seed=snakemake.params.seed,
        out_numbers=snakemake.output.numbers,
        out_table=snakemake.output.table,
        out_maps=snakemake.output.maps,
        out_regions=snakemake.output.regions,
    )
