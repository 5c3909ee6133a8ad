# The checked configuration, the paths of every product, and helpers that rules share.
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from lenshunt.config import (
    ConfigError,
    check_config,
    load_model_config,
    merged_training,
    models_used,
    parse_config,
)
from lenshunt.provenance import code_digest, pipeline_commit, raw_manifest
from lenshunt.raw.files import key_files, raw_files

try:
    CONFIG = parse_config(config)
    MODELS = {
        name: load_model_config(f"config/models/{name}.yaml")
        for name in models_used(CONFIG)
    }
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
    """Digest of the library rooms that a rule reaches: Snakemake does not see library code."""
    return code_digest(rooms)


# Raw files ------------------------------------------------------------------


@cache
def key_files_of(dataset):
    return key_files(CONFIG.datasets[dataset])


def raw_digest(wildcards):
    """Digest over the bytes of a data set's raw files; unknown until they have been made."""
    files = raw_files(CONFIG.datasets[wildcards.dataset])
    return raw_manifest(files, SHA256_CACHE).digest


# Data -----------------------------------------------------------------------


def dataset_values(name):
    """What the records of a data set depend on, as plain values."""
    return CONFIG.datasets[name].model_dump(
        exclude={"grids", "made_by", "rejected_fraction_max"}
    )


def chunks_of(dataset):
    return range(CONFIG.datasets[dataset].chunks)


def records(dataset, suffix):
    """Per-chunk files of a data set's records: pixels.h5, parquet or rejected.ecsv."""
    return [f"{R}/records/{dataset}/{chunk}.{suffix}" for chunk in chunks_of(dataset)]


def cutouts(dataset, grid, suffix):
    """Per-chunk files of the homogenised cutouts: tif or parquet."""
    return [
        f"{R}/cutouts/{grid}/{dataset}/{chunk}.{suffix}" for chunk in chunks_of(dataset)
    ]


def shard_index(dataset, grid):
    return f"{R}/shards/{grid}/{dataset}/index.json"


def made_grids():
    """Pairs of data set and grid that are made."""
    return [(name, grid) for name, d in CONFIG.datasets.items() for grid in d.grids]


# Training -------------------------------------------------------------------


def unique(names):
    return list(dict.fromkeys(names))


def experiment_datasets(name):
    """Data sets that an experiment trains or is evaluated on."""
    section = CONFIG.experiments[name]
    return unique([*section.train, *section.evaluate])


def experiment_indexes(name, datasets):
    return [shard_index(dataset, CONFIG.experiments[name].grid) for dataset in datasets]


def exclusion_datasets(name):
    """All data sets whose overlap matters to an experiment, its pretraining included."""
    pretraining = CONFIG.experiments[name].pretraining
    more = CONFIG.pretraining[pretraining].datasets if pretraining else []
    return unique([*experiment_datasets(name), *more])


def pretraining_overlaps(name):
    """The data sets of a pretraining and of every experiment that starts from it."""
    users = [n for n, e in CONFIG.experiments.items() if e.pretraining == name]
    more = [dataset for user in users for dataset in experiment_datasets(user)]
    return unique([*CONFIG.pretraining[name].datasets, *more])


def trained(experiment):
    """Pairs of model and seed of an experiment."""
    section = CONFIG.experiments[experiment]
    return [(model, seed) for model in section.models for seed in section.seeds]


def run_paths(kind, experiment, suffix):
    """Label -> path of one product of every model and seed of an experiment."""
    return {
        f"{model}-{seed}": f"{R}/{kind}/{experiment}/{model}-{seed}{suffix}"
        for model, seed in trained(experiment)
    }


def training_values(*layers):
    return merged_training(CONFIG.training.model_dump(), *layers).model_dump()


def model_of_backbone(backbone):
    """The first model, by name, of a backbone family: it stands for the family's architecture."""
    return next(
        MODELS[name] for name in sorted(MODELS) if MODELS[name].backbone == backbone
    )


# What `rule all` asks for ---------------------------------------------------

#: Every file adds its final products here; `rule all` asks for them.
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
