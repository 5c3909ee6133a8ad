"""Write the WebDataset shards of one data set on one grid."""

from pathlib import Path
from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.dataset import write_shards

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    write_shards(
        cutouts=list(zip(snakemake.input.cutouts, snakemake.input.metadata, strict=True)),
        segments=list(snakemake.input.segments),
        splits=snakemake.input.splits,
        quality_threshold=snakemake.params.quality_threshold,
        drop_unmatched=snakemake.params.drop_unmatched,
        folder=str(Path(snakemake.output[0]).parent),
        index=snakemake.output[0],
    )
