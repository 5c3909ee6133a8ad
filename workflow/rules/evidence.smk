# What the architecture of a trained model promises, against the experiment's baseline.


rule evidence:
    input:
        checkpoint=lambda w: first_checkpoint(w.experiment, w.model),
        baseline=lambda w: first_checkpoint(
            w.experiment, CONFIG.experiments[w.experiment].baseline
        ),
        indexes=lambda w: experiment_indexes(
            w.experiment, CONFIG.experiments[w.experiment].evaluate
        ),
        exclusions=f"{R}/exclusions/{{experiment}}.parquet",
    output:
        numbers=f"{R}/evidence/{{experiment}}/{{model}}.json",
        curves=f"{R}/evidence/{{experiment}}/{{model}}.csv",
    log:
        f"{R}/logs/evidence/{{experiment}}/{{model}}.log",
    benchmark:
        f"{R}/benchmarks/evidence/{{experiment}}/{{model}}.tsv"
    conda:
        f"{ENVS}/train-gpu.yaml"
    threads: CONFIG.training.threads
    resources:
        mem_mb=mem_mb(4000),
        runtime=minutes(60),
        gpu=1,
    params:
        fold=predicted_fold,
        seed=SEED,
        code=code("evidence"),
    message:
        "Measuring what {wildcards.model} promises ({wildcards.experiment})"
    script:
        "../scripts/evidence.py"


rule evidence_figure:
    input:
        numbers=f"{R}/evidence/{{experiment}}/{{model}}.json",
        curves=f"{R}/evidence/{{experiment}}/{{model}}.csv",
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
        code=code("figures"),
    message:
        "Drawing the evidence of {wildcards.model} ({wildcards.experiment})"
    script:
        "../scripts/evidence_figure.py"


TARGETS += [
    f"{R}/figures/evidence/{experiment}/{model}.png" for experiment, model in EVIDENCED
]
