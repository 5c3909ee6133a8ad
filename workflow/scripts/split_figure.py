"""Draw and tabulate the balance of all splits."""

from typing import TYPE_CHECKING

from lenshunt.config import SplitConfig
from lenshunt.core import logged_to
from lenshunt.figures.splits import draw_split_balance

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    metadata = iter(snakemake.input.metadata)
    tables = {
        name: (split, [next(metadata) for _ in range(chunks)])
        for split, (name, chunks) in zip(
            snakemake.input.splits, snakemake.params.chunks.items(), strict=True
        )
    }
    draw_split_balance(
        splits=tables,
        out=snakemake.output.pdf,
        table=snakemake.output.table,
        config=SplitConfig(**snakemake.params.splits),
    )
