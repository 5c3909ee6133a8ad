# Pretraining per backbone family, one training job per model and seed, prediction.


rule pretrain:
    input:
        indexes=lambda w: [
            shard_index(name, CONFIG.pretraining[w.pretraining].grid)
            for name in CONFIG.pretraining[w.pretraining].datasets
        ],
        exclusions=f"{R}/exclusions/pretraining-{{pretraining}}.parquet",
        probe=probed_for_backbone,
    output:
        checkpoint=f"{R}/pretraining/{{pretraining}}/{{backbone}}.ckpt",
        history=f"{R}/pretraining/{{pretraining}}/{{backbone}}.csv",
        learned=f"{R}/pretraining/{{pretraining}}/{{backbone}}.json",
    log:
        f"{R}/logs/pretrain/{{pretraining}}/{{backbone}}.log",
    benchmark:
        f"{R}/benchmarks/pretrain/{{pretraining}}/{{backbone}}.tsv"
    conda:
        f"{ENVS}/train-gpu.yaml"
    threads: lambda w: cores_of_all(CONFIG.pretraining[w.pretraining].training)
    resources:
        mem_mb=mem_mb_of_all(6000, lambda w: CONFIG.pretraining[w.pretraining].training),
        runtime=minutes(12 * 60),
        # One task with all devices starts a process for each. (`tasks` would be --ntasks-per-gpu:
        # cores for devices x devices tasks, of which one runs.)
        gpu=lambda w: devices(CONFIG.pretraining[w.pretraining].training),
        nodes=1,
    params:
        model=lambda w: MODELS[model_of_backbone(w.backbone)].backbone_values(),
        training=lambda w: training_values(CONFIG.pretraining[w.pretraining].training),
        contrastive=lambda w: contrastive_section(w.pretraining),
        grid=lambda w: CONFIG.grids[CONFIG.pretraining[w.pretraining].grid].model_dump(),
        grid_name=lambda w: CONFIG.pretraining[w.pretraining].grid,
        seed=SEED,
        code=code("training"),
    message:
        "Pretraining backbone {wildcards.backbone} ({wildcards.pretraining})"
    script:
        "../scripts/pretrain.py"


rule train:
    input:
        indexes=lambda w: experiment_indexes(
            w.experiment, CONFIG.experiments[w.experiment].train
        ),
        exclusions=f"{R}/exclusions/{{experiment}}.parquet",
        pretrained=pretrained_input,
        probe=lambda w: probed(w.model, training_values(MODELS[w.model].training)),
        hosts=lambda w: experiment_indexes(w.experiment, online_hosts(w.experiment)),
        sources=lambda w: online_sources(w.experiment),
    output:
        checkpoint=f"{R}/training/{{experiment}}/{{model}}-{{seed}}.ckpt",
        history=f"{R}/training/{{experiment}}/{{model}}-{{seed}}.csv",
    log:
        f"{R}/logs/train/{{experiment}}/{{model}}-{{seed}}.log",
    benchmark:
        f"{R}/benchmarks/train/{{experiment}}/{{model}}-{{seed}}.tsv"
    conda:
        f"{ENVS}/train-gpu.yaml"
    threads: lambda w: cores_of_all(MODELS[w.model].training)
    resources:
        mem_mb=mem_mb_of_all(6000, lambda w: MODELS[w.model].training),
        runtime=minutes(12 * 60),
        gpu=lambda w: devices(MODELS[w.model].training),
        nodes=1,
    params:
        model=lambda w: MODELS[w.model].network_values(),
        training=lambda w: training_values(MODELS[w.model].training),
        fold=lambda w: CONFIG.experiments[w.experiment].fold,
        grid=lambda w: CONFIG.grids[CONFIG.experiments[w.experiment].grid].model_dump(),
        grid_name=lambda w: CONFIG.experiments[w.experiment].grid,
        online=lambda w: online_section(w.experiment),
        # Last checkpoint and TensorBoard logs: a killed training goes on from here.
        log_dir=f"{R}/training/{{experiment}}/{{model}}-{{seed}}",
        code=code("training"),
    message:
        "Training {wildcards.model}, seed {wildcards.seed} ({wildcards.experiment})"
    script:
        "../scripts/train.py"


rule predict:
    input:
        checkpoint=f"{R}/training/{{experiment}}/{{model}}-{{seed}}.ckpt",
        indexes=lambda w: experiment_indexes(
            w.experiment, CONFIG.experiments[w.experiment].train
        ),
        test_only=lambda w: experiment_indexes(
            w.experiment, evaluated_only(w.experiment)
        ),
        exclusions=f"{R}/exclusions/{{experiment}}.parquet",
    output:
        f"{R}/predictions/{{experiment}}/{{model}}-{{seed}}.parquet",
    log:
        f"{R}/logs/predict/{{experiment}}/{{model}}-{{seed}}.log",
    benchmark:
        f"{R}/benchmarks/predict/{{experiment}}/{{model}}-{{seed}}.tsv"
    conda:
        f"{ENVS}/train-gpu.yaml"
    threads: lambda w: cores(MODELS[w.model].training)
    resources:
        mem_mb=mem_mb(4000),
        runtime=minutes(60),
        gpu=1,
    params:
        splits=["val_select", "val_calibrate", "test"],
        fold=predicted_fold,
        views=lambda w: CONFIG.experiments[w.experiment].views,
        loading=lambda w: loading_values(MODELS[w.model].training),
        code=code("training"),
    message:
        "Predicting with {wildcards.model}, seed {wildcards.seed} ({wildcards.experiment})"
    script:
        "../scripts/predict.py"


rule training_curves:
    input:
        lambda w: run_paths("training", w.experiment, ".csv").values(),
    output:
        figure=figure(
            f"{R}/figures/training/{{experiment}}.png",
            "training",
            "Training",
            "{experiment}",
            figure="training curves",
        ),
        pdf=f"{R}/figures/training/{{experiment}}.pdf",
    log:
        f"{R}/logs/training_curves/{{experiment}}.log",
    benchmark:
        f"{R}/benchmarks/training_curves/{{experiment}}.tsv"
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        names=lambda w: list(run_paths("training", w.experiment, ".csv")),
        code=code("figures"),
    message:
        "Drawing training curves of {wildcards.experiment}"
    script:
        "../scripts/training_curves.py"


TARGETS += [f"{R}/figures/training/{name}.png" for name in CONFIG.experiments]
