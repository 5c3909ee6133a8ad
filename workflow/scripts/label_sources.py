"""Draw how many objects each data set and label source holds."""

from typing import TYPE_CHECKING

from lenshunt.core import by_chunk_counts, logged_to
from lenshunt.reporting.figures.label_sources import draw_label_sources

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    draw_label_sources(
        tables=by_chunk_counts(snakemake.input, snakemake.params.chunks),
        out=snakemake.output.pdf,
    )
