"""Split one data set into train, validation and test without leaks."""

from typing import TYPE_CHECKING

from lenshunt.config import SplitConfig
from lenshunt.core import logged_to
from lenshunt.dataset import make_splits

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    make_splits(
        metadata=list(snakemake.input.metadata),
        config=SplitConfig(**snakemake.params.splits),
        seed=snakemake.params.seed,
        search=snakemake.params.search,
        held_out=snakemake.params.held_out,
        out=snakemake.output[0],
    )
