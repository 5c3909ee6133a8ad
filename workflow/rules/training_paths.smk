# What trainings and pretrainings take from the configuration.


def training_values(*layers):
    return merged_training(CONFIG.training.model_dump(), *layers).model_dump()


def cores(training):
    """CPU cores of one device of a training: its own and those of its loader processes."""
    values = training_values(training)
    return values["threads"] + values["workers"]


def devices(training):
    return training_values(training)["devices"]


def cores_of_all(training):
    """CPU cores of a training: each of its devices has a process of its own."""
    return devices(training) * cores(training)


def mem_mb_of_all(base, training):
    """Memory in MB of a training, `base` for each of its devices. training : of wildcards"""

    def of_attempt(wildcards, attempt):
        return mem_mb(base * devices(training(wildcards)))(wildcards, attempt)

    return of_attempt


def loading_values(training):
    """How a model's predictions read their samples: as its training does."""
    values = training_values(training)
    return {name: values[name] for name in ("threads", "workers", "loader")}


def model_of_backbone(backbone):
    """The model that stands for a backbone family's architecture: its namesake where that is
    used, else the first by name."""
    family = sorted(name for name in MODELS if MODELS[name].backbone == backbone)
    return backbone if backbone in family else family[0]


def pretrained_input(wildcards):
    """The checkpoint that a model starts from, where its experiment names a pretraining."""
    name = CONFIG.experiments[wildcards.experiment].pretraining
    model = MODELS[wildcards.model]
    wanted = name and model.pretrained
    return [f"{R}/pretraining/{name}/{model.backbone}.ckpt"] if wanted else []


def contrastive_section(name):
    """The contrastive part of a pretraining, or none."""
    section = CONFIG.pretraining[name].contrastive
    return section.model_dump() if section else None
