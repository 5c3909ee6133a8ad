"""Write the data manifest, the resolved configuration and package versions."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to, write_provenance

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    write_provenance(
        manifests=dict(zip(snakemake.params.datasets, snakemake.input.manifests, strict=True)),
        config=snakemake.params.config,
        models=snakemake.params.models,
        out_manifest=snakemake.output.manifest,
        out_config=snakemake.output.config,
        out_versions=snakemake.output.versions,
    )
