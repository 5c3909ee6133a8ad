# Which trainings leave their batch size to a probe, and for which grids.


def family(model):
    """All models of a model's backbone family: they share what is pretrained."""
    return [name for name in MODELS if MODELS[name].backbone == MODELS[model].backbone]


def grids_of_model(model):
    """Grids on which a model, or the backbone that it stands for, is trained."""
    names = [e.grid for e in CONFIG.experiments.values() if model in e.models]
    names += [
        CONFIG.pretraining[e.pretraining].grid
        for e in CONFIG.experiments.values()
        if e.pretraining and set(e.models) & set(family(model))
    ]
    return {name: CONFIG.grids[name].model_dump() for name in sorted(set(names))}


def probed(model, training):
    """The probe of a model, where its training leaves the batch size to it.

    Ancient: a batch size found again, on another GPU, makes no checkpoint outdated.
    """
    wanted = training["batch_size"] == "auto"
    return [ancient(f"{R}/probe/{model}.json")] if wanted else []


def probed_for_backbone(wildcards):
    """The probe of the model that stands for a backbone family in its pretraining."""
    section = CONFIG.pretraining[wildcards.pretraining].training
    return probed(model_of_backbone(wildcards.backbone), training_values(section))
