"""Write the summary page of a run."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.reporting import Products, write_summary

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    # Keys by kind of product, in the order of that input; pairs come as lists.
    paths = {
        kind: {
            tuple(key) if isinstance(key, (list, tuple)) else key: path
            for key, path in zip(keys, snakemake.input[kind], strict=True)
        }
        for kind, keys in snakemake.params.names.items()
    }
    metadata: dict[str, list[str]] = {}
    for (dataset, _), path in paths.pop("metadata").items():
        metadata.setdefault(dataset, []).append(path)
    write_summary(
        products=Products(
            readers=snakemake.params.readers,
            metadata=metadata,
            manifest=snakemake.input.manifest,
            **paths,
        ),
        seed=snakemake.params.seed,
        out_html=snakemake.output.html,
        out_markdown=snakemake.output.text,
    )
