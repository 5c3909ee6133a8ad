"""Write one kind of the synthetic survey in its official raw format."""

from typing import TYPE_CHECKING

from lenshunt.config import Demo
from lenshunt.core import logged_to
from lenshunt.scenes.demo import write_demo

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged_to(snakemake.log[0]):
    write_demo(
        kind=snakemake.params.kind,
        demo=Demo(**snakemake.params.demo),
        seed=snakemake.params.seed,
        out=list(snakemake.output),
    )
