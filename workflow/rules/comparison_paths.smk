# Which models are compared with which, and which have evidence of what they are.
from lenshunt.evidence import kinds_of

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


def first_checkpoint(experiment, model):
    """The checkpoint of a model's first seed."""
    seed = CONFIG.experiments[experiment].seeds[0]
    return f"{R}/training/{experiment}/{model}-{seed}.ckpt"
