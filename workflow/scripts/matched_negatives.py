"""Choose the negatives of one experiment that look like its lens hosts."""

from typing import TYPE_CHECKING

from lenshunt.config import MatchNegatives
from lenshunt.core import logged_to
from lenshunt.dataset import find_exclusions, match_negatives, split_tables

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    params = snakemake.params
    samples = split_tables(
        dict(zip(params.datasets, snakemake.input.splits, strict=True)),
        params.datasets,
        params.folds,
    )
    metadata = iter(snakemake.input.metadata)
    match_negatives(
        samples=samples,
        exclusions=find_exclusions(
            samples,
            params.radius_arcsec,
            list(snakemake.input.get("known_lenses", [])),
            params.known_radius_arcsec,
        ),
        metadata={
            name: [next(metadata) for _ in range(count)] for name, count in params.chunks.items()
        },
        config=MatchNegatives(**params.match),
        out=snakemake.output.parquet,
        table=snakemake.output.table,
    )
