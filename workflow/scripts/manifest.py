"""List the raw files of one data set with their size and sha256."""

from typing import TYPE_CHECKING

from lenshunt.config import dataset_from
from lenshunt.core import logged_to, raw_manifest
from lenshunt.readers import raw_files

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    dataset = dataset_from(snakemake.params.dataset)
    raw_manifest(raw_files(dataset), snakemake.params.cache).write(snakemake.output[0])
