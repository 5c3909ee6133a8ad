"""Find the batch size that a model can be trained with here, before it is trained."""

from typing import TYPE_CHECKING

from lenshunt.config import Grid, ModelConfig, TrainingConfig
from lenshunt.core import logged_to
from lenshunt.training import probe

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    probe(
        name=snakemake.wildcards.model,
        model=ModelConfig(**snakemake.params.model),
        training=TrainingConfig(**snakemake.params.training),
        grids={name: Grid(**values) for name, values in snakemake.params.grids.items()},
        segments=snakemake.params.segments,
        out=snakemake.output[0],
    )
