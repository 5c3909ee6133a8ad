# What all rules share: the checked configuration and its layout, resources, digests of what
# Snakemake does not watch, and input functions that ask more than the configuration.
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from lenshunt.config import (
    ConfigError,
    Layout,
    check_config,
    load_models,
    parse_config,
)
from lenshunt.config.layout import all_cores, cores, unique
from lenshunt.core import (
    ROOT,
    code_digest,
    note_run,
    package_versions,
    raw_manifest,
    remove_stale_lock,
)
from lenshunt.evaluation.diagnostics import kinds_of, needs_baseline, rests_on
from lenshunt.readers import raw_files

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

LAYOUT = Layout(CONFIG, MODELS)
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


# Resources ------------------------------------------------------------------


def mem_mb(base):
    """Memory in MB that doubles with every attempt."""
    return lambda wildcards, attempt: base * 2 ** (attempt - 1)


def mem_mb_of_all(base, training):
    """Memory in MB of a training, `base` for each of its devices. training : of wildcards"""

    def of_attempt(wildcards, attempt):
        return mem_mb(base * training(wildcards).devices)(wildcards, attempt)

    return of_attempt


def minutes(base):
    """Run time in minutes that doubles with every attempt."""
    return lambda wildcards, attempt: base * 2 ** (attempt - 1)


# What is not watched --------------------------------------------------------


def script_of(name):
    return ROOT / "workflow" / "scripts" / f"{name}.py"


def code(script, keys=None):
    """Digest of a script and of all code that it can reach, since library code is not watched.

    keys : of wildcards, the entries of registries that the job takes; all where not given
    """
    if keys is None:
        return code_digest(script_of(script))
    return lambda wildcards: code_digest(script_of(script), keys(wildcards))


def architectures(models):
    return sorted({MODELS[name].architecture for name in models})


def architecture_of_model(wildcards):
    return architectures([wildcards.model])


def reached_by_diagnostics(wildcards):
    """Networks, the baseline's among them where it plays a part, and kinds of diagnostics."""
    model = MODELS[wildcards.model]
    measured = [wildcards.model]
    if needs_baseline(model):
        measured.append(CONFIG.experiments[wildcards.experiment].baseline)
    return [*architectures(measured), *kinds_of(model)]


@cache
def key_files_of(dataset):
    return CONFIG.datasets[dataset].key_files()


def raw_digest(wildcards):
    """Digest over the bytes of a data set's raw files; unknown until they have been made."""
    files = raw_files(CONFIG.datasets[wildcards.dataset])
    return raw_manifest(files, SHA256_CACHE).digest


def known_lens_digest(wildcards):
    """Digest over the tables of known lenses; unknown until they have been fetched."""
    return raw_manifest(CONFIG.known_lenses, SHA256_CACHE).digest


# Input functions ------------------------------------------------------------


def manifest_input(wildcards):
    """Raw files of a data set. Those of a rule may be made anew in this very run, which what is
    ancient does not tell; of all others the digest tells more than their times."""
    files = key_files_of(wildcards.dataset)
    return files if CONFIG.datasets[wildcards.dataset].made_by else ancient(files)


def cluster_field(wildcards):
    """Image and catalogue files of the field in which a cluster lies, where one is given."""
    dataset = CONFIG.clusters[wildcards.cluster].dataset
    return ancient(key_files_of(dataset)) if dataset else []


def compared_only(experiment):
    """Stops a job for an experiment that names nothing to compare."""
    if experiment not in LAYOUT.compared:
        raise WorkflowError(
            f"experiments.{experiment}: nothing to compare; set `comparisons` or `baseline`"
        )
    return LAYOUT.scored(experiment)


#: Pairs of experiment and model that have diagnostics: the model has kinds and is no mere ablation,
#: which would not be fused; the experiment has a baseline.
DIAGNOSED = [
    (name, model)
    for name, e in CONFIG.experiments.items()
    if e.baseline is not None
    for model in e.members or e.models
    if model != e.baseline and kinds_of(MODELS[model])
]


def rival_checkpoint(wildcards):
    """The baseline's training with the same seed; none where it plays no part in the diagnostics."""
    if not needs_baseline(MODELS[wildcards.model]):
        return []
    baseline = CONFIG.experiments[wildcards.experiment].baseline
    return LAYOUT.checkpoint.of(
        experiment=wildcards.experiment, model=baseline, seed=wildcards.seed
    )


def foundations(wildcards):
    """A line on each kind of diagnostics of a model: on what, and against what."""
    baseline = CONFIG.experiments[wildcards.experiment].baseline
    kinds = kinds_of(MODELS[wildcards.model])
    return [rests_on(kind, wildcards.model, baseline) for kind in kinds]


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


def print_summary():
    """Print the summary at the end of a run."""
    path = Path(LAYOUT.summary_text)
    if path.exists():
        print(path.read_text())
