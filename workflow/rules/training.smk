# Batch sizes found by a probe, pretraining per backbone family, galaxies to be lensed while
# training, one training job per model and seed, prediction.


rule probe:
    output:
        LAYOUT.probe,
    log:
        LAYOUT.log("probe/{model}"),
    benchmark:
        LAYOUT.benchmark("probe/{model}")
    conda:
        f"{ENVS}/train-gpu.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(6000),
        runtime=minutes(30),
        gpu=1,
    params:
        model=lambda w: MODELS[w.model].network_values(),
        training=lambda w: LAYOUT.training_of(w.model).model_dump(),
        grids=lambda w: {
            name: CONFIG.grids[name].model_dump()
            for name in LAYOUT.grids_of_model(w.model)
        },
        segments=CONFIG.segments.n_max,
        code=code("probe", architecture_of_model),
    message:
        "Probing the batch size of {wildcards.model}"
    script:
        "../scripts/probe.py"


rule pretrain:
    input:
        indexes=lambda w: LAYOUT.pretraining_indexes(w.pretraining),
        exclusions=LAYOUT.pretraining_exclusions,
        # Ancient: a batch size found again, on another GPU, makes no checkpoint outdated.
        probe=lambda w: ancient(
            LAYOUT.probe_of(
                LAYOUT.model_of_backbone(w.backbone),
                LAYOUT.pretraining_of(w.pretraining),
            )
        ),
    output:
        checkpoint=LAYOUT.backbone,
        history=LAYOUT.backbone_history,
        learned=LAYOUT.backbone_report,
    log:
        LAYOUT.log("pretrain/{pretraining}/{backbone}"),
    benchmark:
        LAYOUT.benchmark("pretrain/{pretraining}/{backbone}")
    conda:
        f"{ENVS}/train-gpu.yaml"
    threads: lambda w: all_cores(LAYOUT.pretraining_of(w.pretraining))
    resources:
        mem_mb=mem_mb_of_all(6000, lambda w: LAYOUT.pretraining_of(w.pretraining)),
        runtime=minutes(12 * 60),
        # One task with all devices starts a process for each. (`tasks` would be --ntasks-per-gpu:
        # cores for devices x devices tasks, of which one runs.)
        gpu=lambda w: LAYOUT.pretraining_of(w.pretraining).devices,
        nodes=1,
    params:
        model=lambda w: MODELS[LAYOUT.model_of_backbone(w.backbone)].backbone_values(),
        training=lambda w: LAYOUT.pretraining_of(w.pretraining).model_dump(),
        contrastive=lambda w: LAYOUT.contrastive_values(w.pretraining),
        grid=lambda w: CONFIG.grids[CONFIG.pretraining[w.pretraining].grid].model_dump(),
        grid_name=lambda w: CONFIG.pretraining[w.pretraining].grid,
        seed=SEED,
        code=code(
            "pretrain",
            lambda w: [MODELS[LAYOUT.model_of_backbone(w.backbone)].architecture],
        ),
    message:
        "Pretraining backbone {wildcards.backbone} ({wildcards.pretraining})"
    script:
        "../scripts/pretrain.py"


rule online_sources:
    input:
        pixels=lambda w: LAYOUT.of_chunks(
            LAYOUT.pixels, *LAYOUT.online_source_datasets(w.experiment)
        ),
        metadata=lambda w: LAYOUT.of_chunks(
            LAYOUT.metadata, *LAYOUT.online_source_datasets(w.experiment)
        ),
    output:
        LAYOUT.online_sources,
    log:
        LAYOUT.log("online_sources/{experiment}"),
    benchmark:
        LAYOUT.benchmark("online_sources/{experiment}")
    wildcard_constraints:
        experiment=one_of(n for n in CONFIG.experiments if LAYOUT.online_sources_of(n)),
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(60),
    params:
        sources_max=lambda w: CONFIG.experiments[w.experiment].online.sources_max,
        seed=SEED,
        code=code("online_sources"),
    message:
        "Choosing the galaxies that {wildcards.experiment} lenses while training"
    script:
        "../scripts/online_sources.py"


rule train:
    input:
        indexes=lambda w: LAYOUT.indexes_of(
            w.experiment, CONFIG.experiments[w.experiment].train
        ),
        exclusions=LAYOUT.exclusions,
        pretrained=lambda w: LAYOUT.pretrained_of(w.experiment, w.model),
        probe=lambda w: ancient(LAYOUT.probe_of(w.model, LAYOUT.training_of(w.model))),
        hosts=lambda w: LAYOUT.indexes_of(
            w.experiment, LAYOUT.online_hosts(w.experiment)
        ),
        sources=lambda w: LAYOUT.online_sources_of(w.experiment),
    output:
        checkpoint=LAYOUT.checkpoint,
        history=LAYOUT.history,
    log:
        LAYOUT.log("train/{experiment}/{model}-{seed}"),
    benchmark:
        LAYOUT.training_benchmark
    conda:
        f"{ENVS}/train-gpu.yaml"
    threads: lambda w: all_cores(LAYOUT.training_of(w.model))
    resources:
        mem_mb=mem_mb_of_all(6000, lambda w: LAYOUT.training_of(w.model)),
        runtime=minutes(12 * 60),
        gpu=lambda w: LAYOUT.training_of(w.model).devices,
        nodes=1,
    params:
        model=lambda w: MODELS[w.model].network_values(),
        training=lambda w: LAYOUT.training_of(w.model).model_dump(),
        fold=lambda w: CONFIG.experiments[w.experiment].fold,
        grid=lambda w: CONFIG.grids[CONFIG.experiments[w.experiment].grid].model_dump(),
        grid_name=lambda w: CONFIG.experiments[w.experiment].grid,
        online=lambda w: LAYOUT.online_values(w.experiment),
        # Last checkpoint and TensorBoard logs: a killed training goes on from here.
        log_dir=LAYOUT.training_folder,
        code=code("train", architecture_of_model),
    message:
        "Training {wildcards.model}, seed {wildcards.seed} ({wildcards.experiment})"
    script:
        "../scripts/train.py"


rule predict:
    input:
        checkpoint=LAYOUT.checkpoint,
        indexes=lambda w: LAYOUT.indexes_of(
            w.experiment, CONFIG.experiments[w.experiment].train
        ),
        test_only=lambda w: LAYOUT.indexes_of(
            w.experiment, LAYOUT.evaluated_only(w.experiment)
        ),
        exclusions=LAYOUT.exclusions,
    output:
        LAYOUT.predictions,
    log:
        LAYOUT.log("predict/{experiment}/{model}-{seed}"),
    benchmark:
        LAYOUT.prediction_benchmark
    conda:
        f"{ENVS}/train-gpu.yaml"
    threads: lambda w: cores(LAYOUT.training_of(w.model))
    resources:
        mem_mb=mem_mb(4000),
        runtime=minutes(60),
        gpu=1,
    params:
        splits=["val_select", "val_calibrate", "test"],
        fold=lambda w: CONFIG.experiments[w.experiment].fold,
        views=lambda w: CONFIG.experiments[w.experiment].views,
        loading=lambda w: LAYOUT.loading_of(w.model),
        code=code("predict", architecture_of_model),
    message:
        "Predicting with {wildcards.model}, seed {wildcards.seed} ({wildcards.experiment})"
    script:
        "../scripts/predict.py"
