"""Draw and tabulate the balance of all splits."""

from typing import TYPE_CHECKING

from lenshunt.config import SplitConfig
from lenshunt.core import by_chunk_counts, logged_to
from lenshunt.reporting.figures.splits import draw_split_balance

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    metadata = by_chunk_counts(snakemake.input.metadata, snakemake.params.chunks)
    splits = dict(zip(metadata, snakemake.input.splits, strict=True))
    draw_split_balance(
        splits={name: (splits[name], files) for name, files in metadata.items()},
        out=snakemake.output.pdf,
        table=snakemake.output.table,
        config=SplitConfig(**snakemake.params.splits),
    )
