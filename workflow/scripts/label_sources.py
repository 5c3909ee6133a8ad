"""Draw how many objects each data set and label source holds."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.figures.provenance import draw_label_sources

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    metadata = iter(snakemake.input)
    tables = {
        name: [next(metadata) for _ in range(chunks)]
        for name, chunks in snakemake.params.chunks.items()
    }
    draw_label_sources(tables=tables, out=snakemake.output.pdf)
