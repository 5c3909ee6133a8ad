"""Train one model with one seed."""

from typing import TYPE_CHECKING

from lenshunt.config import Grid, ModelConfig, Online, TrainingConfig
from lenshunt.core import logged_to, optional_file
from lenshunt.training import OnlineInputs, train, with_probed_batch

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    section = snakemake.params.online
    online = None
    if section is not None:
        online = OnlineInputs(
            config=Online(**section["config"]),
            grid=Grid(**section["grid"]),
            hosts=list(snakemake.input.hosts),
            sources=optional_file(snakemake.input.get("sources", [])),
        )
    train(
        indexes=list(snakemake.input.indexes),
        exclusions=snakemake.input.exclusions,
        model=ModelConfig(**snakemake.params.model),
        training=with_probed_batch(
            TrainingConfig(**snakemake.params.training),
            optional_file(snakemake.input.get("probe", [])),
            snakemake.params.grid_name,
        ),
        name=snakemake.wildcards.model,
        seed=int(snakemake.wildcards.seed),
        fold=snakemake.params.fold,
        grid=Grid(**snakemake.params.grid),
        online=online,
        pretrained=optional_file(snakemake.input.get("pretrained", [])),
        threads=snakemake.params.training["threads"],
        checkpoint=snakemake.output.checkpoint,
        history=snakemake.output.history,
        log_dir=snakemake.params.log_dir,
    )
