# Which models are compared with which, and which have evidence of what they are.
from lenshunt.evidence import kinds_of, needs_baseline, rests_on

#: Experiments that name comparisons or a baseline.
COMPARED = [name for name, e in CONFIG.experiments.items() if e.compared()]


def compared_only(experiment):
    """Stops a job for an experiment that names nothing to compare."""
    if experiment not in COMPARED:
        raise WorkflowError(
            f"experiments.{experiment}: nothing to compare; set `comparisons` or `baseline`"
        )
    return scored_paths(experiment)


#: Pairs of experiment and model that have evidence: the model has kinds and is no mere ablation,
#: which would not be fused; the experiment has a baseline.
EVIDENCED = [
    (name, model)
    for name, e in CONFIG.experiments.items()
    if e.baseline is not None
    for model in e.members or e.models
    if model != e.baseline and kinds_of(MODELS[model])
]


def rival_checkpoint(wildcards):
    """The baseline's training with the same seed; none where it plays no part in the evidence."""
    baseline = CONFIG.experiments[wildcards.experiment].baseline
    if not needs_baseline(MODELS[wildcards.model]):
        return []
    return f"{R}/training/{wildcards.experiment}/{baseline}-{wildcards.seed}.ckpt"


def evidence_of_trainings(suffix):
    """Input function: the evidence of every training of a model, by seed."""
    return lambda w: [
        f"{R}/evidence/{w.experiment}/{w.model}-{seed}{suffix}"
        for seed in CONFIG.experiments[w.experiment].seeds
    ]


def foundations(wildcards):
    """A line on each kind of evidence of a model: on what, and against what."""
    baseline = CONFIG.experiments[wildcards.experiment].baseline
    kinds = kinds_of(MODELS[wildcards.model])
    return [rests_on(kind, wildcards.model, baseline) for kind in kinds]
