# Calibration per model, fusion, the challenge's metrics with intervals; ablations, a line per model
# with its numbers and its costs; what the architecture of a model promises, measured.


rule calibrate:
    input:
        LAYOUT.predictions,
    output:
        predictions=LAYOUT.calibrated,
        parameters=LAYOUT.calibration,
    log:
        LAYOUT.log("calibrate/{experiment}/{model}-{seed}"),
    benchmark:
        LAYOUT.benchmark("calibrate/{experiment}/{model}-{seed}")
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        code=code("calibrate"),
    message:
        "Calibrating {wildcards.model}, seed {wildcards.seed} ({wildcards.experiment})"
    script:
        "../scripts/calibrate.py"


rule fuse:
    input:
        predictions=lambda w: LAYOUT.calibrated_members(w.experiment),
    output:
        predictions=LAYOUT.fused,
        parameters=LAYOUT.fusion,
    log:
        LAYOUT.log("fuse/{experiment}"),
    benchmark:
        LAYOUT.benchmark("fuse/{experiment}")
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        fusion=lambda w: CONFIG.experiments[w.experiment].fusion,
        code=code("fuse"),
    message:
        "Fusing the models of {wildcards.experiment}"
    script:
        "../scripts/fuse.py"


rule metrics:
    input:
        predictions=lambda w: LAYOUT.scored(w.experiment).values(),
        fusion=LAYOUT.fusion,
    output:
        csv=figure(
            LAYOUT.metrics,
            "metrics",
            "Results",
            "{experiment}",
            table="metrics with intervals",
        ),
        tex=LAYOUT.metrics.with_suffix(".tex"),
    log:
        LAYOUT.log("metrics/{experiment}"),
    benchmark:
        LAYOUT.benchmark("metrics/{experiment}")
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(30),
    params:
        names=lambda w: list(LAYOUT.scored(w.experiment)),
        bootstraps=CONFIG.bootstraps,
        seed=SEED,
        code=code("metrics"),
    message:
        "Measuring the challenge's metrics of {wildcards.experiment}"
    script:
        "../scripts/metrics.py"


rule comparisons:
    input:
        predictions=lambda w: compared_only(w.experiment).values(),
    output:
        csv=figure(
            LAYOUT.comparisons,
            "comparisons",
            "Results",
            "{experiment}",
            table="ablations with verdicts",
        ),
        tex=LAYOUT.comparisons.with_suffix(".tex"),
    log:
        LAYOUT.log("comparisons/{experiment}"),
    benchmark:
        LAYOUT.benchmark("comparisons/{experiment}")
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(30),
    params:
        names=lambda w: list(LAYOUT.scored(w.experiment)),
        comparisons=lambda w: {
            name: [c.model, c.against]
            for name, c in CONFIG.experiments[w.experiment].compared().items()
        },
        bootstraps=CONFIG.bootstraps,
        seed=SEED,
        code=code("comparisons"),
    message:
        "Comparing the models of {wildcards.experiment}"
    script:
        "../scripts/comparisons.py"


rule model_sizes:
    input:
        lambda w: LAYOUT.first_checkpoints(w.experiment),
    output:
        LAYOUT.model_sizes,
    log:
        LAYOUT.log("model_sizes/{experiment}"),
    benchmark:
        LAYOUT.benchmark("model_sizes/{experiment}")
    conda:
        f"{ENVS}/train-gpu.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(3000),
        runtime=minutes(10),
    params:
        names=lambda w: CONFIG.experiments[w.experiment].models,
        code=code(
            "model_sizes",
            lambda w: architectures(CONFIG.experiments[w.experiment].models),
        ),
    message:
        "Counting the parameters of the models of {wildcards.experiment}"
    script:
        "../scripts/model_sizes.py"


rule study_table:
    input:
        predictions=lambda w: compared_only(w.experiment).values(),
        metrics=LAYOUT.metrics,
        sizes=LAYOUT.model_sizes,
    output:
        csv=figure(
            LAYOUT.study_table,
            "study",
            "Results",
            "{experiment}",
            table="one line per model and test set",
        ),
        tex=LAYOUT.study_table.with_suffix(".tex"),
    log:
        LAYOUT.log("study_table/{experiment}"),
    benchmark:
        LAYOUT.benchmark("study_table/{experiment}")
    conda:
        f"{ENVS}/data.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(2000),
        runtime=minutes(30),
    params:
        names=lambda w: list(LAYOUT.scored(w.experiment)),
        members=lambda w: unique(
            model for model, _ in LAYOUT.fused_members(w.experiment)
        ),
        bootstraps=CONFIG.bootstraps,
        seed=SEED,
        code=code("study_table"),
    message:
        "Tabulating the models of {wildcards.experiment}"
    script:
        "../scripts/study_table.py"


# From benchmark files: no two runs give the same numbers, so that nothing is made of this table.
rule costs:
    input:
        sizes=LAYOUT.model_sizes,
        # The jobs, not their benchmark files: what was trained elsewhere comes without one.
        checkpoints=lambda w: LAYOUT.of_trainings(
            LAYOUT.checkpoint, w.experiment
        ).values(),
        predictions=lambda w: LAYOUT.of_trainings(
            LAYOUT.predictions, w.experiment
        ).values(),
    output:
        csv=figure(
            LAYOUT.costs,
            "costs",
            "Results",
            "{experiment}",
            table="parameters, time and memory",
        ),
        tex=LAYOUT.costs.with_suffix(".tex"),
    log:
        LAYOUT.log("costs/{experiment}"),
    benchmark:
        LAYOUT.benchmark("costs/{experiment}")
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        runs=lambda w: LAYOUT.trained(w.experiment),
        trained=lambda w: list(
            LAYOUT.of_trainings(LAYOUT.training_benchmark, w.experiment).values()
        ),
        predicted=lambda w: list(
            LAYOUT.of_trainings(LAYOUT.prediction_benchmark, w.experiment).values()
        ),
        code=code("costs"),
    message:
        "Tabulating what the models of {wildcards.experiment} cost"
    script:
        "../scripts/costs.py"


rule diagnostics:
    input:
        checkpoint=LAYOUT.checkpoint,
        baseline=rival_checkpoint,
        indexes=lambda w: LAYOUT.indexes_of(
            w.experiment, CONFIG.experiments[w.experiment].evaluate
        ),
        exclusions=LAYOUT.exclusions,
    output:
        numbers=LAYOUT.diagnostics,
        curves=LAYOUT.diagnostics_curves,
    log:
        LAYOUT.log("diagnostics/{experiment}/{model}-{seed}"),
    benchmark:
        LAYOUT.benchmark("diagnostics/{experiment}/{model}-{seed}")
    conda:
        f"{ENVS}/train-gpu.yaml"
    threads: CONFIG.training.threads
    resources:
        mem_mb=mem_mb(4000),
        runtime=minutes(60),
        gpu=1,
    params:
        fold=lambda w: CONFIG.experiments[w.experiment].fold,
        segments=CONFIG.segments.model_dump(),
        seed=SEED,
        code=code("diagnostics", reached_by_diagnostics),
    message:
        "Measuring what {wildcards.model} promises, seed {wildcards.seed} ({wildcards.experiment})"
    script:
        "../scripts/diagnostics.py"


TARGETS += [LAYOUT.costs.of(experiment=name) for name in CONFIG.experiments]
TARGETS += [LAYOUT.study_table.of(experiment=name) for name in LAYOUT.compared]
TARGETS += [LAYOUT.comparisons.of(experiment=name) for name in LAYOUT.compared]
