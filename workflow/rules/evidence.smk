# What the architecture of a model promises, measured on each of its trainings.


rule evidence:
    input:
        checkpoint=f"{R}/training/{{experiment}}/{{model}}-{{seed}}.ckpt",
        baseline=rival_checkpoint,
        indexes=lambda w: experiment_indexes(
            w.experiment, CONFIG.experiments[w.experiment].evaluate
        ),
        exclusions=f"{R}/exclusions/{{experiment}}.parquet",
    output:
        numbers=f"{R}/evidence/{{experiment}}/{{model}}-{{seed}}.json",
        curves=f"{R}/evidence/{{experiment}}/{{model}}-{{seed}}.csv",
    log:
        f"{R}/logs/evidence/{{experiment}}/{{model}}-{{seed}}.log",
    benchmark:
        f"{R}/benchmarks/evidence/{{experiment}}/{{model}}-{{seed}}.tsv"
    conda:
        f"{ENVS}/train-gpu.yaml"
    threads: CONFIG.training.threads
    resources:
        mem_mb=mem_mb(4000),
        runtime=minutes(60),
        gpu=1,
    params:
        fold=predicted_fold,
        segments=CONFIG.segments.model_dump(),
        seed=SEED,
        code=code("evidence"),
    message:
        "Measuring what {wildcards.model} promises, seed {wildcards.seed} ({wildcards.experiment})"
    script:
        "../scripts/evidence.py"


rule evidence_figure:
    input:
        numbers=evidence_of_trainings(".json"),
        curves=evidence_of_trainings(".csv"),
    output:
        figure=figure(
            f"{R}/figures/evidence/{{experiment}}/{{model}}.png",
            "evidence",
            "Evidence",
            "{experiment}",
            model="{model}",
        ),
        pdf=f"{R}/figures/evidence/{{experiment}}/{{model}}.pdf",
    log:
        f"{R}/logs/evidence_figure/{{experiment}}/{{model}}.log",
    benchmark:
        f"{R}/benchmarks/evidence_figure/{{experiment}}/{{model}}.tsv"
    conda:
        f"{ENVS}/report.yaml"
    threads: 1
    resources:
        mem_mb=mem_mb(1000),
        runtime=minutes(10),
    params:
        rests_on=foundations,
        seeds=lambda w: CONFIG.experiments[w.experiment].seeds,
        code=code("figures"),
    message:
        "Drawing the evidence of {wildcards.model} ({wildcards.experiment})"
    script:
        "../scripts/evidence_figure.py"


TARGETS += [
    f"{R}/figures/evidence/{experiment}/{model}.png" for experiment, model in EVIDENCED
]
