"""Score the cutouts of some splits with one trained model."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.training import predict

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    predict(
        checkpoint=snakemake.input.checkpoint,
        indexes=list(snakemake.input.indexes),
        splits=snakemake.params.splits,
        test_only=list(snakemake.input.get("test_only", [])),
        exclusions=snakemake.input.get("exclusions"),
        fold=snakemake.params.get("fold"),
        views=snakemake.params.views,
        **snakemake.params.loading,
        out=snakemake.output[0],
    )
