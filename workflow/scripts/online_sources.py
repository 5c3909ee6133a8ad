"""Choose the galaxies that an experiment lenses while training."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.scenes.source_choice import choose_sources
from lenshunt.scenes.source_store import write_sources

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    sources = choose_sources(
        f"experiments.{snakemake.wildcards.experiment}.online.sources",
        list(zip(snakemake.input.pixels, snakemake.input.metadata, strict=True)),
        snakemake.params.sources_max,
        snakemake.params.seed,
    )
    write_sources(sources, snakemake.output[0])
