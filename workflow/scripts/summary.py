"""Write the summary page of a run."""

from typing import TYPE_CHECKING

from lenshunt.config import Config
from lenshunt.provenance import logged_to
from lenshunt.report import write_summary

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    write_summary(
        config=Config(**snakemake.params.config),
        out_html=snakemake.output.html,
        out_markdown=snakemake.output.text,
    )
