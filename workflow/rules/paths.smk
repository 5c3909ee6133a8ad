# Paths of every product, by what they are made from.
from functools import cache
from pathlib import Path

from lenshunt.core import raw_manifest
from lenshunt.raw import raw_files

# Raw files ------------------------------------------------------------------


@cache
def key_files_of(dataset):
    return CONFIG.datasets[dataset].key_files()


def raw_digest(wildcards):
    """Digest over the bytes of a data set's raw files; unknown until they have been made."""
    files = raw_files(CONFIG.datasets[wildcards.dataset])
    return raw_manifest(files, SHA256_CACHE).digest


def manifest_input(wildcards):
    """Raw files of a data set. Those of a rule may be made anew in this very run, which what is
    ancient does not tell; of all others the digest tells more than their times."""
    files = key_files_of(wildcards.dataset)
    return files if CONFIG.datasets[wildcards.dataset].made_by else ancient(files)


# Data -----------------------------------------------------------------------

#: Data sets that are made of the records of others.
INJECTED = [name for name, d in CONFIG.datasets.items() if d.reader == "injection"]
READ = [name for name in CONFIG.datasets if name not in INJECTED]


def dataset_values(name):
    """What the records of a data set depend on, as plain values."""
    return CONFIG.datasets[name].model_dump(
        exclude={"grids", "made_by", "held_out", "rejected_fraction_max"}
    )


def chunks_of(dataset):
    """Numbers of a data set's chunks; injected lenses follow those of their hosts."""
    section = CONFIG.datasets[dataset]
    hosts = section.hosts if dataset in INJECTED else dataset
    return range(CONFIG.datasets[hosts].chunks)


def records(dataset, suffix):
    """Per-chunk files of a data set's records: pixels.h5, parquet or rejected.ecsv."""
    return [f"{R}/records/{dataset}/{chunk}.{suffix}" for chunk in chunks_of(dataset)]


def cutouts(dataset, grid, suffix):
    """Per-chunk files of the homogenised cutouts: tif or parquet."""
    return [
        f"{R}/cutouts/{grid}/{dataset}/{chunk}.{suffix}" for chunk in chunks_of(dataset)
    ]


def segments(dataset, grid):
    """Per-chunk segment files of a data set; none where they are not made."""
    wanted = CONFIG.segments.enabled and CONFIG.datasets[dataset].role != "pretrain"
    chunks = chunks_of(dataset) if wanted else []
    return [f"{R}/segments/{grid}/{dataset}/{chunk}.h5" for chunk in chunks]


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


def evaluated_only(name):
    """Data sets that an experiment is evaluated on without training on them."""
    section = CONFIG.experiments[name]
    return [dataset for dataset in section.evaluate if dataset not in section.train]


def experiment_indexes(name, datasets):
    return [shard_index(dataset, CONFIG.experiments[name].grid) for dataset in datasets]


def searched_with(name):
    """Data sets that are searched with the models of an experiment."""
    return [s.dataset for s in CONFIG.search.values() if s.experiment == name]


def exclusion_datasets(name):
    """All data sets whose overlap matters to an experiment: its own, those of its pretraining and
    of its online lenses, and those that are searched with it, since what is scored is never
    trained on."""
    pretraining = CONFIG.experiments[name].pretraining
    more = CONFIG.pretraining[pretraining].datasets if pretraining else []
    names = [*experiment_datasets(name), *more, *online_hosts(name)]
    return unique([*names, *searched_with(name)])


def pretraining_overlaps(name):
    """The data sets of a pretraining and of every experiment, and search, that builds on it."""
    users = [n for n, e in CONFIG.experiments.items() if e.pretraining == name]
    more = [
        dataset
        for user in users
        for dataset in [*experiment_datasets(user), *searched_with(user)]
    ]
    return unique([*CONFIG.pretraining[name].datasets, *more])


def trained(experiment):
    """Pairs of model and seed of an experiment."""
    section = CONFIG.experiments[experiment]
    return [(model, seed) for model in section.models for seed in section.seeds]


def fused(experiment):
    """Those pairs of model and seed that are fused."""
    members = CONFIG.experiments[experiment].members
    return [pair for pair in trained(experiment) if not members or pair[0] in members]


def run_paths(kind, experiment, suffix):
    """Label -> path of one product of every model and seed of an experiment."""
    return {
        f"{model}-{seed}": f"{R}/{kind}/{experiment}/{model}-{seed}{suffix}"
        for model, seed in trained(experiment)
    }


def scored_paths(experiment):
    """Label -> calibrated predictions of every model and seed, and of their fusion."""
    return {
        **run_paths("calibrated", experiment, ".parquet"),
        "fused": f"{R}/fused/{experiment}.parquet",
    }


# Splits ----------------------------------------------------------------------


def known_lens_digest(wildcards):
    """Digest over the tables of known lenses; unknown until they have been fetched."""
    return raw_manifest(CONFIG.known_lenses, SHA256_CACHE).digest


def experiment_folds(name):
    """The cross-validation fold under which an experiment sees each of its data sets."""
    return {
        dataset: [CONFIG.experiments[name].fold]
        for dataset in [*experiment_datasets(name), *online_hosts(name)]
    }


def pretraining_folds(name):
    """All folds under which the experiments that start from a pretraining see a data set."""
    users = [n for n, e in CONFIG.experiments.items() if e.pretraining == name]
    return {
        dataset: [
            CONFIG.experiments[user].fold
            for user in users
            if dataset in experiment_datasets(user)
        ]
        for dataset in unique(d for user in users for d in experiment_datasets(user))
    }


def matched_datasets(name):
    match = CONFIG.experiments[name].match_negatives
    return unique([*match.negatives, *match.hosts])


def matched_of(name):
    """The matching of an experiment, where it asks for one."""
    return (
        [f"{R}/matched/{name}.parquet"]
        if CONFIG.experiments[name].match_negatives
        else []
    )


def predicted_fold(wildcards):
    """The fold of an experiment; a field that is searched has none."""
    name = wildcards.get("experiment")
    return CONFIG.experiments[name].fold if name else None


# Search and cluster ----------------------------------------------------------


def search_grid(search):
    return CONFIG.experiments[CONFIG.search[search].experiment].grid


def search_model(path):
    """A product of the experiment that a search uses, for the same model and seed."""
    return lambda w: f"{R}/{path}".format(
        experiment=CONFIG.search[w.search].experiment,
        model=w.get("model"),
        seed=w.get("seed"),
    )


def cluster_candidates(wildcards):
    """Ranked table of the search that scores this cluster, where one does."""
    search = CONFIG.clusters[wildcards.cluster].search
    return [f"{R}/candidates/{search}.ecsv"] if search else []


def cluster_facts(wildcards):
    """Files of the mass models of a cluster."""
    models = CONFIG.clusters[wildcards.cluster].models.values()
    maps = ("deflection_x", "deflection_y", "kappa")
    keys = ("potentials", *maps, "images", "members")
    files = [getattr(model, key) for model in models for key in keys]
    return sorted({path for path in files if path})


def cluster_field(wildcards):
    """Image and catalogue files of the field in which a cluster lies, where one is given."""
    dataset = CONFIG.clusters[wildcards.cluster].dataset
    return ancient(key_files_of(dataset)) if dataset else []


def cluster_manifest(wildcards):
    dataset = CONFIG.clusters[wildcards.cluster].dataset
    return [f"{R}/provenance/raw/{dataset}.csv"] if dataset else []


def cluster_dataset(wildcards):
    dataset = CONFIG.clusters[wildcards.cluster].dataset
    return dataset_values(dataset) if dataset else None


# Report ----------------------------------------------------------------------


def pretraining_reports():
    """Name -> what each pretrained backbone in use has learned."""
    return {
        f"{e.pretraining}/{MODELS[model].backbone}": (
            f"{R}/pretraining/{e.pretraining}/{MODELS[model].backbone}.json"
        )
        for e in CONFIG.experiments.values()
        if e.pretraining
        for model in e.models
        if MODELS[model].pretrained
    }


def calibration_parameters():
    """(experiment, model label) -> parameters of every calibration."""
    return {
        (name, label): path
        for name in CONFIG.experiments
        for label, path in [
            *run_paths("calibrated", name, ".json").items(),
            ("fused", f"{R}/fused/{name}.json"),
        ]
    }


def print_summary():
    """Print the summary at the end of a run."""
    path = Path(R) / "summary.md"
    if path.exists():
        print(path.read_text())
