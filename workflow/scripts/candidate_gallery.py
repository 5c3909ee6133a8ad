"""Draw the highest-ranked candidates of a search."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.reporting.figures.gallery import draw_gallery

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    draw_gallery(
        predictions=snakemake.input.candidates,
        cutouts=list(zip(snakemake.input.cutouts, snakemake.input.metadata, strict=True)),
        title=f"candidates of {snakemake.wildcards.search}",
        kind="candidates",
        top=snakemake.params.top,
        out=snakemake.output.pdf,
    )
