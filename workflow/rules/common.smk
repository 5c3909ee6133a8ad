# The checked configuration, resources, code digests: what all rules share.
import sys

from snakemake.exceptions import WorkflowError

from lenshunt.config import (
    ConfigError,
    check_config,
    load_models,
    merged_training,
    parse_config,
)
from lenshunt.core import code_digest, note_run, remove_stale_lock

if workflow.is_main_process and remove_stale_lock("."):
    print(
        "The run before was killed; its lock is removed.",
        file=sys.stderr,
    )

try:
    CONFIG = parse_config(config)
    MODELS = load_models(CONFIG)
    check_config(CONFIG, MODELS)
except ConfigError as error:
    raise WorkflowError(f"The configuration cannot be run:\n{error}") from None

R = CONFIG.results
SEED = CONFIG.seed
SHA256_CACHE = ".snakemake/lenshunt/raw_sha256.json"
ENVS = "../../envs"


def one_of(names):
    """Regular expression that matches just these names (or nothing at all)."""
    return "|".join(sorted(map(str, names))) or "$^"


wildcard_constraints:
    dataset=one_of(CONFIG.datasets),
    grid=one_of(CONFIG.grids),
    chunk=r"\d+",
    experiment=one_of(CONFIG.experiments),
    pretraining=one_of(CONFIG.pretraining),
    model=one_of(MODELS),
    backbone=one_of({model.backbone for model in MODELS.values()}),
    seed=r"\d+",
    search=one_of(CONFIG.search),
    cluster=one_of(CONFIG.clusters),


def mem_mb(base):
    """Memory in MB that doubles with every attempt."""
    return lambda wildcards, attempt: base * 2 ** (attempt - 1)


def minutes(base):
    """Run time in minutes that doubles with every attempt."""
    return lambda wildcards, attempt: base * 2 ** (attempt - 1)


def code(*rooms):
    """Digest of the library rooms that a job can reach, since library code is not watched."""
    return code_digest(rooms)


# Final products -------------------------------------------------------------

#: Every file adds its final products here; all of them are asked for.
TARGETS = []


def figure(path, caption, category, subcategory, **labels):
    """A figure or table, annotated for the report."""
    return report(
        path,
        caption=f"../report/{caption}.rst",
        category=category,
        subcategory=subcategory,
        labels=labels,
    )
