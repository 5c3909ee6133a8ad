"""Choose the negatives of one experiment that look like its lens hosts."""

from typing import TYPE_CHECKING

from lenshunt.config import MatchNegatives
from lenshunt.core import by_chunk_counts, logged_to
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
    match_negatives(
        samples=samples,
        exclusions=find_exclusions(
            samples,
            params.radius_arcsec,
            list(snakemake.input.get("known_lenses", [])),
            params.known_radius_arcsec,
        ),
        metadata=by_chunk_counts(snakemake.input.metadata, params.chunks),
        config=MatchNegatives(**params.match),
        out=snakemake.output.parquet,
        table=snakemake.output.table,
    )
