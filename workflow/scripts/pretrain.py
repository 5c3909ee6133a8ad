"""Pretrain one backbone family on unlabelled galaxies."""

from typing import TYPE_CHECKING

from lenshunt.config import Contrastive, Grid, ModelConfig, TrainingConfig
from lenshunt.core import logged_to, optional_file
from lenshunt.training import pretrain, with_probed_batch

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

CONTRASTIVE = snakemake.params.contrastive

with logged_to(snakemake.log[0]):
    pretrain(
        indexes=list(snakemake.input.indexes),
        exclusions=snakemake.input.exclusions,
        model=ModelConfig(**snakemake.params.model),
        training=with_probed_batch(
            TrainingConfig(**snakemake.params.training),
            optional_file(snakemake.input.get("probe", [])),
            snakemake.params.grid_name,
            views=2 if CONTRASTIVE else 1,
        ),
        contrastive=Contrastive(**CONTRASTIVE) if CONTRASTIVE else None,
        grid=Grid(**snakemake.params.grid),
        seed=snakemake.params.seed,
        threads=snakemake.params.training["threads"],
        checkpoint=snakemake.output.checkpoint,
        history=snakemake.output.history,
        report=snakemake.output.learned,
    )
