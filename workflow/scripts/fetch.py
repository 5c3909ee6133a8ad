"""Download one public file, checked and resumable."""

from typing import TYPE_CHECKING

from lenshunt.core import logged_to
from lenshunt.readers.download import fetch, source_of

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    fetch(source_of(snakemake.output[0]), out=snakemake.output[0])
