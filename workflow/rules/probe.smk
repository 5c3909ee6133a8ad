# Batch sizes of trainings that leave them to the GPU (`batch_size: auto`).


rule probe:
    output:
        f"{R}/probe/{{model}}.json",
    log:
        f"{R}/logs/probe/{{model}}.log",
    benchmark:
        f"{R}/benchmarks/probe/{{model}}.tsv"
    conda:
        f"{ENVS}/train-gpu.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(6000),
        runtime=minutes(30),
        gpu=1,
    params:
        model=lambda w: MODELS[w.model].network_values(),
        training=lambda w: training_values(MODELS[w.model].training),
        grids=lambda w: grids_of_model(w.model),
        segments=CONFIG.segments.n_max,
        code=code("training"),
    message:
        "Probing the batch size of {wildcards.model}"
    script:
        "../scripts/probe.py"
